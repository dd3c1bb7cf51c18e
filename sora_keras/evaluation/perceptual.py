"""A video, what it should look like and a pretrained encoder in, how different the two look frame by frame out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

SQUEEZENET_LAYERS = ("conv1", *(f"fire{number}_concat" for number in (3, 5, 6, 7, 8, 9)))
FRAMES_AT_ONCE = 8


def perceptual_distance(
    video: np.ndarray, reference: np.ndarray, encoder: keras.Model, layer_names: Sequence[str] = SQUEEZENET_LAYERS
) -> np.ndarray:
    """How far apart frames lie in what layers of a pretrained encoder see.

    This is not LPIPS: its formula, and for SqueezeNet its layers, without the weights of channels that LPIPS learned
    from people's judgments. Figures compare only where the encoder, its layers and the size of frames are the same.

    Args:
        video: `uint8 (T, H, W, 3)`, RGB.
        reference: what it should look like, of the same shape.
        encoder: reads frames `(B, H, W, 3)`, RGB in 0..255, such as `sora_keras.models.SqueezeNet`.
        layer_names: its layers to compare, whose outputs are `(B, h, w, C)`.

    Returns:
        `float64 (T,)`; 0 where a frame is the same as its reference, at most 4 a layer.

    Raises:
        ValueError: if the two are not uint8 or do not match, or the encoder has no such layer.

    Example:
        >>> encoder = SqueezeNet(270, 480, "squeezenet1.1_imagenet_notop.h5")  # doctest: +SKIP
        >>> perceptual_distance(restored, clean, encoder).mean()  # doctest: +SKIP

    Reference:
        Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018,
        https://arxiv.org/abs/1801.03924, equation 1 with w = 1: d = sum_l mean_hw |y_l - y'_l|^2, each y_l of length 1.
    """
    import keras

    for name, frames in (("video", video), ("reference", reference)):
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape != video.shape:
            raise ValueError(
                f"`{name}` must be uint8 of shape (T, H, W, 3), both the same, received {frames.dtype} of shape "
                f"{frames.shape}; `video` has {video.shape}."
            )
    layers = keras.Model(encoder.input, {name: encoder.get_layer(name).output for name in layer_names})
    distances = np.zeros(len(video))
    for start in range(0, len(video), FRAMES_AT_ONCE):
        part = slice(start, start + FRAMES_AT_ONCE)
        seen, wanted = (layers.predict_on_batch(frames[part].astype(np.float32)) for frames in (video, reference))
        for name in layer_names:
            difference = (_unit_length(seen[name]) - _unit_length(wanted[name])) ** 2
            distances[part] += difference.sum(axis=-1).mean(axis=(1, 2))
    return distances


def _unit_length(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float64)
    return features / (np.linalg.norm(features, axis=-1, keepdims=True) + 1e-10)

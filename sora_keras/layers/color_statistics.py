"""Frames in, how bright, how contrasty and how saturated each is out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sora_keras.layers.color_adjustment import LUMA_WEIGHTS, MID_GRAY

SMALLEST_SPREAD_LEVELS = 1.0


@keras.saving.register_keras_serializable(package="sora_keras")
class ColorStatistics(keras.layers.Layer):
    """Measure what `ColorAdjustment` changes.

    | column | what | unit | after `ColorAdjustment` by (brightness, contrast, saturation), but for clipping |
    |---|---|---|---|
    | 0 | mean luma above mid-gray | levels | `c * column_0 + sqrt(c) * brightness`, `c = 2 ** contrast` |
    | 1 | standard deviation of luma | log2 of levels | `column_1 + contrast` |
    | 2 | root mean square distance of the channels from luma, over that deviation | log2 | `column_2 + saturation` |

    So colors of one scene, filmed with whatever setting, are brought together by `parameters_between`. One level is
    added to the spreads, in squares, for frames that have none.

    Call arguments:
        frames: `(B, T, H, W, 3)`, RGB in 0..255, any dtype.

    Returns:
        `float32 (B, T, 3)`.

    Example:
        >>> ColorStatistics()(keras.Input((16, 64, 64, 3), dtype="uint8")).shape
        (None, 16, 3)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, frames: Any) -> Any:
        """Moments over space."""
        frames = ops.cast(frames, self.compute_dtype)
        luma = ops.sum(frames * ops.convert_to_tensor(LUMA_WEIGHTS, frames.dtype), axis=-1, keepdims=True)
        mean, variance = ops.moments(luma, axes=(2, 3, 4))
        contrast = ops.log2(variance + SMALLEST_SPREAD_LEVELS**2) / 2
        colorfulness = ops.mean(ops.square(frames - luma), axis=(2, 3, 4))
        saturation = ops.log2(colorfulness + SMALLEST_SPREAD_LEVELS**2) / 2 - contrast
        return ops.stack([mean - MID_GRAY, contrast, saturation], axis=-1)

    def compute_output_spec(self, frames: Any) -> Any:
        """Three numbers for each frame."""
        return keras.KerasTensor((*frames.shape[:2], 3), dtype=self.compute_dtype)


def parameters_between(measured: Any, wanted: Any) -> Any:
    """The parameters by which `ColorAdjustment` gives frames of some statistics those of others.

    Args:
        measured: `(..., 3)`, as `ColorStatistics` measures.
        wanted: `(..., 3)`.

    Returns:
        `(..., 3)`: brightness, contrast, saturation.

    Example:
        >>> parameters_between([[10.0, 5.0, -1.0]], [[0.0, 6.0, -1.0]])  # [[-14.1, 1, 0]]
    """
    measured, wanted = ops.convert_to_tensor(measured), ops.convert_to_tensor(wanted)
    contrast, saturation = (wanted[..., column] - measured[..., column] for column in (1, 2))
    half_contrast = ops.power(2.0, contrast / 2)
    brightness = wanted[..., 0] / half_contrast - measured[..., 0] * half_contrast
    return ops.stack([brightness, contrast, saturation], axis=-1)

from __future__ import annotations

import cv2
import keras
import numpy as np
import pytest

from sora_keras.evaluation.perceptual import SQUEEZENET_LAYERS, perceptual_distance
from sora_keras.models import SqueezeNet
from sora_keras.video import stream_frames


def colors_encoder():
    """Layers that are worked out by hand: the frame itself, and its mean over 2x2 pixels."""
    frames = keras.Input((4, 4, 3))
    same = keras.layers.Identity(name="same")(frames)
    return keras.Model(frames, keras.layers.AveragePooling2D(2, name="pooled")(same))


def test_by_hand():
    """Red against green is a right angle, of squared distance 2; against a brighter red it is nothing."""
    red, bright_red, green = (np.full((1, 4, 4, 3), color, np.uint8) for color in ((50, 0, 0), (90, 0, 0), (0, 70, 0)))
    encoder, both = colors_encoder(), ("same", "pooled")
    np.testing.assert_allclose(perceptual_distance(red, green, encoder, both), 4)
    np.testing.assert_allclose(perceptual_distance(red, bright_red, encoder, both), 0, atol=1e-12)
    half = red.copy()
    half[:, :2] = green[:, :2]
    np.testing.assert_allclose(perceptual_distance(half, red, encoder, ["same"]), 1)


def test_frames_are_measured_alone():
    rng = np.random.default_rng(0)
    video, reference = rng.integers(0, 256, (2, 11, 4, 4, 3), dtype=np.uint8)
    distances = perceptual_distance(video, reference, colors_encoder(), ["pooled"])
    assert distances.shape == (11,)
    alone = perceptual_distance(video[9:10], reference[9:10], colors_encoder(), ["pooled"])
    np.testing.assert_allclose(distances[9:10], alone)


@pytest.mark.real_data
def test_blur_looks_worse_than_a_brighter_picture_of_the_same_psnr(real_data):
    """What PSNR cannot tell apart, and the measure was made for."""
    pairs = zip(stream_frames(real_data / "clean" / "dog.mp4", 136, 240), range(2), strict=False)
    clean = np.stack([frame for (_, frame), _ in pairs])
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in clean])
    step = np.sqrt(np.mean((blurred.astype(float) - clean) ** 2))
    brighter = np.clip(np.rint(clean + step), 0, 255).astype(np.uint8)
    encoder = SqueezeNet(136, 240, real_data / "weights" / "squeezenet1.1_imagenet_notop.h5")
    blur, brightness = (perceptual_distance(video, clean, encoder) for video in (blurred, brighter))
    assert (blur > 2 * brightness).all()
    np.testing.assert_array_equal(perceptual_distance(clean, clean, encoder), 0)
    assert len(SQUEEZENET_LAYERS) == 7


@pytest.mark.parametrize(
    ("video", "reference", "received"),
    [
        (np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 3), np.uint8), r"`video`.*float64.*\(2, 4, 4, 3\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros((5, 4, 4, 3), np.uint8), r"`reference`.*\(5, 4, 4, 3\).*\(2, 4"),
    ],
)
def test_what_cannot_be_compared(video, reference, received):
    with pytest.raises(ValueError, match=received):
        perceptual_distance(video, reference, colors_encoder())


def test_layer_that_is_not_there():
    frames = np.zeros((1, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="No such layer: conv7"):
        perceptual_distance(frames, frames, colors_encoder(), ["conv7"])

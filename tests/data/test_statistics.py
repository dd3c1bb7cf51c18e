from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sora_keras.data import channel_statistics, video_dataset_from_directory
from sora_keras.video import ClipSpec

FRAMES = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 5, 3), np.uint8) // np.array([1, 2, 5], np.uint8)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda frames: frames,
        lambda frames: (frames, np.zeros(len(frames))),
        lambda frames: ({"frames": frames, "features": np.zeros((len(frames), 3, 7))}, np.zeros(len(frames))),
    ],
)
def test_is_what_numpy_says(wrap):
    mean, variance = channel_statistics(tf.data.Dataset.from_tensor_slices(wrap(FRAMES)).batch(4))
    np.testing.assert_allclose(mean, FRAMES.reshape(-1, 3).mean(axis=0))
    np.testing.assert_allclose(variance, FRAMES.reshape(-1, 3).var(axis=0))


def test_reads_no_more_than_asked():
    mean, _ = channel_statistics(tf.data.Dataset.from_tensor_slices(FRAMES).batch(2), max_batches=3)
    np.testing.assert_allclose(mean, FRAMES[:6].reshape(-1, 3).mean(axis=0))


def test_of_videos(gray_videos):
    dataset = video_dataset_from_directory(gray_videos, ClipSpec(4, 16, 12))
    mean, variance = channel_statistics(dataset)
    pixels = np.concatenate([frames.numpy().reshape(-1, 3) for frames, _ in dataset])
    np.testing.assert_allclose(mean, pixels.mean(axis=0))
    np.testing.assert_allclose(variance, pixels.var(axis=0))


def test_nothing_to_measure():
    with pytest.raises(ValueError, match="at least one batch to measure, received none"):
        channel_statistics(tf.data.Dataset.from_tensor_slices(FRAMES[:0]).batch(2))
    with pytest.raises(ValueError, match=r"one value cannot be normalized, received variances \[0\.0, 0\.0, 0\.0\]"):
        channel_statistics([np.full((1, 2, 4, 5, 3), 71, np.uint8)])

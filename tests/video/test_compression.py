from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from sora_keras.video import compressed_frames


def moving_texture(num_frames=11, height=48, width=65):
    """Odd in width, so that colors keep their resolution as well."""
    texture = np.random.default_rng(0).integers(0, 256, (height + num_frames, width, 3)).astype(np.uint8)
    return np.stack([texture[at : at + height] for at in range(num_frames)])


def test_worse_quality_is_farther_from_what_was():
    frames = moving_texture()
    decibels = []
    for quality in (10, 25, 40):
        compressed = compressed_frames(frames, quality)
        assert compressed.dtype == np.uint8
        assert compressed.shape == frames.shape
        decibels.append(peak_signal_noise_ratio(frames, compressed))
    assert decibels[0] > decibels[1] + 3 > decibels[2] + 6


def test_a_group_knows_nothing_of_the_one_before():
    frames = moving_texture()
    compressed = compressed_frames(frames, group_size=4)
    for at in (0, 4, 8):
        np.testing.assert_array_equal(compressed[at : at + 4], compressed_frames(frames[at : at + 4]))
    assert np.abs(compressed.astype(int) - compressed_frames(frames)).max() > 0


@pytest.mark.parametrize(
    ("frames", "arguments", "message"),
    [
        (moving_texture(), {"group_size": -3}, "group_size must be at least 1, received -3"),
        (moving_texture(), {"quality": 52}, "quality must be a whole number from 0 .* to 51, received 52"),
        (moving_texture()[:0], {}, "frames must hold at least one frame, received 0"),
    ],
)
def test_bad_arguments(frames, arguments, message):
    with pytest.raises(ValueError, match=message):
        compressed_frames(frames, **arguments)

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from sora_keras.video import Clip, stream_frames
from sora_keras.video.denoising import (
    bilateral_over_space,
    denoise_along_motion,
    estimate_noise,
    gaussian_over_space,
    gaussian_over_time,
    median_over_space,
    median_over_time,
)

RNG = np.random.default_rng(0)


def random_clip(num_frames=6, height=20, width=24):
    return Clip(RNG.integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8), np.arange(num_frames) / 8 + 3)


@pytest.fixture(scope="module")
def clean(real_data):
    """A walking dog, 8 frames."""
    pairs = [pair for pair, _ in zip(stream_frames(real_data / "clean" / "dog.mp4", 270, 480), range(8), strict=False)]
    return Clip(np.stack([frame for _, frame in pairs]), np.array([seconds for seconds, _ in pairs]))


def with_noise(clip, sigma):
    noise = np.random.default_rng(sigma).normal(0, sigma, clip.frames.shape)
    return Clip(np.clip(np.rint(clip.frames + noise), 0, 255).astype(np.uint8), clip.times)


def psnr(clip, truth):
    return 10 * np.log10(255**2 / np.mean((clip.frames.astype(float) - truth.frames) ** 2))


def test_gaussian_over_space_is_scipys():
    clip = random_clip()
    expected = ndimage.gaussian_filter(clip.frames.astype(float), (0, 1.3, 1.3, 0), mode="mirror", truncate=3)
    np.testing.assert_allclose(gaussian_over_space(clip, 1.3).frames, expected, atol=1.5)


def test_gaussian_over_time_is_scipys():
    clip = random_clip(num_frames=12)
    expected = ndimage.gaussian_filter1d(clip.frames.astype(float), 1.1, axis=0, mode="nearest", truncate=3.6)
    np.testing.assert_allclose(gaussian_over_time(clip, 1.1).frames, expected, atol=0.51)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_median_over_space_is_scipys(size):
    clip = random_clip()
    expected = ndimage.median_filter(clip.frames, (1, size, size, 1), mode="nearest")
    np.testing.assert_array_equal(median_over_space(clip, size).frames, expected)


@pytest.mark.parametrize("num_frames", [3, 5, 7, 9])
@pytest.mark.parametrize("length", [1, 2, 10])
def test_median_over_time_is_scipys(num_frames, length):
    clip = random_clip(length)
    expected = ndimage.median_filter(clip.frames, (num_frames, 1, 1, 1), mode="nearest")
    np.testing.assert_array_equal(median_over_time(clip, num_frames).frames, expected)


def test_bilateral_keeps_an_edge_that_a_gaussian_blurs():
    frames = np.full((2, 32, 32, 3), 60, np.uint8)
    frames[:, :, 16:] = 190
    clip = Clip(frames, np.arange(2.0))
    noisy = with_noise(clip, 8)
    error = np.abs(bilateral_over_space(noisy, 8).frames.astype(int) - frames)
    blurred = np.abs(gaussian_over_space(noisy, 1.5).frames.astype(int) - frames)
    assert error[:, :, 14:18].mean() < 5 < 20 < blurred[:, :, 14:18].mean()


@pytest.mark.real_data
@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_noise_is_estimated(clean, sigma):
    assert estimate_noise(clean) < 1.5
    assert estimate_noise(with_noise(clean, sigma)) == pytest.approx(sigma, rel=0.15)


@pytest.mark.real_data
def test_gains_on_a_real_clip(clean):
    noisy = with_noise(clean, 25)
    before = psnr(noisy, clean)
    gains = {
        function.__name__: psnr(function(noisy), clean) - before
        for function in (
            gaussian_over_space,
            median_over_space,
            bilateral_over_space,
            gaussian_over_time,
            median_over_time,
            denoise_along_motion,
        )
    }
    assert min(gains.values()) > 2
    assert gains["bilateral_over_space"] > gains["gaussian_over_space"] + 0.5
    assert gains["denoise_along_motion"] > gains["bilateral_over_space"] + 1.5
    assert psnr(denoise_along_motion(clean), clean) > 45


@pytest.mark.real_data
def test_motion_is_followed_where_plain_averaging_leaves_trails(clean):
    """A picture that pans 3 pixels a frame: the average over time smears, the one along the motion does not."""
    picture = clean.frames[0]
    frames = np.stack([picture[:, 3 * index : 3 * index + 400] for index in range(6)])
    truth = Clip(frames, np.arange(6) / 25)
    noisy = with_noise(truth, 15)
    assert psnr(denoise_along_motion(noisy), truth) > psnr(gaussian_over_time(noisy, 1.0), truth) + 5


@pytest.mark.real_data
def test_nothing_leaks_across_a_cut(clean):
    frames = clean.frames.copy()
    frames[4:] = 255 - frames[4:, ::-1]
    truth = Clip(frames, clean.times)
    noisy = with_noise(truth, 20)
    both = denoise_along_motion(noisy, 20).frames
    alone = denoise_along_motion(Clip(noisy.frames[:4], noisy.times[:4]), 20).frames
    assert np.abs(both[3].astype(int) - alone[3]).mean() < 1.5


def test_times_and_shape_stay():
    clip = random_clip(5)
    for function in (gaussian_over_space, median_over_space, bilateral_over_space, gaussian_over_time,
                     median_over_time, denoise_along_motion):  # fmt: skip
        cleaned = function(clip)
        assert cleaned.frames.shape == clip.frames.shape
        np.testing.assert_array_equal(cleaned.times, clip.times)


def test_without_noise_nothing_changes():
    flat = Clip(np.full((3, 16, 16, 3), 77, np.uint8), np.arange(3.0))
    assert denoise_along_motion(flat) is flat
    assert bilateral_over_space(flat) is flat


def test_bad_arguments_are_named():
    clip = random_clip()
    with pytest.raises(ValueError, match=r"`sigma_pixels` must be a positive number, received -1\.5"):
        gaussian_over_space(clip, -1.5)
    with pytest.raises(ValueError, match=r"`sigma_frames` must be a positive number, received nan"):
        gaussian_over_time(clip, float("nan"))
    with pytest.raises(ValueError, match=r"`size_pixels` must be an odd number of at least 3, received 4"):
        median_over_space(clip, 4)
    with pytest.raises(ValueError, match=r"`num_frames` must be an odd number of at least 3, received 1"):
        median_over_time(clip, 1)
    with pytest.raises(ValueError, match=r"`noise_sigma` must be a positive number, received 0"):
        bilateral_over_space(clip, 0)
    with pytest.raises(ValueError, match=r"`color_tolerance` must be a positive number, received -2\.0"):
        bilateral_over_space(clip, 9, -2.0)
    with pytest.raises(ValueError, match=r"`num_neighbors` must be a positive number, received 0"):
        denoise_along_motion(clip, 9, 0)
    with pytest.raises(ValueError, match=r"at least 12 pixels on the longer side, received 8 x 11"):
        denoise_along_motion(random_clip(height=8, width=11))

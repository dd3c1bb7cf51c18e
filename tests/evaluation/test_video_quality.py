from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from skimage.metrics import structural_similarity

from sora_keras.evaluation.video_quality import ms_ssim, psnr, ssim
from sora_keras.video import stream_frames


def noisy_pair(height, width, channels=3, num_frames=2, seed=0):
    """A smooth picture with detail, and the same with noise that differs by frame."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width][..., np.newaxis]
    picture = 120 + 60 * np.sin(columns / 9 + np.arange(channels)) + 40 * np.cos(rows / 5)
    clean = np.clip(picture + rng.normal(0, 8, (num_frames, *picture.shape)), 0, 255).astype(np.uint8)
    spread = np.linspace(10, 40, num_frames).reshape(-1, 1, 1, 1)
    return np.clip(clean + spread * rng.standard_normal(clean.shape), 0, 255).round().astype(np.uint8), clean


def test_psnr_by_hand():
    reference = np.full((3, 4, 5, 3), 100, np.uint8)
    video = reference.copy()
    video[0] += 10  # squared error 100
    video[1, 0, 0, 0] = 40  # 3600 on one of 60 values: 60
    measured = psnr(video, reference)
    assert measured.dtype == np.float64
    np.testing.assert_allclose(measured[:2], [10 * np.log10(255**2 / 100), 10 * np.log10(255**2 / 60)])
    assert np.isinf(measured[2])


def test_luma_by_hand():
    """White is 235 and black is 16; a step of 51 in green is 128.553 * 51 / 255 = 25.71 in luma."""
    white, black = np.full((1, 8, 8, 3), 255, np.uint8), np.zeros((1, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(psnr(white, black, luma=True), 20 * np.log10(255 / 219), rtol=1e-4)
    greener = black.copy()
    greener[..., 1] = 51
    np.testing.assert_allclose(psnr(greener, black, luma=True), 20 * np.log10(255 / 25.7106), rtol=1e-6)


def test_border_is_left_out():
    reference = np.full((1, 20, 24, 3), 90, np.uint8)
    video = reference + np.uint8(2)
    video[:, :4] = video[:, -4:] = video[:, :, :4] = video[:, :, -4:] = 255
    np.testing.assert_allclose(psnr(video, reference, border=4), 20 * np.log10(255 / 2))
    np.testing.assert_array_equal(
        ssim(video, reference, border=4), ssim(video[:, 4:-4, 4:-4], reference[:, 4:-4, 4:-4])
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_scikit_image_and_tensorflow(channels):
    video, clean = noisy_pair(45, 62, channels)
    expected = [
        structural_similarity(
            frame, true, data_range=255, gaussian_weights=True, use_sample_covariance=False, channel_axis=-1
        )
        for frame, true in zip(video, clean, strict=True)
    ]
    np.testing.assert_allclose(ssim(video, clean), expected, rtol=1e-9)
    np.testing.assert_allclose(ssim(video, clean), tf.image.ssim(video, clean, 255), atol=1e-5)
    assert 0.2 < expected[1] < expected[0] < 0.95


def test_ssim_of_large_frames_is_exact():
    """Where TensorFlow's, which averages in float32, is wrong in the second decimal."""
    video, clean = noisy_pair(1080, 1920, 1, num_frames=1)
    expected = structural_similarity(
        video[0, ..., 0], clean[0, ..., 0], data_range=255, gaussian_weights=True, use_sample_covariance=False
    )
    np.testing.assert_allclose(ssim(video, clean), expected, rtol=1e-9)


@pytest.mark.parametrize(("height", "width", "channels"), [(176, 192, 3), (161, 175, 3), (189, 163, 1)])
def test_ms_ssim_is_tensorflows(height, width, channels):
    video, clean = noisy_pair(height, width, channels)
    measured = ms_ssim(video, clean)
    np.testing.assert_allclose(measured, tf.image.ssim_multiscale(video, clean, 255), atol=1e-5)
    assert 0.5 < measured[1] < measured[0] < 0.999


def test_opposite_pictures_count_as_nothing():
    clean = noisy_pair(176, 176)[1]
    negative = 255 - clean
    np.testing.assert_allclose(ms_ssim(negative, clean), tf.image.ssim_multiscale(negative, clean, 255), atol=1e-5)
    assert (ms_ssim(negative, clean) < 0.01).all()
    assert (ssim(negative, clean) < 0).all()


@pytest.mark.parametrize("measure", [psnr, ssim, ms_ssim])
@pytest.mark.parametrize("luma", [False, True])
def test_frames_are_measured_alone(measure, luma):
    video, clean = noisy_pair(170, 165, num_frames=3)
    measured = measure(video, clean, luma=luma)
    assert measured.shape == (3,)
    assert measured[0] > measured[1] > measured[2]
    one = measure(video[1], clean[1], luma=luma)
    assert one.shape == ()
    assert one == measured[1]
    np.testing.assert_array_equal(measure(clean, clean, luma=luma), np.inf if measure is psnr else 1.0)


@pytest.mark.real_data
def test_noise_of_known_size_on_a_real_video(real_data):
    pairs = zip(stream_frames(real_data / "clean" / "dog.mp4", 270, 480), range(3), strict=False)
    clean = np.stack([frame for (_, frame), _ in pairs])
    noise = np.random.default_rng(0).normal(0, 20, clean.shape)
    video = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    np.testing.assert_allclose(psnr(video, clean), 20 * np.log10(255 / 20), atol=0.3)  # clipping takes some noise away
    # Noise of R, G and B is independent: that of luma is the root of the sum of squares of its weights, 0.575 of it.
    np.testing.assert_allclose(psnr(video, clean, luma=True), 20 * np.log10(255 / (20 * 0.575)), atol=0.3)
    np.testing.assert_allclose(ssim(video, clean), tf.image.ssim(video, clean, 255), atol=1e-4)
    np.testing.assert_allclose(ms_ssim(video, clean), tf.image.ssim_multiscale(video, clean, 255), atol=1e-4)


@pytest.mark.parametrize(
    ("video", "reference", "arguments", "received"),
    [
        (np.zeros((2, 9, 8, 3)), np.zeros((2, 9, 8, 3), np.uint8), {}, r"`video`.*float64.*\(2, 9, 8, 3\)"),
        (np.zeros((2, 9, 8, 3), np.uint8), np.zeros((2, 9, 8, 4), np.uint8), {}, r"`reference`.*\(2, 9, 8, 4\)"),
        (np.zeros((2, 9, 8, 3), np.uint8), np.zeros((5, 9, 8, 3), np.uint8), {}, r"\(2, 9, 8, 3\) and \(5, 9, 8, 3\)"),
        (np.zeros((2, 9, 8, 1), np.uint8), np.zeros((2, 9, 8, 1), np.uint8), {"luma": True}, r"with 3 chan.*8, 1\)"),
        (np.zeros((2, 9, 8, 3), np.uint8), np.zeros((2, 9, 8, 3), np.uint8), {"border": 4}, "1x1.*9x8.*border of 4"),
        (np.zeros((2, 9, 8, 3), np.uint8), np.zeros((2, 9, 8, 3), np.uint8), {"border": -6}, "border of -6"),
    ],
)
def test_what_cannot_be_compared(video, reference, arguments, received):
    with pytest.raises(ValueError, match=received):
        psnr(video, reference, **arguments)


@pytest.mark.parametrize(("measure", "side"), [(ssim, 11), (ms_ssim, 161)])
def test_frames_under_the_window(measure, side):
    frames = np.zeros((1, side, side, 3), np.uint8)
    assert measure(frames, frames) == 1
    with pytest.raises(ValueError, match=f"{side}x{side} pixels.*received {side - 1}x{side}"):
        measure(frames[:, 1:], frames[:, 1:])

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sora_keras.evaluation.temporal_consistency import warping_error
from sora_keras.video import stream_frames
from sora_keras.video.optical_flow import find_flow, move


def texture(height, width, seed=0):
    """Blobs of about 10 pixels, from 40 to 215, that a search for motion finds again."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3)
    return (40 + 175 * (blurred - blurred.min()) / np.ptp(blurred)).astype(np.uint8)


def moving(num_frames=4, rows=1, columns=3, size=96):
    """A window that slides over a texture by whole pixels a frame."""
    picture = texture(size + 40, size + 40)
    starts = [(index * rows, index * columns) for index in range(num_frames)]
    return np.stack([picture[top : top + size, left : left + size] for top, left in starts])


def test_moving_texture_is_steady():
    video = moving()
    errors = warping_error(video)
    standing = np.mean((np.diff(video.astype(float), axis=0) / 255) ** 2, axis=(1, 2, 3))
    assert errors.shape == (3,)
    assert (errors < 0.02 * standing).all()
    assert (errors < 2e-5).all()


@pytest.mark.parametrize("step", [4, 12])
def test_flicker_of_known_size(step):
    """Every other frame brighter by a step: the square of the step, where the reference's motion says what belongs."""
    reference = np.repeat(texture(64, 80)[np.newaxis], 5, axis=0)
    video = reference.copy()
    video[1::2] += np.uint8(step)
    np.testing.assert_allclose(warping_error(video, reference), (step / 255) ** 2, rtol=1e-5)
    np.testing.assert_array_equal(warping_error(reference), 0.0)


def test_flicker_on_a_moving_texture_adds_up():
    reference = moving()
    video = reference.copy()
    video[1::2] += np.uint8(10)
    np.testing.assert_allclose(warping_error(video, reference), (10 / 255) ** 2, rtol=0.1)


def test_hidden_places_are_left_out():
    """A square walks over a still picture: what it covers and uncovers has no counterpart, the rest is unchanged."""
    video = np.repeat(texture(96, 128)[np.newaxis], 4, axis=0)
    square = texture(32, 32, seed=1)
    for index, frame in enumerate(video):
        frame[30:62, 20 + 6 * index : 52 + 6 * index] = square
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video]
    brought_back = [move(video[i + 1], find_flow(grays[i], grays[i + 1], is_fine=True)) for i in range(3)]
    everywhere = np.mean(((np.stack(brought_back).astype(float) - video[:-1]) / 255) ** 2, axis=(1, 2, 3))
    assert (everywhere > 1e-4).all()
    assert (warping_error(video) < 0.5 * everywhere).all()


def test_nothing_left_is_not_a_number():
    """Of hundreds of frames of noise, some have no place from which one comes back."""
    pairs = [np.random.default_rng(seed).integers(0, 256, (2, 12, 12, 3), dtype=np.uint8) for seed in range(400)]
    errors = np.concatenate([warping_error(pair) for pair in pairs])
    assert 0 < np.isnan(errors).sum() < 200
    assert np.nanmin(errors) > 0.01


@pytest.mark.real_data
def test_real_video_with_noise_and_flicker(real_data):
    pairs = zip(stream_frames(real_data / "clean" / "dog.mp4", 270, 480), range(6), strict=False)
    clean = np.stack([frame for (_, frame), _ in pairs])
    noise = np.random.default_rng(0).normal(0, 10, clean.shape)
    noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    floor, error = warping_error(clean), warping_error(noisy, clean)
    unmoved = np.mean((np.diff(clean.astype(float), axis=0) / 255) ** 2, axis=(1, 2, 3))
    assert (floor < 0.5 * unmoved).all()
    # Independent noise of both frames adds its variance once whole, once lowered by the warp between pixels.
    added = (error - floor) / (10 / 255) ** 2
    assert (added > 1.2).all()
    assert (added < 2.05).all()


@pytest.mark.parametrize(
    ("video", "reference", "received"),
    [
        (np.zeros((2, 16, 16, 3)), None, r"`video`.*float64.*\(2, 16, 16, 3\)"),
        (np.zeros((1, 16, 17, 3), np.uint8), None, r"2 frames.*\(1, 16, 17, 3\)"),
        (np.zeros((2, 11, 30, 3), np.uint8), None, r"at least 12x12 pixels.*\(2, 11, 30, 3\)"),
        (np.zeros((2, 16, 16, 3), np.uint8), np.zeros((2, 16, 16, 1), np.uint8), r"`reference`.*\(2, 16, 16, 1\)"),
        (np.zeros((2, 16, 16, 3), np.uint8), np.zeros((4, 16, 16, 3), np.uint8), r"16, 3\) and \(4, 16"),
    ],
)
def test_what_cannot_be_measured(video, reference, received):
    with pytest.raises(ValueError, match=received):
        warping_error(video, reference)

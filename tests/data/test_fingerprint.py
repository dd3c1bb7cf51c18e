from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.fft import dctn

from sora_keras.data import Row
from sora_keras.data.fingerprint import Fingerprint, fingerprint, hash_frame, motion, motion_similarity
from sora_keras.video import VideoError, write_video


def textured(seed: int, height: int = 64, width: int = 64) -> np.ndarray:
    """A picture with structure at all scales, `uint8 (H, W)`."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    picture = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1, 2, 4, 8))
    return cv2.normalize(picture, None, 20, 230, cv2.NORM_MINMAX).astype(np.uint8)


def in_color(frames: np.ndarray) -> np.ndarray:
    return np.repeat(frames[..., np.newaxis], 3, axis=-1)


def bits_between(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.unpackbits(first ^ second).sum())


def closest(first: Fingerprint, second: Fingerprint) -> int:
    pairs = [(first.hashes, second.hashes), (first.altered, second.hashes), (first.hashes, second.altered)]
    return min(bits_between(one, other) for ones, others in pairs for one in ones for other in others)


class TestHashFrame:
    @pytest.mark.parametrize("seed", range(5))
    def test_against_scipy(self, seed):
        frame = textured(seed)
        frequencies = dctn(frame.astype(np.float64), norm="ortho")[1:17, 1:17]
        np.testing.assert_array_equal(np.unpackbits(hash_frame(frame)), (frequencies > np.median(frequencies)).ravel())

    def test_half_of_the_bits_are_set(self):
        assert np.unpackbits(hash_frame(textured(7))).sum() == 128

    def test_brightness_and_contrast_do_not_count(self):
        frame = textured(8).astype(np.float32)
        np.testing.assert_array_equal(hash_frame(0.5 * frame + 60), hash_frame(frame))

    def test_other_pictures_differ_in_half_of_the_bits(self):
        hashes = [hash_frame(textured(seed)) for seed in range(20)]
        distances = [bits_between(one, other) for index, one in enumerate(hashes) for other in hashes[:index]]
        assert min(distances) > 90
        assert np.mean(distances) == pytest.approx(128, abs=4)


class TestFingerprint:
    @pytest.mark.parametrize(("seconds", "num_frames"), [(1, 8), (7, 14), (30, 32)])
    def test_two_frames_a_second_between_8_and_32(self, tmp_path, seconds, num_frames):
        write_video(tmp_path / "a.mp4", in_color(np.stack([textured(1)] * seconds)), frames_per_second=1.0)
        found = fingerprint(Row(str(tmp_path / "a.mp4")))
        num_hashes = num_frames + 1  # and the median
        assert found.hashes.shape == (num_hashes, 32)
        assert found.altered.shape == (4 * -(-num_hashes // 4), 32)

    def test_only_the_part_that_the_row_is(self, tmp_path):
        scenes = [textured(seed) for seed in (1, 2, 3)]
        path = str(tmp_path / "a.mp4")
        write_video(path, in_color(np.repeat(scenes, 10, axis=0)), frames_per_second=5.0, quality=5)
        second = fingerprint(Row(path, start_seconds=2.1, end_seconds=3.9))
        distances = [[bits_between(own, hash_frame(scene)) for own in second.hashes] for scene in scenes]
        assert np.max(distances[1]) < 20
        assert np.min([distances[0], distances[2]]) > 80
        last = fingerprint(Row(path, start_seconds=4.1))
        assert max(bits_between(own, hash_frame(scenes[2])) for own in last.hashes) < 20

    def test_blank_frames_have_no_hash(self, tmp_path):
        frames = np.stack([*[np.zeros((64, 64), np.uint8)] * 12, *[textured(4)] * 4])
        write_video(tmp_path / "fade.mp4", in_color(frames), frames_per_second=4.0)
        assert len(fingerprint(Row(str(tmp_path / "fade.mp4"))).hashes) == 2
        write_video(tmp_path / "black.mp4", in_color(frames[:12]), frames_per_second=4.0)
        blank = fingerprint(Row(str(tmp_path / "black.mp4")))
        assert blank.hashes.shape == blank.altered.shape == (0, 32)

    def test_the_median_shows_the_scene_behind_what_moves(self, tmp_path):
        frames = np.repeat(textured(9)[np.newaxis], 8, axis=0)
        for index, frame in enumerate(frames):
            frame[8 * index : 8 * index + 8] = 255
        write_video(tmp_path / "a.mp4", in_color(frames), frames_per_second=8.0, quality=5)
        *hashes, median = fingerprint(Row(str(tmp_path / "a.mp4"))).hashes
        assert bits_between(median, hash_frame(textured(9))) < 12
        assert min(bits_between(each, hash_frame(textured(9))) for each in hashes) > 15

    def test_frames_without_their_bars_are_hashed_too(self, tmp_path):
        picture = textured(5, 96, 128)
        write_video(tmp_path / "plain.mp4", in_color(np.stack([picture] * 8)), frames_per_second=4.0)
        boxed = np.pad(picture, ((20, 20), (10, 10)), constant_values=16)
        write_video(tmp_path / "boxed.mp4", in_color(np.stack([boxed] * 8)), frames_per_second=4.0)
        plain, boxed = (fingerprint(Row(str(tmp_path / name))) for name in ("plain.mp4", "boxed.mp4"))
        assert len(boxed.hashes) == 2 * len(plain.hashes) == 18
        assert bits_between(plain.hashes[0], boxed.hashes[0]) > 60
        assert bits_between(plain.hashes[0], boxed.hashes[-1]) < 30

    @pytest.mark.parametrize(
        ("share", "is_mirrored"), [(0.0, True), *((share, False) for share in (0.0, 0.02, 0.04, 0.06, 0.08, 0.10))]
    )
    def test_cropped_or_mirrored(self, tmp_path, share, is_mirrored):
        picture = textured(6, 200, 300)
        write_video(tmp_path / "whole.mp4", in_color(np.stack([picture] * 8)))
        height, width = round(200 * share), round(300 * share)
        part = picture[height : 200 - height, width : 300 - width]
        write_video(tmp_path / "part.mp4", in_color(np.stack([part[:, ::-1] if is_mirrored else part] * 8)))
        whole, part = (fingerprint(Row(str(tmp_path / name))) for name in ("whole.mp4", "part.mp4"))
        assert closest(whole, part) <= 48

    def test_unreadable(self, tmp_path):
        (tmp_path / "text.mp4").write_text("no video")
        with pytest.raises(VideoError, match=r"text\.mp4"):
            fingerprint(Row(str(tmp_path / "text.mp4")))


def moving_dots(seed: int, num_frames: int) -> np.ndarray:
    """Dots that wander over a still background: always the same one, other ways for each seed."""
    rng = np.random.default_rng(seed)
    places = 48 + np.cumsum(rng.normal(0, 4, (num_frames, 5, 2)), axis=0) + rng.normal(0, 20, (5, 2))
    frames = np.repeat(textured(99, 96, 96)[np.newaxis], num_frames, axis=0)
    for frame, dots in zip(frames, places, strict=True):
        for x, y in dots.round().astype(int).tolist():
            cv2.circle(frame, (x % 96, y % 96), 7, 255, -1)
    return frames


@pytest.fixture(scope="module")
def motions(tmp_path_factory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("dots")
    frames = moving_dots(1, 80)
    videos = {
        "whole": frames,
        "trimmed": frames[30:],
        "mirrored": frames[:, :, ::-1],
        "brighter": np.minimum(frames, 235) + 20,
        "other": moving_dots(2, 80),
    }
    for name, video in videos.items():
        write_video(folder / f"{name}.mp4", in_color(video), frames_per_second=16.0, quality=28)
    return {name: motion(Row(str(folder / f"{name}.mp4"))) for name in videos}


class TestMotion:
    def test_shape(self, motions):
        assert motions["whole"].shape == (40, 16, 16)
        assert motions["whole"].dtype == np.float32
        np.testing.assert_allclose(motions["whole"].mean(axis=0), 0, atol=1e-4)

    @pytest.mark.parametrize("name", ["trimmed", "mirrored", "brighter"])
    def test_copies(self, motions, name):
        assert motion_similarity(motions["whole"], motions[name]) > 0.8
        assert motion_similarity(motions[name], motions["whole"]) > 0.8

    def test_the_same_scene_at_another_time(self, motions):
        assert motion_similarity(motions["whole"], motions["other"]) < 0.4

    def test_no_motion_is_no_evidence(self):
        assert motion_similarity(np.zeros((20, 16, 16), np.float32), np.zeros((30, 16, 16), np.float32)) == 0

    def test_a_part_of_a_video(self, tmp_path, motions):
        write_video(tmp_path / "a.mp4", in_color(moving_dots(1, 80)), frames_per_second=16.0, quality=28)
        part = motion(Row(str(tmp_path / "a.mp4"), start_seconds=1.0, end_seconds=4.0))
        assert len(part) == 24
        assert motion_similarity(part, motions["whole"]) > 0.8

    def test_the_correlation_of_one_shift_by_hand(self):
        first, second = np.random.default_rng(0).normal(size=(2, 10, 16, 16)).astype(np.float32)
        second[:7] = first[3:]
        assert motion_similarity(first, second) == pytest.approx(1, abs=1e-5)
        assert motion_similarity(first[:, :, ::-1], second) == pytest.approx(1, abs=1e-5)

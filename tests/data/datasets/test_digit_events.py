from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from sora_keras.data import split_rows
from sora_keras.data.datasets import digit_events
from sora_keras.data.datasets.digit_events import Appearance, make_digit_events, render_events
from sora_keras.data.datasets.moving_digits import MOTIONS
from sora_keras.data.event_manifest import read_events
from sora_keras.video import stream_frames
from sora_keras.video.probing import probe

NUM_VIDEOS, NUM_FRAMES, SIZE = 40, 12, 32
VOCABULARIES = {"digit": list("0123456789"), "motion": list(MOTIONS)}
IMAGES = load_digits().images.astype(np.float32) * (255 / 16)


def make(directory: Path, **options) -> Path:
    options = {"num_videos": NUM_VIDEOS, "seed": 3, "num_frames": NUM_FRAMES, "size": SIZE} | options
    return make_digit_events(directory=directory, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("made") / "digits")


@pytest.fixture(scope="module")
def rows(folder):
    return read_events(folder / "events.csv", VOCABULARIES)


def written_frames(monkeypatch, tmp_path, **options) -> dict[str, np.ndarray]:
    frames_of = {}
    monkeypatch.setattr(
        digit_events, "write_video", lambda path, frames, frames_per_second: frames_of.update({path.name: frames})
    )
    make(tmp_path / str(len(list(tmp_path.iterdir()))), **options)
    return frames_of


class TestFolder:
    def test_two_digits_and_their_motions_in_each_video(self, rows):
        assert len(rows) == NUM_VIDEOS
        for row in rows:
            digits = [event for event in row.events if event.vocabulary == ""]
            motions = [event for event in row.events if event.vocabulary == "motion"]
            assert len({event.label for event in digits}) == len({event.label for event in motions}) == 2
            assert Counter(when(event) for event in digits) == Counter(when(event) for event in motions)

    def test_intervals(self, rows):
        lengths = [event.end_seconds - event.start_seconds for row in rows for event in row.events]
        assert min(lengths) >= 3 / 8
        assert max(lengths) <= NUM_FRAMES / 8 * 2 / 3
        starts = [event.start_seconds for row in rows for event in row.events]
        assert len(set(starts)) > 5
        assert all(start * 8 == round(start * 8) for start in starts)

    def test_videos_are_h264(self, rows):
        for row in rows:
            info = probe(row.path)
            assert (info.codec, info.height, info.width, info.frames_per_second) == ("h264", SIZE, SIZE, 8.0)
            assert info.duration_seconds == pytest.approx(NUM_FRAMES / 8)

    def test_groups_share_no_scan(self, folder, monkeypatch, tmp_path):
        pool_of = defaultdict(set)
        render = digit_events.render_events
        drawn = []
        monkeypatch.setattr(
            digit_events,
            "render_events",
            lambda images, appearances, *rest: drawn.append(appearances) or render(images, appearances, *rest),
        )
        monkeypatch.setattr(digit_events.os, "cpu_count", lambda: 1)
        rows = read_events(make(tmp_path / "again") / "events.csv", VOCABULARIES)
        for row, appearances in zip(rows, drawn, strict=True):
            digits = {event.label for event in row.events if event.vocabulary == ""}
            assert digits == {str(load_digits().target[shown.scan]) for shown in appearances}
            for shown in appearances:
                pool_of[shown.scan].add(row.group)
        assert len(pool_of) > NUM_VIDEOS
        assert {len(groups) for groups in pool_of.values()} == {1}
        train, test = split_rows(rows, 0.2, seed=0)
        assert not {row.group for row in train} & {row.group for row in test}

    def test_no_digit_is_there_outside_its_interval(self, rows):
        for row in rows:
            frames = np.stack([frame for _, frame in stream_frames(row.path)])
            seconds = (np.arange(NUM_FRAMES) + 0.5) / 8
            shown = [any(e.start_seconds <= s < e.end_seconds for e in row.events) for s in seconds]
            # No background reaches 115 once blurred, and no stroke is darker than 170.
            bright = np.array([cv2.blur(frame.mean(axis=-1), (2, 2)).max() > 115 for frame in frames])
            np.testing.assert_array_equal(bright, shown)


def when(event):
    return event.start_seconds, event.end_seconds


class TestSeed:
    def test_the_same_frames(self, monkeypatch, tmp_path):
        first, again = (written_frames(monkeypatch, tmp_path) for _ in range(2))
        other = written_frames(monkeypatch, tmp_path, seed=4)
        assert first.keys() == again.keys() == other.keys()
        for name, frames in first.items():
            np.testing.assert_array_equal(frames, again[name])
            assert np.any(frames != other[name])


class TestMaking:
    def test_the_second_call_makes_nothing(self, folder):
        times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        assert make(folder) == folder
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times

    def test_by_default_in_the_cache_of_keras(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        made = make_digit_events(20, seed=2, num_frames=8, size=16)
        assert made == tmp_path / "datasets" / "sora_keras" / "digit_events_20x8x16_8fps_seed2"
        assert [path.name for path in made.parent.iterdir()] == [made.name]
        assert made.stat().st_mode & 0o755 == 0o755

    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("No space left on device")])
    def test_interrupted_it_leaves_nothing(self, tmp_path, monkeypatch, error):
        def fail(*arguments):
            raise error

        monkeypatch.setattr(digit_events, "write_video", fail)
        with pytest.raises((KeyboardInterrupt, OSError)):
            make(tmp_path / "digits")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["notes.txt", "events.csv"])
    def test_a_folder_of_somebody_else_is_left_alone(self, tmp_path, name):
        (tmp_path / name).write_text("path,label\na.mp4,a\n")
        with pytest.raises(FileExistsError, match=rf"{tmp_path} holds something other than digit_events_40x12x32_8fps"):
            make(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize("other", [{"seed": 5}, {"num_videos": 60}, {"num_frames": 13}, {"size": 48}])
    def test_others_do_not_pass_for_these(self, folder, other):
        with pytest.raises(FileExistsError, match=r"remove it, or name another folder"):
            make(folder, **other)

    def test_too_few(self, tmp_path):
        with pytest.raises(ValueError, match=r"`num_videos` must be at least 20, one for each pool, received 19"):
            make(tmp_path / "digits", num_videos=19)
        with pytest.raises(ValueError, match=r"`num_frames` must be at least 8, .*received 7"):
            make(tmp_path / "digits", num_frames=7)


def draw(motion: str, seed: int, scan: int | None = None) -> np.ndarray:
    """Masks `(10, 64, 64)` of one digit that moves over all ten frames."""
    rng = np.random.default_rng(seed)
    scan = int(rng.integers(len(IMAGES))) if scan is None else scan
    frames = render_events(IMAGES, [Appearance(scan, motion, 0, 9)], 10, 64, rng)
    return np.stack([cv2.blur(frame.mean(axis=-1), (3, 3)) > 115 for frame in frames])


class TestMotion:
    """What is drawn moves as its name says, by the moments of the bright pixels."""

    @pytest.mark.parametrize(
        ("motion", "axis", "sign"), [("left", 2, -1), ("right", 2, 1), ("up", 1, -1), ("down", 1, 1)]
    )
    def test_middle(self, motion, axis, sign):
        for seed in range(30):
            masks = draw(motion, seed)
            places = np.array([[0, *np.argwhere(mask).mean(axis=0)] for mask in masks])
            path = places[-1] - places[0]
            assert 0.3 * 64 - 3 < sign * path[axis] < 0.45 * 64 + 3
            assert abs(path[3 - axis]) < 3

    @pytest.mark.parametrize(("motion", "sign"), [("growing", 1), ("shrinking", -1)])
    def test_area(self, motion, sign):
        for seed in range(30):
            areas = draw(motion, seed).sum(axis=(1, 2)).astype(float)
            assert (sign * np.diff(areas) > 0).mean() > 0.8
            assert sign * math.log(areas[-1] / areas[0]) > 0.5

    @pytest.mark.parametrize(("motion", "sign"), [("clockwise", 1), ("counter_clockwise", -1)])
    def test_turn(self, motion, sign):
        turns = []
        for seed in range(30):
            moments = [cv2.moments(mask.astype(np.uint8), binaryImage=True) for mask in draw(motion, seed)]
            angles = [0.5 * np.arctan2(2 * m["mu11"], m["mu20"] - m["mu02"]) for m in moments]
            unwrapped = np.unwrap(angles, period=np.pi)
            turns.append(np.degrees(unwrapped[-1] - unwrapped[0]) * sign)
        # Round digits such as 0 and 8 have no axis to speak of.
        assert np.mean(np.array(turns) > 0) > 0.9
        assert 60 < np.median(turns) < 105

    @pytest.mark.parametrize("motion", MOTIONS)
    def test_inside_the_picture(self, motion):
        for seed in range(30):
            for mask in draw(motion, seed):
                # What left the picture would come back on its other side.
                assert np.ptp(np.argwhere(mask), axis=0).max() < 50

    @pytest.mark.parametrize("motion", MOTIONS)
    def test_six_and_nine_stay_apart(self, motion):
        names = load_digits().target
        loops = defaultdict(list)
        for name in (6, 9):
            for seed, scan in enumerate(np.flatnonzero(names == name)[:25]):
                for mask in draw(motion, seed, int(scan)):
                    # The loop is heavier than the stroke: below the middle of the box in a 6, above it in a 9.
                    rows = np.argwhere(mask)[:, 0]
                    loops[name].append(rows.mean() - (rows.min() + rows.max()) / 2)
        assert np.mean(np.array(loops[6]) > np.median(loops[6] + loops[9])) > 0.8
        assert np.mean(np.array(loops[9]) < np.median(loops[6] + loops[9])) > 0.8

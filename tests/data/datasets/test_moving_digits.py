from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sora_keras.data import make_moving_digits, rows_from_directory
from sora_keras.data.datasets import moving_digits
from sora_keras.data.datasets.moving_digits import MOTIONS, render
from sora_keras.video import ClipSpec, read_clip, stream_frames
from sora_keras.video.probing import probe

NUM_VIDEOS = 24
NUM_FRAMES = 12
SIZE = 32


def make(directory: Path, **options) -> Path:
    options = {"num_videos": NUM_VIDEOS, "seed": 3, "num_frames": NUM_FRAMES, "size": SIZE} | options
    return make_moving_digits(directory=directory, **options)


def decode(path: Path) -> np.ndarray:
    return np.stack([frame for _, frame in stream_frames(path)])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("made") / "digits")


@pytest.fixture(scope="module")
def lines(folder) -> list[dict[str, str]]:
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class TestFolder:
    def test_a_folder_a_motion(self, folder, lines):
        rows = rows_from_directory(folder, groups="group")
        assert Counter(row.label for row in rows) == dict.fromkeys(MOTIONS, NUM_VIDEOS // 8)
        assert {(row.path, row.label, row.group) for row in rows} == {
            (str(folder / line["path"]), line["label"], line["group"]) for line in lines
        }

    def test_numbers_that_eight_does_not_divide(self, tmp_path):
        rows = rows_from_directory(make(tmp_path / "digits", num_videos=11))
        assert sorted(Counter(row.label for row in rows).values()) == [1] * 5 + [2] * 3

    def test_videos_are_h264(self, folder, lines):
        for line in lines:
            info = probe(folder / line["path"])
            assert (info.codec, info.height, info.width, info.frames_per_second) == ("h264", SIZE, SIZE, 16.0)
            assert info.duration_seconds == pytest.approx(NUM_FRAMES / 16)

    def test_manifest(self, lines):
        targets = load_digits().target
        assert list(lines[0]) == ["path", "label", "group", "digit", "motion", "start_seconds", "end_seconds"]
        for line in lines:
            assert line["label"] == line["motion"] == Path(line["path"]).parent.name
            assert int(line["digit"]) == targets[int(line["group"].removeprefix("scan"))]
            assert 0 <= float(line["start_seconds"]) < float(line["end_seconds"]) <= (NUM_FRAMES - 1) / 16 + 1e-3
        assert len({line["start_seconds"] for line in lines}) > 1

    def test_the_digit_rests_outside_its_interval(self, tmp_path):
        folder = make(tmp_path / "digits", num_videos=8, num_frames=36, size=48)
        with open(folder / "manifest.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        for line in lines:
            # The noise is that of the video; a rest has nothing else between two frames, a motion has.
            change = np.abs(np.diff(decode(folder / line["path"]).astype(float), axis=0)).mean(axis=(1, 2, 3))
            first, last = (round(float(line[name]) * 16) for name in ("start_seconds", "end_seconds"))
            resting = np.concatenate([change[:first], change[last:]])
            if len(resting):
                assert resting.mean() < change[first:last].mean()

    def test_readable_by_others(self, folder):
        assert folder.stat().st_mode & 0o755 == 0o755


class TestSeed:
    @pytest.fixture
    def written(self, tmp_path, monkeypatch):
        """The frames that a seed has written, by path in the folder."""

        def write(seed):
            frames_of = {}
            monkeypatch.setattr(
                moving_digits,
                "write_video",
                lambda path, frames, frames_per_second: frames_of.update({(path.parent.name, path.name): frames}),
            )
            make(tmp_path / f"{seed} {len(list(tmp_path.iterdir()))}", seed=seed)
            return frames_of

        return write

    def test_frames(self, written):
        first, again, other = written(3), written(3), written(4)
        assert first.keys() == again.keys() == other.keys()
        for path, frames in first.items():
            np.testing.assert_array_equal(frames, again[path])
            assert np.any(frames != other[path])

    def test_the_same_seed_makes_the_same_frames(self, folder, tmp_path):
        again = make(tmp_path / "again")
        assert (again / "manifest.csv").read_bytes() == (folder / "manifest.csv").read_bytes()
        for row in rows_from_directory(folder):
            path = Path(row.path)
            np.testing.assert_array_equal(decode(path), decode(again / path.relative_to(folder)))

    def test_another_seed_makes_others(self, folder, tmp_path):
        other = make(tmp_path / "other", seed=4)
        assert (other / "manifest.csv").read_bytes() != (folder / "manifest.csv").read_bytes()
        for row in rows_from_directory(folder):
            path = Path(row.path)
            assert np.any(decode(path) != decode(other / path.relative_to(folder)))


class TestMaking:
    def test_the_second_call_makes_nothing(self, folder):
        times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        assert make(folder) == folder
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times

    def test_by_default_in_the_cache_of_keras(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        made = make_moving_digits(8, seed=2, num_frames=6, size=16)
        assert made == tmp_path / "datasets" / "sora_keras" / "moving_digits_8x6x16_16fps_seed2"
        assert len(rows_from_directory(made)) == 8
        assert [path.name for path in made.parent.iterdir()] == [made.name]

    def test_an_empty_folder_is_filled(self, tmp_path):
        (tmp_path / "digits").mkdir()
        assert len(rows_from_directory(make(tmp_path / "digits", num_videos=8))) == 8

    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("No space left on device")])
    def test_interrupted_it_leaves_nothing(self, tmp_path, monkeypatch, error):
        calls = []

        def write_some(path, frames, frames_per_second):
            calls.append(path)
            if len(calls) > 5:
                raise error
            Path(path).write_bytes(b"video")

        monkeypatch.setattr(moving_digits, "write_video", write_some)
        with pytest.raises((KeyboardInterrupt, OSError)):
            make(tmp_path / "digits")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["notes.txt", "manifest.csv"])
    def test_a_folder_of_somebody_else_is_left_alone(self, tmp_path, name):
        (tmp_path / name).write_text("path,label\na.mp4,a\n")
        with pytest.raises(
            FileExistsError, match=rf"{tmp_path} holds something other than moving_digits_24x12x32_16fps"
        ):
            make(tmp_path)
        assert contents(tmp_path) == {name: b"path,label\na.mp4,a\n"}

    @pytest.mark.parametrize("other", [{"seed": 5}, {"num_videos": 32}, {"num_frames": 13}, {"size": 48}])
    def test_other_moving_digits_do_not_pass_for_these(self, folder, other):
        with pytest.raises(FileExistsError, match=r"remove it, or name another folder"):
            make(folder, **other)

    def test_made_by_another_process_meanwhile(self, folder, tmp_path, monkeypatch):
        directory = tmp_path / "digits"
        write_videos = moving_digits._write_videos

        def write_beside_another(*arguments):
            write_videos(*arguments)
            shutil.copytree(folder, directory)

        monkeypatch.setattr(moving_digits, "_write_videos", write_beside_another)
        assert make(directory) == directory
        assert contents(directory) == contents(folder)
        assert [path.name for path in tmp_path.iterdir()] == ["digits"]

    def test_too_few(self, tmp_path):
        with pytest.raises(ValueError, match=r"`num_videos` must be at least 8, one for each motion, received 7"):
            make(tmp_path / "digits", num_videos=7)

    def test_wrong_rate_leaves_nothing(self, tmp_path):
        with pytest.raises(ValueError, match=r"frames_per_second must be from .*received -4"):
            make(tmp_path / "digits", frames_per_second=-4.0)
        assert list(tmp_path.iterdir()) == []


NUM_DRAWN = 60


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[np.ndarray]]:
    """Masks of the digit `(T, 64, 64)` in many videos of each motion."""
    images = load_digits().images.astype(np.float32) * (255 / 16)

    def draw(motion, index):
        rng = np.random.default_rng([1, index])
        frames = render(images[rng.integers(len(images))], motion, 24, 64, (0, 23), rng)
        return np.stack([bright_pixels(frame) for frame in frames])

    return {motion: [draw(motion, index) for index in range(NUM_DRAWN)] for motion in MOTIONS}


def bright_pixels(frame: np.ndarray) -> np.ndarray:
    """No background reaches 115 once blurred, and no stroke is darker than 170: what lies above is the digit."""
    return (cv2.blur(frame.mean(axis=-1), (3, 3)) > 115).astype(np.uint8)


def center(mask: np.ndarray) -> np.ndarray:
    """Row and column of the mask's middle on a picture whose sides meet: the circular mean, in pixels."""
    circle = np.exp(2j * np.pi * np.arange(64) / 64)
    return np.angle([mask.sum(axis=1) @ circle, mask.sum(axis=0) @ circle]) * 64 / (2 * np.pi)


def path_of(masks: np.ndarray) -> np.ndarray:
    """How far the middle has gone since the first frame, `(T, 2)` rows and columns, over the picture's sides."""
    path = np.unwrap([center(mask) for mask in masks], period=64, axis=0)
    return path - path[0]


class TestMotion:
    """What is drawn moves as its name says, by the moments of the bright pixels."""

    @pytest.mark.parametrize(
        ("motion", "axis", "sign"), [("left", 1, -1), ("right", 1, 1), ("up", 0, -1), ("down", 0, 1)]
    )
    def test_middle(self, drawn, motion, axis, sign):
        for masks in drawn[motion]:
            path = path_of(masks)
            assert 0.35 * 64 - 2 < sign * path[-1, axis] < 0.7 * 64 + 2
            assert np.abs(path[:, 1 - axis]).max() < 2.5

    @pytest.mark.parametrize(("motion", "sign"), [("growing", 1), ("shrinking", -1)])
    def test_area(self, drawn, motion, sign):
        for masks in drawn[motion]:
            growth = sign * np.diff(np.log(masks.sum(axis=(1, 2)) + 1.0))
            # All steps go one way, but the one at most in which the full-grown digit starts small again.
            assert (growth > 0).mean() > 0.8
            assert (growth < -0.7).sum() <= 1
            assert 0.3 < growth[growth > -0.7].sum() < 2.2

    @pytest.mark.parametrize("motion", ["left", "right", "up", "down", "clockwise", "counter_clockwise"])
    def test_only_growing_and_shrinking_change_the_area(self, drawn, motion):
        for masks in drawn[motion]:
            areas = masks.sum(axis=(1, 2))
            assert 0.6 < areas[-1] / areas[0] < 1.6

    @pytest.mark.parametrize(("motion", "sign"), [("clockwise", 1), ("counter_clockwise", -1)])
    def test_principal_axis(self, drawn, motion, sign):
        # An axis has no head: angles are known up to 180 degrees, and neighboring frames differ by little.
        turns = [
            np.ptp(angles) * np.sign(angles[-1] - angles[0])
            for angles in (
                np.unwrap([principal_angle(mask) for mask in masks], period=np.pi) for masks in drawn[motion]
            )
        ]
        # Rows count downwards, so growing angles are clockwise. Round digits such as 0 have no axis to speak of.
        assert np.mean(np.sign(turns) == sign) > 0.9
        assert 60 < np.median(np.degrees(turns)) * sign < 170

    @pytest.mark.parametrize("motion", ["clockwise", "counter_clockwise", "growing", "shrinking"])
    def test_what_does_not_travel_stays(self, drawn, motion):
        strayed = [np.abs(path_of(masks)).max() for masks in drawn[motion]]
        assert np.median(strayed) < 5


def principal_angle(mask: np.ndarray) -> float:
    rows, columns = np.round(32 - center(mask)).astype(int)
    moments = cv2.moments(np.roll(mask, (rows, columns), axis=(0, 1)), binaryImage=True)
    return 0.5 * np.arctan2(2 * moments["mu11"], moments["mu20"] - moments["mu02"])


def test_one_frame_does_not_tell_the_class_but_several_do(tmp_path):
    num_train, num_test = 400, 200
    folder = make(tmp_path / "digits", num_videos=640, seed=0)
    rows = rows_from_directory(folder, groups="group")
    rng = np.random.default_rng(0)
    scans = sorted({row.group for row in rows})
    test_scans = set(rng.permutation(scans)[: len(scans) // 3])
    features, labels = {}, {}
    for part, number in (("train", num_train), ("test", num_test)):
        chosen = [row for row in rows if (row.group in test_scans) == (part == "test")]
        chosen = [chosen[index] for index in rng.permutation(len(chosen))[:number]]
        clips = np.stack([read_clip(row.path, ClipSpec(8, 16, 16)).frames.mean(axis=-1) for row in chosen])
        labels[part] = [row.label for row in chosen]
        features[part] = {
            "first frame": clips[:, 0],
            "last frame": clips[:, -1],
            "any frame": clips[np.arange(number), rng.integers(0, 8, number)],
            "changes": np.diff(clips, axis=1),
        }
    assert len(labels["train"]) == num_train
    assert len(labels["test"]) == num_test

    def accuracy(name):
        model = make_pipeline(StandardScaler(), PCA(60, svd_solver="randomized", random_state=0), SVC(C=10))
        model.fit(features["train"][name].reshape(num_train, -1), labels["train"])
        return model.score(features["test"][name].reshape(num_test, -1), labels["test"])

    for name in ("first frame", "last frame", "any frame"):
        assert accuracy(name) <= 0.2, name
    assert accuracy("changes") >= 0.3

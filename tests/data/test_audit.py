from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from sora_keras.data import Row, k_fold, read_manifest, split_rows
from sora_keras.data.audit import audit_rows
from sora_keras.data.audit_sheet import draw_findings
from sora_keras.data.datasets.directory import rows_from_directory
from sora_keras.video import ClipSpec, read_clip, write_video


def in_parts(rows: list[Row], *parts: str) -> list[Row]:
    """The rows, in turn on each side."""
    return [dataclasses.replace(row, split=parts[index % len(parts)]) for index, row in enumerate(rows)]


def ungrouped(rows: list[Row]) -> list[Row]:
    return [dataclasses.replace(row, group=row.path) for row in rows]


def kinds(audit) -> Counter[tuple[str, str]]:
    return Counter((finding.severity, finding.kind) for finding in audit.findings)


@pytest.fixture
def clips(tmp_path) -> Callable[..., Row]:
    """Write a video of dots that wander over a still background; numbers say which background and which wandering."""

    def write(name: str, scene: int, moment: int, split: str | None = None, group: str = "", **options) -> Row:
        noise = np.random.default_rng(scene).normal(size=(96, 128)).astype(np.float32)
        background = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1, 2, 4, 8))
        background = cv2.normalize(background, None, 20, 200, cv2.NORM_MINMAX).astype(np.uint8)
        rng = np.random.default_rng(1000 + moment)
        places = np.cumsum(rng.normal(0, 4, (32, 4, 2)), axis=0) + rng.uniform(0, 96, (4, 2))
        frames = np.repeat(background[np.newaxis], 32, axis=0)
        for frame, dots in zip(frames, places, strict=True):
            for x, y in dots.round().astype(int).tolist():
                cv2.circle(frame, (x % 128, y % 96), 6, 255, -1)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write_video(path, np.repeat(frames[..., np.newaxis], 3, axis=-1), frames_per_second=16.0, **options)
        return Row(str(path), split=split, group=group)

    return write


class TestWithoutReadingVideos:
    def test_clean(self):
        rows = [Row("a1", group="a", split="one"), Row("a2", group="a", split="one"), Row("b", split="two")]
        audit = audit_rows(rows, near_duplicates=False)
        assert audit.is_clean
        assert audit.findings == audit.faults == ()
        assert audit.summary() == "3 rows, split into one 2, two 1: nothing leaks."

    def test_a_group_on_three_sides(self):
        rows = in_parts([Row(f"{index}.mp4", group="anna") for index in range(7)], "train", "val", "test")
        (finding,) = audit_rows([*rows, Row("7.mp4", group="bob", split="val")], near_duplicates=False).findings
        assert (finding.kind, finding.severity, finding.sides) == ("group", "leak", ("train", "val"))
        assert finding.detail == "group 'anna' has rows in train 3, val 2, test 2"
        assert [row.path for row in finding.rows] == ["0.mp4", "1.mp4"]

    def test_files_and_parts(self, tmp_path):
        for name in ("a.mp4", "b.mp4", "copy_of_b.mp4"):
            (tmp_path / name).write_text(name[-5])
        path = str(tmp_path / "a.mp4")
        rows = [
            Row(path, split="train", group="1", end_seconds=4.0),
            Row(path, split="test", group="2", start_seconds=3.5, end_seconds=8.0),
            Row(str(tmp_path / "b.mp4"), split="train"),
            Row(str(tmp_path / "copy_of_b.mp4"), split="test"),
            Row("c.mp4", split="train", group="3", end_seconds=1.0),
            Row("c.mp4", split="test", group="4", start_seconds=5.0),
            Row("d.mp4", split="test"),
            Row("d.mp4", split="test"),
        ]
        audit = audit_rows(rows, near_duplicates=False)
        details = [(each.severity, each.kind, each.detail) for each in audit.findings]
        assert details == [
            ("leak", "same file", "two files of the same bytes"),
            ("leak", "same part", "the same path, in both: 0.5 s"),
            ("notice", "same file", "the same path, twice on one side"),
            ("notice", "same video", "the same path, parts 4 s apart"),
        ]
        assert not audit.is_clean
        assert str(audit.findings[1]) == f"leak: same part: {path} 0-4 s (train) and {path} 3.5-8 s (test): " + (
            "the same path, in both: 0.5 s"
        )

    def test_without_a_split_the_groups_are_the_sides(self, tmp_path):
        rows = [Row("a.mp4", group="x"), Row("./a.mp4", group="y"), Row("b.mp4", group="x"), Row("c.mp4", group="y")]
        audit = audit_rows(rows, near_duplicates=False)
        assert [(each.kind, each.sides) for each in audit.findings] == [("same file", ("x", "y"))]
        assert audit.sides == {}
        assert "with no split named: whatever leaks between groups" in audit.summary()

    def test_some_rows_without_a_part(self):
        rows = [Row("a.mp4", split="train"), Row("b.mp4"), Row("c.mp4", split="test"), Row("d.mp4")]
        with pytest.raises(ValueError, match=r"2 of 4 rows name no part of the split, such as b\.mp4"):
            audit_rows(rows)

    def test_arguments(self):
        with pytest.raises(ValueError, match=r"`same_scene`.*received 'fine'"):
            audit_rows([], same_scene="fine")
        with pytest.raises(ValueError, match="`max_distance` must be from 0 to 128 bits, received 129"):
            audit_rows([], max_distance=129)

    def test_no_rows(self):
        assert audit_rows([]).is_clean


class TestNearDuplicates:
    def test_same_footage_is_told_from_the_same_scene(self, clips):
        rows = [
            clips("a.mp4", scene=1, moment=1, split="train", quality=18),
            clips("b.mp4", scene=2, moment=2, split="train"),
            clips("c.mp4", scene=3, moment=3, split="train"),
            clips("a_again.mp4", scene=1, moment=1, split="test", quality=33),
            clips("b_later.mp4", scene=2, moment=22, split="test"),
            clips("d.mp4", scene=4, moment=4, split="test"),
        ]
        audit = audit_rows(rows)
        found = {(each.kind, *(Path(row.path).stem for row in each.rows)) for each in audit.findings}
        assert found == {("same footage", "a", "a_again"), ("same scene", "b", "b_later")}
        assert all(each.severity == "leak" and each.distance <= 48 for each in audit.findings)
        assert not audit.is_clean

    def test_a_scene_may_be_a_notice(self, clips):
        rows = [clips(f"{index}.mp4", scene=5, moment=index, split=split) for index, split in enumerate(("x", "y"))]
        audit = audit_rows(rows, same_scene="notice")
        assert kinds(audit) == {("notice", "same scene"): 1}
        assert audit.is_clean

    def test_on_one_side_it_does_no_harm(self, clips):
        rows = [clips(f"{index}.mp4", scene=6, moment=6, split="train", quality=20 + index) for index in range(3)]
        assert audit_rows([*rows, clips("other.mp4", scene=7, moment=7, split="test")]).findings == ()

    def test_groups_are_the_sides_where_no_split_is_named(self, clips):
        rows = [clips(f"{index}.mp4", scene=8, moment=index, group="g") for index in range(3)]
        assert audit_rows(rows).findings == ()
        rows.append(clips("3.mp4", scene=8, moment=3, group="h"))
        assert set(kinds(audit_rows(rows))) == {("leak", "same scene")}

    def test_the_same_bytes_are_found_once(self, clips, tmp_path):
        row = clips("a.mp4", scene=9, moment=9, split="train")
        (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
        audit = audit_rows([row, Row(str(tmp_path / "b.mp4"), split="test")])
        assert kinds(audit) == {("leak", "same file"): 1}

    def test_footage_is_preferred_to_a_closer_scene(self, clips):
        rows = [clips("a.mp4", scene=10, moment=1, split="test")]
        rows += [clips(f"{moment}.mp4", scene=10, moment=moment, split="train") for moment in (2, 3)]
        rows.append(clips("copy.mp4", scene=10, moment=1, split="train", quality=36))
        first = audit_rows(rows).findings[0]
        assert (first.kind, {Path(row.path).stem for row in first.rows}) == ("same footage", {"a", "copy"})

    def test_unreadable_videos_are_faults(self, clips, tmp_path):
        (tmp_path / "text.mp4").write_text("no video")
        rows = [clips("a.mp4", scene=1, moment=1, split="train"), clips("b.mp4", scene=1, moment=1, split="test")]
        rows[1:1] = [Row(str(tmp_path / "text.mp4"), split="train"), Row(str(tmp_path / "gone.mp4"), split="test")]
        audit = audit_rows([*rows, Row(rows[0].path, start_seconds=99.0, split="train")])
        assert [Path(fault.path).name for fault in audit.faults] == ["text.mp4", "gone.mp4", "a.mp4"]
        assert ("leak", "same file") in kinds(audit)
        assert audit.lines()[-1].endswith("; 3 cannot be read.")
        assert "there is no such file" in audit.lines()[-3]
        assert json.loads(audit.json_lines()[-1])["kind"] == "unreadable"

    def test_distance(self, clips):
        rows = [clips("a.mp4", scene=11, moment=1, split="a"), clips("b.mp4", scene=11, moment=2, split="b")]
        (finding,) = audit_rows(rows).findings
        assert audit_rows(rows, max_distance=finding.distance).findings == (finding,)
        assert audit_rows(rows, max_distance=finding.distance - 1).findings == ()


class TestOutput:
    def test_lines(self):
        rows = in_parts([Row(f"{index // 2}.mp4", group=str(index)) for index in range(10)], "train", "test")
        audit = audit_rows(rows, near_duplicates=False)
        assert len(audit.lines()) == 6
        assert audit.lines(most=2)[:2] == audit.lines()[:2]
        assert audit.lines(most=2)[2:] == [
            "and 3 more",
            "10 rows, split into train 5, test 5: leak: same file 5.",
        ]

    def test_json_lines(self):
        rows = [Row("a.mp4", split="train", end_seconds=2.5), Row("a.mp4", split="test", start_seconds=1.5)]
        group, part = map(json.loads, audit_rows(rows, near_duplicates=False).json_lines())
        assert group["kind"] == "group"
        assert part == {
            "kind": "same part",
            "severity": "leak",
            "rows": [
                {"path": "a.mp4", "side": "train", "group": "a.mp4", "start_seconds": 0.0, "end_seconds": 2.5},
                {"path": "a.mp4", "side": "test", "group": "a.mp4", "start_seconds": 1.5, "end_seconds": None},
            ],
            "detail": "the same path, in both: 1 s",
            "distance": None,
        }

    def test_picture(self, clips, tmp_path):
        rows = [
            clips("a.mp4", scene=1, moment=1, split="train"),
            clips("b.mp4", scene=1, moment=1, split="test", quality=33),
            Row(str(tmp_path / "ünread\udcff.mp4"), split="train"),
            Row(str(tmp_path / "ünread\udcff.mp4"), split="test"),
        ]
        audit = audit_rows(rows)
        draw_findings(audit.findings, tmp_path / "leaks.jpg")
        picture = cv2.imread(str(tmp_path / "leaks.jpg"))
        assert picture.shape == (178 * len(audit.findings), 984, 3)
        alike = next(each for each in audit.findings if each.kind == "same footage")
        assert alike is not audit.findings[0]
        for row, left in zip(alike.rows, (0, 504), strict=True):
            frame = read_clip(row.path, ClipSpec(3, 120, 160)).frames[0, :, :, ::-1]
            drawn = picture[58:178, left : left + 160]
            assert np.abs(drawn.astype(int) - frame).mean() < 12

    def test_picture_of_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="at least 1 finding to draw, received 0"):
            draw_findings([], tmp_path / "leaks.jpg")


def same(frames: np.ndarray) -> np.ndarray:
    return frames


def resized(frames: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(frame, (160, 120), interpolation=cv2.INTER_AREA) for frame in frames])


def cropped(frames: np.ndarray) -> np.ndarray:
    rows, columns = round(0.05 * frames.shape[1]), round(0.05 * frames.shape[2])
    return frames[:, rows:-rows, columns:-columns]


def brightened(frames: np.ndarray) -> np.ndarray:
    return np.minimum(frames, 215) + 40


def trimmed(frames: np.ndarray) -> np.ndarray:
    return frames[len(frames) // 4 :]


def with_a_logo(frames: np.ndarray) -> np.ndarray:
    frames = frames.copy()
    side = round(0.15 * frames.shape[1])
    frames[:, 4 : 4 + side, 4 : 4 + side] = (255, 40, 40)
    return frames


def mirrored(frames: np.ndarray) -> np.ndarray:
    return frames[:, :, ::-1]


@pytest.mark.real_data
class TestRealVideos:
    # From six sources, among them bright and dark ones, still cameras and moving ones.
    CLIPS = ("fight/fi001", "fight/fi060", "fight/fi110", "no_fight/nofi010", "no_fight/nofi052", "no_fight/nofi083")

    @pytest.fixture
    def originals(self, real_data) -> list[Row]:
        paths = {f"{real_data / 'fights' / name}.mp4" for name in self.CLIPS}
        rows = [row for row in read_manifest(real_data / "fights" / "clips.csv") if row.path in paths]
        return [dataclasses.replace(row, split="train", group=row.path) for row in rows]

    @pytest.mark.parametrize("alter", [same, resized, cropped, brightened, trimmed, with_a_logo, mirrored])
    def test_altered_copies(self, originals, tmp_path, alter):
        copies = []
        for row in originals:
            frames = read_clip(row.path, ClipSpec(40, 240, 320)).frames
            copies.append(Row(str(tmp_path / Path(row.path).name), split="test"))
            write_video(copies[-1].path, np.ascontiguousarray(alter(frames)), frames_per_second=20.0, quality=28)
        audit = audit_rows([*originals, *copies])
        found = {
            tuple(sorted(Path(row.path).name for row in each.rows))
            for each in audit.findings
            if each.severity == "leak"
        }
        assert found == {(Path(row.path).name,) * 2 for row in originals}
        assert kinds(audit)["leak", "same footage"] >= 5

    def test_one_camera(self, real_data):
        rows = [Row(str(real_data / "ped2" / name)) for name in ("training/01.mp4", "testing/05.mp4")]
        audit = audit_rows(in_parts(rows, "train", "test"))
        assert kinds(audit) == {("leak", "same scene"): 1}

    def test_two_persons_make_the_same_signs(self, real_data):
        rows = rows_from_directory(real_data / "asl", groups=lambda path: Path(path).parent.name)
        rows = [dataclasses.replace(row, split=row.group) for row in rows]
        assert {row.split for row in rows} == {"jack", "tom"}
        assert audit_rows(rows).is_clean

    @pytest.mark.slow
    def test_a_random_split_of_the_fights_leaks_and_no_grouped_one_does(self, real_data):
        rows = read_manifest(real_data / "fights" / "clips.csv")
        order = np.random.default_rng(0).permutation(len(rows))
        random_split = in_parts([ungrouped(rows)[index] for index in order], *["train"] * 4, "test")
        audit = audit_rows(random_split)
        assert kinds(audit)["leak", "same scene"] >= 20
        group_of = {row.path: row.group for row in rows}
        assert all(group_of[one.path] == group_of[other.path] for one, other in (each.rows for each in audit.findings))
        # With each group a side of its own: whatever is clean now is clean however one splits by group.
        assert audit_rows(rows).findings == ()

    def test_grouped_splits_of_the_fights_share_no_group_and_no_file(self, real_data):
        rows = read_manifest(real_data / "fights" / "clips.csv")
        splits = [split_rows(rows, 0.2, seed) for seed in range(40)]
        splits += [fold for seed in range(4) for fold in k_fold(rows, 5, seed)]
        for train, validation in splits:
            parts = (("train", train), ("validation", validation))
            named = [dataclasses.replace(row, split=side) for side, part in parts for row in part]
            assert audit_rows(named, near_duplicates=False).findings == ()

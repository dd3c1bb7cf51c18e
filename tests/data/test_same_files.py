from __future__ import annotations

import math

import numpy as np
import pytest

from sora_keras.data import Row
from sora_keras.data.same_files import Repetition, repeated_rows


@pytest.fixture
def folder(tmp_path):
    for name, content in (("a", b"first"), ("b", b"other"), ("c", b"of another size")):
        (tmp_path / f"{name}.mp4").write_bytes(content)
    return tmp_path


def how(first: str, second: str, sides: tuple[str, str] = ("train", "test")) -> list[str]:
    return [each.how for each in repeated_rows([Row(first), Row(second)], sides)]


class TestWhichFilesAreTheSame:
    def test_the_same_path(self, folder):
        path = str(folder / "a.mp4")
        assert list(repeated_rows([Row(path), Row(path)], ["train", "test"])) == [
            Repetition(0, 1, math.inf, "the same path")
        ]

    def test_links_and_detours(self, folder):
        (folder / "link.mp4").symlink_to(folder / "a.mp4")
        (folder / "folder").symlink_to(folder)
        (folder / "below").mkdir()
        for other in ("link.mp4", "folder/a.mp4", "below/../a.mp4", "folder/folder/link.mp4"):
            assert how(str(folder / "a.mp4"), str(folder / other)) == ["one file under two paths"]

    def test_the_same_bytes(self, folder):
        (folder / "copy.mp4").write_bytes((folder / "a.mp4").read_bytes())
        (folder / "hard.mp4").hardlink_to(folder / "a.mp4")
        for other in ("copy.mp4", "hard.mp4"):
            assert how(str(folder / "a.mp4"), str(folder / other)) == ["two files of the same bytes"]

    def test_others(self, folder):
        for other in ("b.mp4", "c.mp4", "missing.mp4"):
            assert how(str(folder / "a.mp4"), str(folder / other)) == []

    def test_two_missing_files(self, folder):
        assert how(str(folder / "x.mp4"), str(folder / "y.mp4")) == []
        assert how(str(folder / "x.mp4"), str(folder / "x.mp4")) == ["the same path"]

    def test_twice_on_one_side(self, folder):
        path = str(folder / "a.mp4")
        assert how(path, path, ("train", "train")) == ["the same path"]
        parts = [Row(path, end_seconds=1.0), Row(path, start_seconds=0.5)]
        assert list(repeated_rows(parts, ["train", "train"])) == []


class TestParts:
    def test_overlap(self):
        rows = [Row("a", start_seconds=1.0, end_seconds=4.0), Row("a", start_seconds=3.25, end_seconds=9.0)]
        assert list(repeated_rows(rows, ["train", "test"])) == [Repetition(0, 1, 0.75, "the same path")]

    def test_of_separate_parts_the_closest(self):
        spans = [("train", 0, 2), ("train", 5, 6), ("test", 6.5, 8), ("test", 20, 30)]
        rows = [Row("a", start_seconds=start, end_seconds=end) for _, start, end in spans]
        assert list(repeated_rows(rows, [side for side, *_ in spans])) == [Repetition(1, 2, -0.5, "the same path")]

    def test_to_the_end(self):
        rows = [Row("a", start_seconds=8.0), Row("a", end_seconds=10.0), Row("b", start_seconds=3.0), Row("b")]
        found = {(each.first, each.second): each.shared_seconds for each in repeated_rows(rows, list("xyxy"))}
        assert found == {(1, 0): 2.0, (3, 2): math.inf}

    @pytest.mark.parametrize("seed", range(30))
    def test_random_parts_against_all_pairs(self, seed):
        rng = np.random.default_rng(seed)
        rows, sides = [], []
        for _ in range(40):
            start = float(rng.uniform(0, 60))
            rows.append(Row(f"{rng.integers(3)}", start_seconds=start, end_seconds=start + float(rng.uniform(0.1, 6))))
            sides.append(str(rng.integers(3)))
        found = list(repeated_rows(rows, sides))
        overlapping = {
            (i, j)
            for i, one in enumerate(rows)
            for j, other in enumerate(rows)
            if one.path == other.path
            and sides[i] != sides[j]
            and one.start_seconds < other.start_seconds < one.end_seconds
        }
        assert {(each.first, each.second) for each in found if each.shared_seconds > 0} <= overlapping
        # Each row that shares something with an earlier one of some side is reported with that side.
        assert {(sides[each.first], each.second) for each in found if each.shared_seconds > 0} == {
            (sides[i], j) for i, j in overlapping
        }
        for each in found:
            one, other = rows[each.first], rows[each.second]
            shared = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
            assert each.shared_seconds == pytest.approx(shared)

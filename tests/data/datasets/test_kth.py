from __future__ import annotations

import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sora_keras.data import official_split, relabeled, rows_of_events
from sora_keras.data.datasets.kth import ACTIONS, read_kth
from sora_keras.data.downloading.unpacking import ArchiveError
from sora_keras.video import ClipSpec, read_clip, write_video

HEADER = """
This database contains sequences of six classes of actions performed by
25 subjects in four different conditions (see below).

Training:   person11, 12, 13, 14, 15, 16, 17, 18
Validation: person19, 20, 21, 23, 24, 25, 01, 04
Test:       person22, 02, 03, 05, 06, 07, 08, 09, 10\x20

"""
# Lines of the published list that are not like the others: spaces before the tabs, out of order, three intervals,
# overlapping ones, and the video that does not exist.
ODD_LINES = {
    "person07_jogging_d4": "person07_jogging_d4\t\tframes\t1-64, 270-332, 194-264, 490-570",
    "person11_boxing_d4": "person11_boxing_d4    \t\tframes\t1-106, 107-194, 195-250",
    "person12_handclapping_d4": "person12_handclapping_d4    \tframes\t1-133, 134-238, 237-344, 345-479",
    "person13_handclapping_d3": "person13_handclapping_d3\tframes  ",
    "person13_handwaving_d3": "person13_handwaving_d3\t\tframes\t1-125, 126-240, 241-336",
    "person14_handwaving_d3": "person14_handwaving_d3\t\tframes\t1-145, 146-235, 236-330",
    "person15_boxing_d4": "person15_boxing_d4    \t\tframes\t1-90, 91-200, 201-294",
    "person22_boxing_d1": "person22_boxing_d1\t\tframes\t1-92, 104-208, 222-302",
}
NAMES = [
    f"person{person:02d}_{action}_d{scenario}"
    for person in range(1, 26)
    for action in ACTIONS
    for scenario in range(1, 5)
]
LINES = [ODD_LINES.get(name, f"{name}\t\tframes\t1-95, 96-185, 186-245, 246-360") for name in NAMES]


@pytest.fixture
def published(tmp_path) -> Path:
    """The whole dataset as published, but for what is in its 599 videos."""
    blocks = ["\n".join(LINES[start : start + 24]) for start in range(0, 600, 24)]
    (tmp_path / "00sequences.txt").write_bytes((HEADER + "\n\n".join(blocks) + "\n").replace("\n", "\r\n").encode())
    for action in ACTIONS:
        (tmp_path / action).mkdir()
    for name in NAMES:
        if name != "person13_handclapping_d3":
            (tmp_path / name.split("_")[1] / f"{name}_uncomp.avi").touch()
    return tmp_path


class TestReadKth:
    def test_the_whole_set(self, published):
        rows = read_kth(published)
        assert len(rows) == 599
        assert {name: len(part) for name, part in official_split(rows).items()} == {
            "train": 8 * 24 - 1, "validation": 8 * 24, "test": 9 * 24,
        }  # fmt: skip
        assert len(rows_of_events(rows)) == 2391
        assert Counter(row.label for row in rows) == {action: 100 - (action == "handclapping") for action in ACTIONS}

    def test_persons_are_groups_and_never_cross_the_split(self, published):
        split_of = {}
        for row in read_kth(published):
            assert row.group == row.attributes["person"] == Path(row.path).name[:8]
            assert split_of.setdefault(row.group, row.split) == row.split
        train = {"person11", "person12", "person13", "person14", "person15", "person16", "person17", "person18"}
        assert {person for person, split in split_of.items() if split == "train"} == train
        assert [split_of[f"person{number:02d}"] for number in (1, 2, 4, 19, 22, 25)] == [
            "validation", "test", "validation", "validation", "test", "validation",
        ]  # fmt: skip

    def test_frames_become_seconds(self, published):
        row = next(row for row in read_kth(published) if "person07_jogging_d4" in row.path)
        assert row.attributes == {"person": "person07", "scenario": "d4"}
        assert [(event.label, event.start_seconds, event.end_seconds) for event in row.events] == [
            ("jogging", 0.0, 2.56), ("jogging", 10.76, 13.28), ("jogging", 7.72, 10.56), ("jogging", 19.56, 22.8),
        ]  # fmt: skip

    def test_odd_lines(self, published):
        counts = {Path(row.path).name.removesuffix("_uncomp.avi"): len(row.events) for row in read_kth(published)}
        assert {name: counts.get(name) for name in ODD_LINES} == {
            "person07_jogging_d4": 4, "person11_boxing_d4": 3, "person12_handclapping_d4": 4,
            "person13_handclapping_d3": None, "person13_handwaving_d3": 3, "person14_handwaving_d3": 3,
            "person15_boxing_d4": 3, "person22_boxing_d1": 3,
        }  # fmt: skip

    def test_who_in_place_of_what(self, published):
        rows = relabeled(read_kth(published), "person")
        assert len({row.label for row in rows}) == 25

    def test_the_missing_video_may_be_said_to_be_missing(self, published):
        path = published / "00sequences.txt"
        path.write_text(path.read_text().replace("d3\tframes  ", "d3\t*missing*"))
        assert len(read_kth(published)) == 599

    def test_videos_beside_each_other(self, published):
        for path in list(published.glob("*/*.avi")):
            path.rename(published / path.name)
        for action in ACTIONS:
            (published / action).rmdir()
        rows = read_kth(published)
        assert len(rows) == 599
        assert rows[0].path == str(published / "person01_boxing_d1_uncomp.avi")

    def test_some_actions(self, published):
        assert len(read_kth(published, class_names=["walking", "handclapping"])) == 199
        with pytest.raises(
            ValueError, match=r"KTH has no actions \['jumping'\]; expected some of boxing, handclapping"
        ):
            read_kth(published, class_names=["jumping"])

    def test_missing_videos_and_unlisted_ones(self, published):
        (published / "walking" / "person02_walking_d3_uncomp.avi").unlink()
        with pytest.raises(FileNotFoundError, match=r"1 of the 599 videos are missing, such as .*person02_walking_d3"):
            read_kth(published)
        (published / "walking" / "person02_walking_d3_uncomp.avi").touch()
        lines = (published / "00sequences.txt").read_text().splitlines()
        (published / "00sequences.txt").write_text("\n".join(line for line in lines if "person25_boxing" not in line))
        with pytest.raises(
            ValueError, match=r"lists 595 videos and lacks 4 that are there, such as .*person25_boxing_d1"
        ):
            read_kth(published)

    def test_no_list(self, published):
        (published / "00sequences.txt").unlink()
        with pytest.raises(
            FileNotFoundError, match=r"00sequences\.txt is missing: get it from https://www\.csc\.kth\.se"
        ):
            read_kth(published)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (
                "person26_walking_d1\tframes\t1-7",
                r"line 1: expected personNN_ACTION_dN .* received 'person26_walking_d1",
            ),
            ("person01_flying_d1\tframes\t1-7", r"line 1: expected personNN_ACTION_dN .* received 'person01_flying_d1"),
            ("person01_walking_d1\tframes\t1-75, soon", r"line 1: expected frames such as .* received '1-75, soon'"),
            ("person01_walking_d1\tframes\t75-3", r"line 1: expected frames such as .* received '75-3'"),
            ("person01_walking_d1\tframes\t0-75", r"line 1: expected frames such as .* received '0-75'"),
        ],
    )
    def test_lines_that_cannot_be_read(self, tmp_path, line, message):
        (tmp_path / "00sequences.txt").write_text(line)
        with pytest.raises(ValueError, match=message):
            read_kth(tmp_path)


class TestZips:
    @pytest.fixture
    def zipped(self, published) -> Path:
        for path in sorted(published.glob("walking/*")):
            path.unlink()
        (published / "walking").rmdir()
        frames = np.repeat(np.arange(100, dtype=np.uint8) * 2, 120 * 160 * 3).reshape(100, 120, 160, 3)
        write_video(published / "video.mkv", frames, 25.0, quality=10)
        with zipfile.ZipFile(published / "walking.zip", "w") as archive:
            for name in NAMES:
                if "walking" in name:
                    archive.write(published / "video.mkv", f"{name}_uncomp.avi")
        return published

    def test_are_unpacked_once(self, zipped):
        rows = read_kth(zipped)
        assert len(rows) == 599
        changed_at = (zipped / "walking").stat().st_mtime_ns
        assert read_kth(zipped) == rows
        assert (zipped / "walking").stat().st_mtime_ns == changed_at
        assert not [name for name in os.listdir(zipped) if name.startswith(".")]

    def test_intervals_are_those_frames(self, zipped):
        sequence = rows_of_events(row for row in read_kth(zipped) if "person01_walking_d1" in row.path)[0]
        spec = ClipSpec(95, 120, 160, 25.0)
        clip = read_clip(sequence.path, spec, start_seconds=sequence.start_seconds, end_seconds=sequence.end_seconds)
        levels = clip.frames.mean(axis=(1, 2, 3)) / 2
        assert np.abs(levels - np.arange(95)).max() < 1.5

    def test_damaged(self, zipped):
        content = (zipped / "walking.zip").read_bytes()
        (zipped / "walking.zip").write_bytes(content[: len(content) // 2])
        with pytest.raises(ArchiveError, match=r"walking\.zip is neither a whole zip file nor a tar file"):
            read_kth(zipped)
        assert not (zipped / "walking").exists()

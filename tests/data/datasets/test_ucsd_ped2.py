from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from sora_keras.data import Event
from sora_keras.data.datasets.ucsd_ped2 import read_ucsd_ped2
from sora_keras.data.events import during_event
from sora_keras.video import ClipSpec, read_clip
from sora_keras.video.probing import probe
from sora_keras.video.reading import stream_frames

# First and last abnormal frame of the twelve test clips, as the published UCSDped2.m has them.
OFFICIAL = [
    (61, 180), (95, 180), (1, 146), (31, 180), (1, 129), (1, 159),
    (46, 180), (1, 180), (1, 120), (1, 150), (1, 180), (88, 180),
]  # fmt: skip


def matlab(ranges: list[str]) -> str:
    lines = [f"TestVideoFile{{end+1}}.gt_frame = [{text}];" for text in ranges]
    return "\r\n".join(["TestVideoFile = {};", *lines, ""])


def write_clip(folder: Path, frames: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, 1):
        assert cv2.imwrite(str(folder / f"{number:03d}.tif"), frame)


@pytest.fixture
def published(tmp_path) -> Path:
    """Two clips of each part in the published layout, with the clutter of the published archive."""
    rng = np.random.default_rng(0)
    root = tmp_path / "UCSDped2"
    for part in ("Train", "Test"):
        for number in (1, 2):
            write_clip(root / part / f"{part}{number:03d}", rng.integers(0, 256, (7 + number, 24, 36), np.uint8))
        (root / part / ".DS_Store").touch()
        (root / part / f"{part}001" / "._001.tif").touch()
    (root / "Test" / "Test001_gt").mkdir()
    (root / "Test" / "UCSDped2.m").write_bytes(matlab(["1:2, 5:7", "4:9"]).encode())
    (root / "Test" / "._UCSDped2.m").write_bytes(b"\x00\x05")
    (root / "Test" / "UCSDped2.m~").touch()
    return tmp_path


def pictures(folder: Path) -> np.ndarray:
    return np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.glob("[0-9]*.tif"))])


class TestPublished:
    def test_rows(self, published):
        rows = read_ucsd_ped2(published)
        assert [Path(row.path).name for row in rows] == ["Train001.mkv", "Train002.mkv", "Test001.mkv", "Test002.mkv"]
        assert [(row.label, row.split) for row in rows] == [("normal", "train")] * 2 + [(None, "test")] * 2
        assert rows[2].events == (Event("anomaly", 0.0, 0.2), Event("anomaly", 0.4, 0.7))
        assert rows[3].events == (Event("anomaly", 0.3, 0.9),)
        assert [dict(row.attributes) for row in rows[2:]] == [
            {"masks": str(published / "UCSDped2" / "Test" / "Test001_gt")}, {},
        ]  # fmt: skip
        np.testing.assert_array_equal(np.flatnonzero(during_event(rows[2], np.arange(8) / 10)), [0, 1, 4, 5, 6])

    def test_every_pixel_is_kept(self, published):
        for row in read_ucsd_ped2(published):
            folder = Path(row.path).with_suffix("")
            frames = np.stack([frame for _, frame in stream_frames(row.path)])
            np.testing.assert_array_equal(frames, pictures(folder)[..., None].repeat(3, -1))
            assert probe(row.path).frames_per_second == 10.0

    def test_the_folder_may_be_any_of_three(self, published):
        rows = read_ucsd_ped2(published / "UCSDped2")
        assert rows == read_ucsd_ped2(str(published))
        (published / "UCSD_Anomaly_Dataset.v1p2").mkdir()
        (published / "UCSDped2").rename(published / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped2")
        assert len(read_ucsd_ped2(published)) == 4

    def test_videos_are_written_once(self, published):
        written_at = [os.stat(row.path).st_mtime_ns for row in read_ucsd_ped2(published)]
        assert [os.stat(row.path).st_mtime_ns for row in read_ucsd_ped2(published)] == written_at

    def test_videos_elsewhere(self, published, tmp_path):
        rows = read_ucsd_ped2(published, videos_to=tmp_path / "videos")
        assert sorted(os.listdir(tmp_path / "videos")) == sorted(Path(row.path).name for row in rows)
        assert not list((published / "UCSDped2").rglob("*.mkv"))

    def test_a_missing_and_a_damaged_picture(self, published):
        folder = published / "UCSDped2" / "Train" / "Train002"
        content = (folder / "003.tif").read_bytes()
        (folder / "003.tif").unlink()
        with pytest.raises(FileNotFoundError, match=r"Train002 must hold 001\.tif .* without a gap, it has 8 pictures"):
            read_ucsd_ped2(published)
        (folder / "003.tif").write_bytes(b"no picture")
        with pytest.raises(ValueError, match=r"Train002/003\.tif cannot be read as a picture"):
            read_ucsd_ped2(published)
        assert not list(published.rglob("Train002*.mkv"))
        (folder / "003.tif").write_bytes(content)
        assert len(read_ucsd_ped2(published)) == 4

    def test_labels_that_do_not_fit(self, published):
        labels = published / "UCSDped2" / "Test" / "UCSDped2.m"
        labels.write_text(matlab(["1:2", "4:9", "3:5"]))
        with pytest.raises(ValueError, match=r"UCSDped2\.m labels 3 clips and .*Test has 2"):
            read_ucsd_ped2(published)
        labels.write_text(matlab(["1:2", "4 to 9"]))
        with pytest.raises(ValueError, match=r"expected frames such as \[1:52, 65:115\], received \[4 to 9\]"):
            read_ucsd_ped2(published)
        labels.unlink()
        with pytest.raises(FileNotFoundError, match=r"UCSDped2\.m is missing"):
            read_ucsd_ped2(published)


class TestVideos:
    @pytest.fixture
    def videos(self, tmp_path) -> Path:
        for name in ("training/01.mp4", "testing/01.mp4", "testing/02.mp4"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        lines = ["path,start_frame,end_frame", "testing/01.mp4,60,180", "testing/02.mp4,90,95", "testing/02.mp4,3,7"]
        (tmp_path / "anomalies.csv").write_text("\n".join(lines))
        return tmp_path

    def test_rows(self, videos):
        rows = read_ucsd_ped2(videos)
        assert [row.path for row in rows] == [
            str(videos / name) for name in ("training/01.mp4", "testing/01.mp4", "testing/02.mp4")
        ]
        assert rows[1].events == (Event("anomaly", 6.0, 18.0),)
        assert rows[2].events == (Event("anomaly", 0.3, 0.7), Event("anomaly", 9.0, 9.5))

    def test_a_video_without_a_line(self, videos):
        (videos / "testing" / "03.mp4").touch()
        with pytest.raises(FileNotFoundError, match=r"names 2 videos and .*testing has 3; not in both: .*03\.mp4"):
            read_ucsd_ped2(videos)

    def test_a_line_that_cannot_be_read(self, videos):
        (videos / "anomalies.csv").write_text("path,start_frame,end_frame\ntesting/01.mp4,soon,180")
        with pytest.raises(ValueError, match=r"whole numbers in the last two, received .*'soon'"):
            read_ucsd_ped2(videos)

    def test_neither(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"holds neither UCSDped2/Train \(as published\) nor anomalies\.csv"
        ):
            read_ucsd_ped2(tmp_path)


@pytest.mark.real_data
class TestRealData:
    def test_labels_are_the_official_ones(self, real_data):
        rows = read_ucsd_ped2(real_data / "ped2")
        assert [row.split for row in rows] == ["train"] * 16 + ["test"] * 12
        for row, (first, last) in zip(rows[16:], OFFICIAL, strict=True):
            info = probe(row.path)
            assert info.frames_per_second == 10.0
            num_frames = round(info.duration_seconds * 10)
            expected = np.zeros(num_frames, bool)
            expected[first - 1 : last] = True
            np.testing.assert_array_equal(during_event(row, np.arange(num_frames) / 10), expected)

    def test_real_clips_as_published(self, real_data, tmp_path):
        names = {"Train/Train001": "training/01", "Test/Test001": "testing/09", "Test/Test002": "testing/12"}
        for folder, name in names.items():
            frames = [frame[..., 1] for _, frame in stream_frames(real_data / "ped2" / f"{name}.mp4")]
            write_clip(tmp_path / "UCSDped2" / folder, np.stack(frames))
        (tmp_path / "UCSDped2" / "Test" / "UCSDped2.m").write_text(matlab(["1:120", "88:180"]))
        rows = read_ucsd_ped2(tmp_path)
        assert [row.events for row in rows] == [(), (Event("anomaly", 0.0, 12.0),), (Event("anomaly", 8.7, 18.0),)]
        for row, folder in zip(rows, names, strict=True):
            expected = pictures(tmp_path / "UCSDped2" / folder)
            assert expected.shape[1:] == (240, 360)
            frames = read_clip(row.path, ClipSpec(len(expected), 240, 360, 10.0)).frames
            np.testing.assert_array_equal(frames, expected[..., None].repeat(3, -1))

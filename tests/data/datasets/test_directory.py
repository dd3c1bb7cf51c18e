from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from sora_keras.data import Row, rows_from_directory


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def write_csv(path: Path, *lines: tuple[str, ...]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)


class TestRowsFromDirectory:
    def test_lists_videos_in_order_at_any_depth_and_leaves_the_rest_out(self, tmp_path):
        touch(tmp_path, "b/two.MP4", "b/deep/down/one.avi", "a/z.mov", "a/a.gif", "a/notes.txt", "readme.md")
        touch(tmp_path, "a/.hidden.mp4", "a/._z.mov", ".cache/a/x.mp4", "b/.git/y.mp4", "empty/none.csv")
        (tmp_path / "b" / "a folder named like a video.mp4").mkdir()
        rows = rows_from_directory(tmp_path)
        expected = [("a/a.gif", "a"), ("a/z.mov", "a"), ("b/deep/down/one.avi", "b"), ("b/two.MP4", "b")]
        assert rows == [Row(str(tmp_path / path), label, str(tmp_path / path)) for path, label in expected]

    def test_takes_a_folder_below_a_hidden_one(self, tmp_path):
        assert len(rows_from_directory(touch(tmp_path / ".keras" / "videos", "a/1.mp4"))) == 1

    def test_spaces_and_letters_of_other_alphabets(self, tmp_path):
        folder = touch(tmp_path / "meine Videos", "grüne Wiese/ein Film.mp4", "日本/ö #1 [x].mp4")
        rows = rows_from_directory(str(folder))
        assert {row.label for row in rows} == {"grüne Wiese", "日本"}
        assert all(Path(row.path).is_file() for row in rows)

    def test_labels_can_be_given_or_left_out(self, tmp_path):
        touch(tmp_path, "c.mp4", "a.mp4", "sub/b.mp4")
        assert [row.label for row in rows_from_directory(tmp_path, labels=None)] == [None] * 3
        rows = rows_from_directory(tmp_path, labels=np.array([7, 8, 9]))
        assert [(Path(row.path).name, row.label) for row in rows] == [("a.mp4", "7"), ("c.mp4", "8"), ("b.mp4", "9")]

    def test_wrong_labels(self, tmp_path):
        touch(tmp_path, "a/1.mp4", "a/2.mp4", "a/3.mp4")
        with pytest.raises(ValueError, match=r"one label for each of the 3 videos, received 2"):
            rows_from_directory(tmp_path, labels=["x", "y"])
        with pytest.raises(ValueError, match=r'must be "inferred", a sequence or None, received \'guessed\''):
            rows_from_directory(tmp_path, labels="guessed")

    def test_class_names_choose_sub_folders(self, tmp_path):
        touch(tmp_path, "a/1.mp4", "b/1.mp4", "c/1.mp4", "stray.mp4")
        assert [row.label for row in rows_from_directory(tmp_path, class_names=["c", "a"])] == ["a", "c"]
        with pytest.raises(ValueError, match=r"has no videos in sub-folders \['d'\]; it has \['a', 'b', 'c', "):
            rows_from_directory(tmp_path, class_names=["a", "d"])

    def test_a_video_beside_the_sub_folders_has_no_class(self, tmp_path):
        touch(tmp_path, "a/1.mp4", "stray.mp4")
        with pytest.raises(ValueError, match=rf"{tmp_path}/stray.mp4 lies in no class's sub-folder: move it into one"):
            rows_from_directory(tmp_path)

    def test_not_a_folder_and_an_empty_one(self, tmp_path):
        with pytest.raises(NotADirectoryError, match=r"nowhere is not a folder"):
            rows_from_directory(tmp_path / "nowhere")
        with pytest.raises(NotADirectoryError, match=r"file\.mp4 is not a folder"):
            rows_from_directory(touch(tmp_path, "file.mp4") / "file.mp4")
        with pytest.raises(ValueError, match=rf"{tmp_path / 'empty'} holds no videos"):
            rows_from_directory(touch(tmp_path / "empty", "a/notes.txt"))


class TestLinks:
    def test_out_of_the_folder(self, tmp_path):
        folder = touch(tmp_path / "videos", "a/1.mp4")
        outside = touch(tmp_path / "elsewhere", "2.mp4", "more/3.mp4")
        for link, target in (("a/link.mp4", outside / "2.mp4"), ("b", outside / "more")):
            (folder / link).symlink_to(target)
            with pytest.raises(ValueError, match=rf"{folder / link} is a link to {target}, which lies outside of"):
                rows_from_directory(folder)
            assert len(rows_from_directory(folder, follow_links=True)) == 2
            (folder / link).unlink()

    def test_in_the_folder_and_around_in_circles(self, tmp_path):
        folder = touch(tmp_path / "videos", "a/1.mp4", "b/2.mp4")
        (folder / "b" / "again.mp4").symlink_to(folder / "a" / "1.mp4")
        (folder / "b" / "circle").symlink_to(folder)
        names = [Path(row.path).relative_to(folder).as_posix() for row in rows_from_directory(folder)]
        assert names == ["a/1.mp4", "b/2.mp4", "b/again.mp4"]

    def test_to_nowhere(self, tmp_path):
        folder = touch(tmp_path / "videos", "a/1.mp4")
        (folder / "a" / "gone.mp4").symlink_to(folder / "missing.mp4")
        assert len(rows_from_directory(folder)) == 1


def test_an_empty_sub_folder_is_mentioned(tmp_path, caplog):
    (touch(tmp_path, "a/1.mp4", "b/2.mp4") / "cow").mkdir()
    assert len(rows_from_directory(tmp_path)) == 2
    assert f"{tmp_path / 'cow'} holds no videos and makes no class" in caplog.text


class TestGroups:
    def test_by_function(self, tmp_path):
        touch(tmp_path, "a/jack_1.mp4", "a/tom_1.mp4", "b/jack_2.mp4")
        rows = rows_from_directory(tmp_path, groups=lambda path: Path(path).name.split("_")[0])
        assert [row.group for row in rows] == ["jack", "tom", "jack"]

    def test_by_numbers_from_a_function(self, tmp_path):
        rows = rows_from_directory(touch(tmp_path, "a/1.mp4", "a/22.mp4"), groups=lambda path: len(Path(path).stem))
        assert [row.group for row in rows] == ["1", "2"]

    def test_by_column(self, tmp_path):
        touch(tmp_path, "a/1.mp4", "a/2 ü.mp4", "b/3.mp4")
        write_csv(tmp_path / "other.csv", ("path", "camera"), ("a/1.mp4", "left"))
        write_csv(
            tmp_path / "clips.csv",
            *(("person", "path"), ("tom", "b/3.mp4"), ("jack", "./a/1.mp4"), ("", "a/2 ü.mp4"), ("ann", "gone.mp4")),
        )
        rows = rows_from_directory(tmp_path, groups="person")
        assert [row.group for row in rows] == ["jack", str(tmp_path / "a/2 ü.mp4"), "tom"]

    def test_a_video_without_a_line(self, tmp_path):
        touch(tmp_path, "a/1.mp4", "a/2.mp4")
        write_csv(tmp_path / "clips.csv", ("path", "person"), ("a/1.mp4", "jack"))
        with pytest.raises(ValueError, match=r"a/2\.mp4 has no line in .*clips\.csv, so its group is unknown"):
            rows_from_directory(tmp_path, groups="person")

    def test_no_such_column_and_two(self, tmp_path):
        touch(tmp_path, "a/1.mp4")
        with pytest.raises(ValueError, match=r"`groups='person'`.*exactly one CSV file.*found \[\]"):
            rows_from_directory(tmp_path, groups="person")
        for name in ("x.csv", "y.csv"):
            write_csv(tmp_path / name, ("path", "person"), ("a/1.mp4", "jack"))
        with pytest.raises(ValueError, match=r"found \['x\.csv', 'y\.csv'\]"):
            rows_from_directory(tmp_path, groups="person")

    def test_a_column_named_group_is_taken_by_default(self, tmp_path):
        for name in ("a/1.mp4", "a/2.mp4"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        write_csv(tmp_path / "scores.csv", ("group", "score"))
        write_csv(tmp_path / "clips.csv", ("path", "label"))
        (tmp_path / "latin.csv").write_bytes("Größe;Länge\n".encode("latin-1"))
        (tmp_path / "nothing.csv").touch()
        assert [row.group for row in rows_from_directory(tmp_path)] == [
            row.path for row in rows_from_directory(tmp_path)
        ]
        write_csv(tmp_path / "manifest.csv", ("path", "group"), ("a/1.mp4", "jack"), ("a/2.mp4", "jack"))
        assert [row.group for row in rows_from_directory(tmp_path)] == ["jack", "jack"]
        alone = rows_from_directory(tmp_path, groups=lambda path: path)
        assert [row.group for row in alone] == [row.path for row in alone]

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from sora_keras.data import Event, Row, read_manifest, relabeled, rows_of_events, write_manifest


def write_csv(path: Path, *lines: tuple[str, ...]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)


class TestReadManifest:
    def test_paths_are_relative_to_the_file(self, tmp_path):
        (tmp_path / "clips.csv").write_text(
            "\ufeffpath,label,group,digit\nb/2.mp4,walk,jack,5\na/ö 1.mp4,,,\n/abs/3.mp4,run,tom,1\n", encoding="utf-8"
        )
        second = str(tmp_path / "a/ö 1.mp4")
        assert read_manifest(tmp_path / "clips.csv") == [
            Row(str(tmp_path / "b/2.mp4"), "walk", "jack", attributes={"digit": "5"}),
            Row(second, None, second),
            Row("/abs/3.mp4", "run", "tom", attributes={"digit": "1"}),
        ]

    def test_path_alone_is_enough(self, tmp_path):
        write_csv(tmp_path / "clips.csv", ("path",), ("1.mp4",))
        assert read_manifest(str(tmp_path / "clips.csv")) == [Row(str(tmp_path / "1.mp4"), None)]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("file,label\n1.mp4,a\n", r"a column named path, received columns \['file', 'label'\]"),
            ("path,label\n", r"at least one line below it"),
            ("", r"a column named path, received columns \[\]"),
            ("path,label\n1.mp4,a\n,b\n", r"line 3: the path is empty"),
            ("path,start\n1.mp4,1.5\n2.mp4,soon\n", r"line 3: expected a time in seconds, received 'soon'"),
            (
                "path,start,end\n1.mp4,7.5,2.5\n",
                r"1\.mp4 must begin .* start at 7\.5 s and an end at 2\.5 s",
            ),
        ],
    )
    def test_what_cannot_be_read(self, tmp_path, text, message):
        (tmp_path / "clips.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_manifest(tmp_path / "clips.csv")

    def test_every_column(self, tmp_path):
        (tmp_path / "clips.csv").write_text(
            "path,labels,group,split,start,end,camera\na.mp4,walk;talk,jack,train,1.5,4,north\nb.mp4,,,,,,\n"
        )
        first, second = read_manifest(tmp_path / "clips.csv")
        assert (first.label, first.labels, first.group, first.split) == (None, ("walk", "talk"), "jack", "train")
        assert (first.start_seconds, first.end_seconds, first.attributes) == (1.5, 4.0, {"camera": "north"})
        assert second == Row(str(tmp_path / "b.mp4"))

    def test_other_columns_for_label_and_group(self, tmp_path):
        (tmp_path / "clips.csv").write_text("path,label,person,camera\na.mp4,walk,jack,north\n")
        (row,) = read_manifest(tmp_path / "clips.csv", label="person", group="camera")
        assert (row.label, row.group, row.attributes) == ("jack", "north", {"label": "walk"})
        with pytest.raises(ValueError, match=r"column named who, received columns \['path', 'label', 'person'"):
            read_manifest(tmp_path / "clips.csv", label="who")

    @pytest.mark.real_data
    def test_timed_events(self, real_data):
        rows = read_manifest(real_data / "ceiling" / "events.csv")
        with open(real_data / "ceiling" / "events.csv") as file:
            lines = [line.strip().split(",") for line in file][1:]
        assert len(rows) == len(lines)
        assert [row.label for row in rows] == [line[3] for line in lines]
        assert [(row.start_seconds, row.end_seconds) for row in rows] == [(float(x[1]), float(x[2])) for x in lines]


def test_what_is_written_is_read_again(tmp_path):
    rows = [
        Row(str(tmp_path / "a" / "ö, 1.mp4"), "walk", "jack", split="train", start_seconds=0.1, end_seconds=2.7),
        Row("/elsewhere/b.mp4", labels=("run", "jump"), attributes={"camera": "north"}),
        Row(str(tmp_path / "c.mp4"), attributes={"person": "tom"}),
    ]
    write_manifest(rows, tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == rows
    assert os.listdir(tmp_path) == ["manifest.csv"]


def test_rows_of_events():
    video = Row("a.mp4", None, "jack", events=(Event("walk", 0.5, 2.0), Event("fall", 2.0, 3.5)), split="test")
    walk, fall = rows_of_events([video, Row("nothing_happens.mp4")])
    assert (walk.label, walk.start_seconds, walk.end_seconds, walk.group, walk.split) == (
        "walk",
        0.5,
        2.0,
        "jack",
        "test",
    )
    assert (fall.label, fall.labels, fall.events) == ("fall", ("fall",), (Event("fall", 2.0, 3.5),))
    with pytest.raises(ValueError, match=r"Event 'fall' must begin .* start at 3 s and an end at 2\.5 s"):
        Event("fall", 3.0, 2.5)


def test_relabeled():
    rows = [Row("a.mp4", "walk", attributes={"person": "jack"}), Row("b.mp4", "run", attributes={"person": "tom"})]
    assert [(row.label, row.labels) for row in relabeled(rows, "person")] == [("jack", ("jack",)), ("tom", ("tom",))]
    with pytest.raises(ValueError, match=r"a\.mp4 has no attribute 'camera', it has \['person'\]"):
        relabeled(rows, "camera")

from __future__ import annotations

import logging
import re

import numpy as np
import pytest

from sora_keras.data.event_manifest import read_events
from sora_keras.data.manifest import Event, Row
from sora_keras.video import write_video

HEADER = "path,start_seconds,end_seconds,label"
VOCABULARIES = {"event": ["walk", "fall"], "person": ["jo", "al"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """a.mp4 and b.mp4 last 2.5 s; broken.mp4 is no video."""
    folder = tmp_path_factory.mktemp("events")
    for name in ("a.mp4", "b.mp4"):
        write_video(folder / name, np.zeros((20, 16, 16, 3), np.uint8), frames_per_second=8.0)
    (folder / "broken.mp4").write_text("no video")
    return folder


@pytest.fixture
def write(folder, request):
    def write(*lines, header=HEADER):
        path = folder / f"{re.sub(r'[^a-z0-9]+', '_', request.node.name)}.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


class TestReadEvents:
    def test_a_row_a_video(self, write, folder):
        path = write("b.mp4,1.5,2,fall", "a.mp4,1,2.25,walk", "b.mp4,0.25,1.75,walk", "./b.mp4,0,0.5,fall")
        events = (Event("fall", 0, 0.5), Event("walk", 0.25, 1.75), Event("fall", 1.5, 2))
        assert read_events(path) == [
            Row(str(folder / "b.mp4"), events=events, annotated=("",)),
            Row(str(folder / "a.mp4"), events=(Event("walk", 1, 2.25),), annotated=("",)),
        ]

    def test_other_columns(self, write):
        header = f"camera,{HEADER},vocabulary,split,group"
        [row] = read_events(
            write("c1,a.mp4,1,2,walk,,train,house", ",a.mp4,1,2,jo,person,,house", header=header), VOCABULARIES
        )
        assert row.events == (Event("walk", 1, 2), Event("jo", 1, 2, "person"))
        assert (row.group, row.split, row.attributes) == ("house", "train", {"camera": "c1"})
        assert row.annotated == ("", "person")

    def test_the_first_vocabulary_by_name(self, write):
        header = f"{HEADER},vocabulary"
        path = write("a.mp4,0,1,walk,event", "a.mp4,1,2,jo,person", "a.mp4,1,2,walk,", header=header)
        [row] = read_events(path, VOCABULARIES)
        assert [event.vocabulary for event in row.events] == ["", "person", ""]
        assert row.annotated == ("", "person")
        [row] = read_events(path)
        assert [event.vocabulary for event in row.events] == ["event", "person", ""]

    def test_spaces_around_a_cell_are_not_of_it(self, write):
        [row] = read_events(write("a.mp4, 0,1 , walk", "a.mp4,1.5,2,walk "))
        assert row.events == (Event("walk", 0, 1), Event("walk", 1.5, 2))

    def test_nothing_happens(self, write):
        path = write("a.mp4,,,,person", "b.mp4,,,,", "b.mp4,0,1,jo,person", header=f"{HEADER},vocabulary")
        a, b = read_events(path, VOCABULARIES)
        assert (a.events, a.annotated) == ((), ("person",))
        assert (b.events, b.annotated) == ((Event("jo", 0, 1, "person"),), ("", "person"))

    def test_an_end_just_past_the_videos_end_is_clipped(self, write):
        [row] = read_events(write("a.mp4,1,2.9,walk"))
        assert row.events == (Event("walk", 1.0, 2.5),)

    def test_what_meets_does_not_overlap(self, write):
        [row] = read_events(write("a.mp4,0.1,0.3,walk", "a.mp4,0.3,1,walk", "a.mp4,0.2,0.9,fall"))
        assert len(row.events) == 3

    def test_a_video_that_cannot_be_read_is_for_its_reader_to_report(self, write):
        [row] = read_events(write("broken.mp4,100,200,walk"))
        assert row.events == (Event("walk", 100.0, 200.0),)

    @pytest.mark.real_data
    def test_real_recordings(self, real_data):
        rows = read_events(real_data / "ceiling" / "events.csv")
        assert len(rows) == 17
        assert sum(len(row.events) for row in rows) == 228
        assert rows[0].events[0] == Event("walk", 3.54, 6.61)
        assert len({event.label for row in rows for event in row.events}) == 9


INVALID = [
    (["a.mp4,2,1,walk"], r"line 2: Event 'walk' must begin at 0 s or later and end after it begins, .*2 s .*1\.0 s"),
    (["a.mp4,1.5,1.5,walk"], r"line 2: Event 'walk' must .*end after it begins, received a start at 1\.5 s"),
    (["a.mp4,-0.5,1,walk"], r"line 2: Event 'walk' must begin at 0 s or later .*start at -0\.5 s"),
    (["a.mp4,nan,1,walk"], r"line 2: .*received a start at nan s and an end at 1\.0 s"),
    (["a.mp4,1,inf,walk"], r"line 2: .*received a start at 1 s and an end at inf s"),
    (["a.mp4,0:01,2,walk"], r"line 2: expected a time in seconds, received '0:01'"),
    (["a.mp4,1,,walk"], r"line 2: expected a time in seconds, received ''"),
    (["a.mp4,1,2,"], r"line 2: the label is empty, but there are times, 1 to 2 s"),
    (["a.mp4,1,3.1,walk"], r"line 2: 'walk' lasts from 1 s to 3\.1 s, but the video ends at 2\.500 s"),
    (["a.mp4,2.5,2.6,walk"], r"line 2: 'walk' lasts from 2\.5 s to 2\.6 s, but the video ends at 2\.500 s"),
    (["a.mp4,0,1,walk", "a.mp4,0.75,2,walk"], r"line 3: 'walk' from 0\.75 s to 2 s overlaps the same from 0 s to 1 s"),
    (["no.mp4,0,1,walk"], r"line 2: there is no video '.*no\.mp4'"),
    ([",0,1,walk"], r"line 2: there is no video"),
    (["a.mp4,0,1,run"], r"line 2: the label 'run' is not in the vocabulary 'event', \['walk', 'fall'\]"),
    (["a.mp4,0,1,jo,crowd"], r"line 2: the vocabulary 'crowd' is none of \['event', 'person'\]"),
    (["a.mp4,0,1,jo"], r"line 2: the label 'jo' is not in the vocabulary 'event'"),
    (["a.mp4,0,1,walk;fall"], r"line 2: the label 'walk;fall' has a ';' in it"),
    (["a.mp4,0,1,walk,,red,x,y"], r"line 2: 'x,y' stands in no named column"),
    (["a.mp4,0,1,walk,,red", "a.mp4,1,2,walk,,blue"], r"line 3: group is 'blue', but 'red' in an earlier line"),
    (["a.mp4,0,1,walk", "a.mp4,,,"], r"line 3: nothing happens, but 'walk' does in an earlier line"),
    (["a.mp4,,,", "a.mp4,0,1,walk"], r"line 3: 'walk' happens, but nothing does in an earlier line"),
]


class TestInvalid:
    @pytest.mark.parametrize(("lines", "message"), INVALID)
    def test_raise(self, write, lines, message):
        path = write(*lines, header=f"{HEADER},vocabulary,group")
        with pytest.raises(ValueError, match=rf"{path} has 1 invalid line\(s\)[^\n]*\n{path}, {message}"):
            read_events(path, VOCABULARIES)

    @pytest.mark.parametrize(("lines", "message"), INVALID)
    def test_skip(self, write, caplog, lines, message):
        path = write(*lines, "b.mp4,0,1,walk", header=f"{HEADER},vocabulary,group")
        with caplog.at_level(logging.WARNING):
            rows = read_events(path, VOCABULARIES, invalid="skip")
        [warning] = caplog.messages
        assert re.match(rf"left out: {path}, {message}", warning)
        assert rows[-1].events == (Event("walk", 0, 1),)
        assert sum(max(1, len(row.events)) for row in rows) == len(lines)
        assert all(row.group != "blue" for row in rows)

    def test_ten_are_listed(self, write):
        path = write(*[f"a.mp4,{9 - number},0.5,walk" for number in range(13)])
        with pytest.raises(ValueError, match=r"has 12 invalid line\(s\)") as raised:
            read_events(path)
        assert str(raised.value).count("line ") == 10
        assert str(raised.value).endswith("and 2 more")

    def test_columns(self, write):
        with pytest.raises(ValueError, match=r"must have a header with the columns \['end_seconds'\], received"):
            read_events(write("a.mp4,1,2,walk", header="path,start_seconds,end,label"))

    def test_no_line(self, write):
        with pytest.raises(ValueError, match=r"must have at least one line below its header, received none"):
            read_events(write())

    def test_policy(self, write):
        with pytest.raises(ValueError, match=r"`invalid` must be one of \('raise', 'skip'\), received 'ignore'"):
            read_events(write("a.mp4,1,2,walk"), invalid="ignore")

from __future__ import annotations

import csv
import json
import os

import av
import numpy as np
import pytest
from known_timeline import SEGMENTS, counted_video, timeline_with

from sora_keras.apps.timeline_files import write_json, write_segments, write_subtitles, write_timeline
from sora_keras.data.event_manifest import read_events
from sora_keras.evaluation.segments import Segment
from sora_keras.video import probe

VOCABULARIES = {"event": ["walk", "fall"], "person": ["jack", "tom & <b>jerry</b> --> x"]}
TWO = {
    "event": SEGMENTS["event"],
    "person": [Segment("jack", 0.0, 1.0, 0.625), Segment("tom & <b>jerry</b> --> x", 11.0004, 11.0006, 0.75)],
}
FILES = ["highlights.mp4", "key_moments.jpg", "timeline.csv", "timeline.json", "timeline.png", "timeline.vtt"]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return counted_video(tmp_path_factory.mktemp("videos") / "a.mp4")


def test_json_holds_everything(video, tmp_path):
    timeline = timeline_with(video, TWO, VOCABULARIES, error="it is cut off")
    write_json(timeline, tmp_path / "timeline.json")
    text = (tmp_path / "timeline.json").read_text()
    document = json.loads(text)
    assert document["path"] == str(video)
    assert document["duration_seconds"] == 20
    assert document["error"] == "it is cut off"
    assert document["vocabularies"] == VOCABULARIES
    assert document["thresholds"] == {"event": [0.5, 0.5], "person": [0.5, 0.5]}
    assert document["clip_scores"]["event"] == pytest.approx({"walk": 0.9, "fall": 0.7}, abs=0.02)
    np.testing.assert_allclose(document["times"], timeline.times, atol=5e-4)
    for vocabulary, labels in VOCABULARIES.items():
        assert list(document["frame_scores"][vocabulary]) == labels
        scores = np.transpose(list(document["frame_scores"][vocabulary].values()))
        np.testing.assert_allclose(scores, timeline.frame_scores[vocabulary], atol=5e-4)
    assert document["segments"][1] == {
        "vocabulary": "event", "label": "walk", "start_seconds": 1.0, "end_seconds": 9.0, "score": 0.9
    }  # fmt: skip
    assert [one["vocabulary"] for one in document["segments"]] == ["person", "event", "event", "person", "event"]
    # A person reads it, too: a line for each segment, and no line for each number.
    assert sum('"start_seconds"' in line for line in text.splitlines()) == 5
    assert len(text.splitlines()) < 40


def cues(path):
    """What FFmpeg makes of the subtitles: start, duration, text."""
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "webvtt"
        return [
            (float(packet.pts * stream.time_base), float(packet.duration * stream.time_base), bytes(packet).decode())
            for packet in container.demux(stream)
            if packet.size
        ]


def test_subtitles_that_a_player_reads(video, tmp_path):
    write_subtitles(timeline_with(video, TWO, VOCABULARIES), tmp_path / "timeline.vtt")
    assert cues(tmp_path / "timeline.vtt") == [
        (0.0, 1.0, "person: jack (0.62)"),
        (1.0, 8.0, "event: walk (0.90)"),
        (11.0, 1.0, "event: fall (0.70)"),
        (11.0, pytest.approx(0.001), "person: tom &amp; &lt;b&gt;jerry&lt;/b&gt; --&gt; x (0.75)"),
        (15.0, 3.0, "event: walk (0.80)"),
    ]
    with av.open(str(tmp_path / "timeline.vtt")) as container:
        shown = [subtitle.ass.decode() for packet in container.demux() for subtitle in packet.decode()]
    assert any(text.endswith("person: tom & <b>jerry</b> --> x (0.75)") for text in shown)


def test_subtitles_of_one_vocabulary_and_of_nothing(video, tmp_path):
    write_subtitles(timeline_with(video, {"event": [Segment("walk", 3599.9, 3725.25, 0.5)]}), tmp_path / "one.vtt")
    assert (tmp_path / "one.vtt").read_text() == "WEBVTT\n\n00:59:59.900 --> 01:02:05.250\nwalk (0.50)\n"
    write_subtitles(timeline_with(video, {}), tmp_path / "none.vtt")
    assert (tmp_path / "none.vtt").read_text() == "WEBVTT\n"


def test_segments_are_read_back_as_events(video, tmp_path):
    path = video.parent / "ü, 1" / "timeline.csv"
    path.parent.mkdir()
    write_segments(timeline_with(video, SEGMENTS, VOCABULARIES), path)
    (row,) = read_events(path, VOCABULARIES)
    assert os.path.samefile(row.path, video)
    assert [(event.label, event.start_seconds, event.end_seconds) for event in row.events] == [
        ("walk", 1.0, 9.0), ("fall", 11.0, 12.0), ("walk", 15.0, 18.0)
    ]  # fmt: skip
    assert set(row.annotated) == {"", "person"}


def test_the_table(video):
    write_segments(timeline_with(video, SEGMENTS, VOCABULARIES), video.parent / "timeline.csv")
    with open(video.parent / "timeline.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["path", "vocabulary", "label", "start_seconds", "end_seconds", "score"],
            ["a.mp4", "event", "walk", "1.000", "9.000", "0.900"],
            ["a.mp4", "event", "fall", "11.000", "12.000", "0.700"],
            ["a.mp4", "event", "walk", "15.000", "18.000", "0.800"],
            ["a.mp4", "person", "", "", "", ""],
        ]


def test_paths_that_are_relative_or_no_characters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"caf\xe9.mp4")
    (tmp_path / "to").mkdir()
    timeline = timeline_with(name, SEGMENTS)
    write_segments(timeline, "to/timeline.csv")
    with open("to/timeline.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert {line["path"] for line in csv.DictReader(file)} == {str(tmp_path / name)}
    write_json(timeline, "to/timeline.json")
    assert json.loads((tmp_path / "to" / "timeline.json").read_text())["path"] == name


def test_every_file(video, tmp_path):
    write_timeline(timeline_with(video, TWO, VOCABULARIES), tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == FILES
    assert probe(tmp_path / "new" / "folder" / "highlights.mp4").duration_seconds > 5


def test_where_nothing_happens_there_are_no_highlights_not_even_old_ones(video, tmp_path):
    write_timeline(timeline_with(video, SEGMENTS), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    write_timeline(timeline_with(video, {}), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES[2:]
    assert json.loads((tmp_path / "timeline.json").read_text())["segments"] == []


def test_a_file_that_cannot_be_written_leaves_the_old_one(video, tmp_path, monkeypatch):
    write_json(timeline_with(video, SEGMENTS), tmp_path / "timeline.json")
    before = (tmp_path / "timeline.json").read_bytes()
    broken = timeline_with(video, {})
    broken.frame_scores.clear()
    with pytest.raises(KeyError):
        write_json(broken, tmp_path / "timeline.json")
    assert (tmp_path / "timeline.json").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1

from __future__ import annotations

import csv
import json

import av
import numpy as np
import pytest
from hand_counted_people import COUNTS, VISITS

from sora_keras.apps.people import PeopleTrack, find_people, write_people
from sora_keras.video import ClipSpec, VideoError, probe, read_clip, write_video


def track_of(best_scores: list[float], duration_seconds: float, minimum_score: float = 0.5) -> PeopleTrack:
    scores = [np.array([score] if score >= minimum_score else [], np.float32) for score in best_scores]
    boxes = [np.tile(np.array([[0.25, 0.5, 0.375, 1.0]], np.float32), (len(one), 1)) for one in scores]
    times = np.arange(len(scores)) * 2.0 + 1.0
    return PeopleTrack(
        "shop.mp4", duration_seconds, times, 2.0, minimum_score, boxes, scores, np.array(best_scores, np.float32)
    )


def written(folder, track: PeopleTrack):
    write_people(track, folder)
    with open(folder / "people.csv", newline="") as file:
        return json.loads((folder / "people.json").read_text()), list(csv.reader(file))


@pytest.mark.real_data
def test_somebody_comes_and_goes(real_data, tmp_path):
    scene = read_clip(real_data / "scenes" / "people_one_by_one.mp4", ClipSpec(15, 432, 768)).frames
    empty, man = scene[0], scene[8]
    write_video(tmp_path / "visit.mp4", np.stack([empty] * 6 + [man] * 6 + [empty] * 4), frames_per_second=2.0)
    track = find_people(tmp_path / "visit.mp4", zoom=2)
    np.testing.assert_allclose(track.times, np.arange(8) + 0.5, atol=0.26)
    assert track.counts.tolist() == [0, 0, 0, 1, 1, 1, 0, 0]
    (segment,) = track.presence()
    assert (segment.label, segment.start_seconds, segment.end_seconds) == ("somebody", 3.0, 6.0)
    assert segment.score == pytest.approx(max(track.scores[3][0], track.scores[4][0], track.scores[5][0]))
    assert track.presence(minimum_seconds=3.5) == []
    box = track.boxes[3][0]
    assert box[0] < 0.57 < box[2]
    assert box[1] < 0.4 < box[3]


@pytest.mark.real_data
def test_cars_are_nobody(real_data):
    seconds = probe(real_data / "scenes" / "cars.mp4").duration_seconds / len(COUNTS["cars.mp4"])
    assert find_people(real_data / "scenes" / "cars.mp4", seconds, zoom=1).counts.tolist() == list(COUNTS["cars.mp4"])


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "furthest_off"), [("pedestrians.avi", 1.0), ("people_one_by_one.mp4", 0.4)])
def test_finds_the_people_counted_by_eye(real_data, name, furthest_off):
    wanted = np.array(COUNTS[name])
    counts = find_people(
        real_data / "scenes" / name, probe(real_data / "scenes" / name).duration_seconds / len(wanted)
    ).counts
    assert counts.shape == wanted.shape
    assert np.array_equal(counts > 0, wanted > 0)
    assert np.abs(counts - wanted).mean() <= furthest_off


@pytest.mark.real_data
@pytest.mark.slow
def test_finds_every_visit(real_data):
    name = "people_one_by_one.mp4"
    segments = find_people(real_data / "scenes" / name, seconds_between_frames=2.0).presence()
    assert len(segments) == len(VISITS[name])
    found = [(segment.start_seconds, segment.end_seconds) for segment in segments]
    np.testing.assert_allclose(found, VISITS[name], atol=3.0)


def test_presence_is_held_on_by_fainter_detections():
    track = track_of([0.9, 0.3, 0.6, 0.2, 0.3, 0.2, 0.7, 0.4], duration_seconds=15.5)
    assert track.counts.tolist() == [1, 0, 1, 0, 0, 0, 1, 0]
    found = [(segment.start_seconds, segment.end_seconds, segment.score) for segment in track.presence()]
    np.testing.assert_allclose(found, [(0.0, 6.0, 0.9), (12.0, 15.5, 0.7)], atol=1e-6)
    assert [segment.start_seconds for segment in track.presence(minimum_seconds=5.0)] == [0.0]


def test_written_files_say_the_same(tmp_path):
    track = track_of([0.75, 0.25, 0.0], duration_seconds=6.0)
    document, rows = written(tmp_path / "new" / "folder", track)
    assert rows == [
        ["seconds", "count", "best_score"], ["1.000", "1", "0.750"], ["3.000", "0", "0.250"], ["5.000", "0", "0.000"]
    ]  # fmt: skip
    assert document["presence"] == [[0.0, 2.0]]
    assert document["frames"][0] == {"seconds": 1.0, "boxes": [[0.25, 0.5, 0.375, 1.0]], "scores": [0.75]}
    assert document["frames"][2] == {"seconds": 5.0, "boxes": [], "scores": []}
    assert (document["path"], document["error"]) == ("shop.mp4", None)


def test_a_video_shorter_than_the_time_between_looks(tmp_path):
    write_video(tmp_path / "short.mp4", np.full((3, 64, 96, 3), 90, np.uint8), frames_per_second=10.0)
    track = find_people(tmp_path / "short.mp4", seconds_between_frames=5.0, zoom=1)
    assert len(track.times) == len(track.boxes) == 1
    assert track.counts.tolist() == [0]
    assert track.presence() == []


def test_a_video_that_breaks_off_is_looked_at_up_to_there(tmp_path, caplog):
    frames = np.random.default_rng(0).integers(0, 255, (100, 32, 32, 3), np.uint8)
    path = tmp_path / "half.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:  # the header first
        stream = container.add_stream("libx264", rate=25)
        stream.height = stream.width = 32
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    track = find_people(path, seconds_between_frames=0.5, zoom=1)
    assert 2 <= len(track.times) < 8
    assert track.error
    assert track.error in caplog.text
    assert written(tmp_path, track)[0]["error"] == track.error


def test_refuses_what_is_no_video_and_numbers_out_of_range(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match="text"):
        find_people(tmp_path / "text.mp4")
    write_video(tmp_path / "gray.mp4", np.full((3, 64, 96, 3), 90, np.uint8))
    for arguments, message in (
        ({"seconds_between_frames": -2.0}, "positive number, received -2.0"),
        ({"seconds_between_frames": float("nan")}, "positive number, received nan"),
        ({"minimum_score": 1.25}, "at most 1, received 1.25"),
        ({"zoom": 0}, "at least 1, received 0"),
    ):
        with pytest.raises(ValueError, match=message):
            find_people(tmp_path / "gray.mp4", **arguments)

from __future__ import annotations

import csv
import itertools

import numpy as np
import pytest

from sora_keras.evaluation.segments import Segment, segments_from_scores, segments_of_labels

TIMES = np.arange(10) * 0.5


def intervals(segments):
    return [(segment.start_seconds, segment.end_seconds) for segment in segments]


def test_hysteresis_by_hand():
    #                  frame 0    1    2    3    4    5    6    7    8    9
    scores = np.array([0.1, 0.35, 0.6, 0.4, 0.8, 0.3, 0.29, 0.45, 0.1, 0.5])
    segments = segments_from_scores(scores, TIMES, "fall")
    # Frames 1 to 5 stay at 0.3 or above; frame 7 never reaches 0.5; frame 9 does, exactly, and is the last one.
    assert segments == [
        Segment("fall", 0.25, 2.75, 0.8),
        Segment("fall", 4.25, 4.75, 0.5),
    ]
    assert intervals(segments_from_scores(scores, TIMES, "fall", low_threshold=0.5)) == [
        (0.75, 1.25),
        (1.75, 2.25),
        (4.25, 4.75),
    ]
    assert intervals(segments_from_scores(scores, TIMES, "fall", low_threshold=0.0)) == [(0.0, 4.75)]
    assert intervals(segments_from_scores(scores, TIMES, "fall", threshold=0.8)) == [(1.75, 2.25)]
    assert segments_from_scores(scores, TIMES, "fall", threshold=0.81) == []


def test_short_segments_are_dropped_and_those_just_long_enough_are_not():
    scores = np.array([0, 1, 1, 1, 0, 0, 1, 1, 0, 0])
    times = np.arange(10) * 0.1
    assert intervals(segments_from_scores(scores, times, "fall", minimum_seconds=0.3)) == [pytest.approx((0.05, 0.35))]
    assert len(segments_from_scores(scores, times, "fall", minimum_seconds=0.2)) == 2
    assert segments_from_scores(scores, times, "fall", minimum_seconds=0.31) == []
    # The first frame has the other half of its interval cut off, and lasts as long as any other.
    assert intervals(segments_from_scores(1 - scores, times, "rest", minimum_seconds=0.1))[0] == pytest.approx(
        (0, 0.05)
    )


def test_few_frames():
    assert intervals(segments_from_scores([0.9], [0.0], "fall", seconds_between_frames=0.2)) == [(0.0, 0.1)]
    assert intervals(segments_from_scores([0.9, 0.9, 0.1], [0.0, 1.0, 2.0], "fall")) == [(0.0, 1.5)]
    with pytest.raises(ValueError, match="must be given for 1 frame, received None"):
        segments_from_scores([0.9], [0.0], "fall")


def test_hysteresis_agrees_with_a_frame_by_frame_reading():
    generator = np.random.default_rng(3)
    for _ in range(50):
        scores = generator.random(40).round(2)
        found = intervals(segments_from_scores(scores, np.arange(40.0), "fall", 0.8, 0.4))
        inside, frames = [False] * 40, range(40)
        for start in (frame for frame in frames if scores[frame] >= 0.8):
            for way in (range(start, 40), range(start, -1, -1)):
                for frame in way:
                    if scores[frame] < 0.4:
                        break
                    inside[frame] = True
        covered = [any(start < frame + 0.01 < end for start, end in found) for frame in frames]
        assert covered == inside
        assert all(later[0] - earlier[1] >= 1 for earlier, later in itertools.pairwise(found))


def test_keeping_segments_by_score_is_another_threshold():
    scores = np.random.default_rng(5).random(200)
    segments = segments_from_scores(scores, np.arange(200.0), "fall", 0.3, low_threshold=0.3)
    kept = [segment for segment in segments if segment.score >= 0.8]
    assert 0 < len(kept) < len(segments)
    assert kept == segments_from_scores(scores, np.arange(200.0), "fall", 0.8, low_threshold=0.3)


def test_labels_each_have_their_threshold():
    scores = np.array([[0.6, 0.6], [0.6, 0.1], [0.1, 0.9], [0.1, 0.9]])
    segments = segments_of_labels(scores, np.arange(4.0), ["walk", "fall"], thresholds=[0.5, 0.7])
    assert segments == [Segment("walk", 0.0, 1.5, 0.6), Segment("fall", 1.5, 3.5, 0.9)]
    assert [segment.label for segment in segments_of_labels(scores, np.arange(4.0), ["walk", "fall"])] == [
        "fall",
        "walk",
        "fall",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.zeros(3)}, r"received \(3,\) and \(10,\)"),
        ({"scores": np.zeros((10, 2))}, r"received \(10, 2\) and \(10,\)\. Of scores of several labels"),
        ({"scores": np.zeros(0), "times": np.zeros(0)}, "at least 1 frame, received 0"),
        ({"scores": np.where(np.arange(10) == 7, np.nan, 0.5)}, "received nan at frame 7"),
        ({"times": np.where(np.arange(10) == 4, 1.25, TIMES)}, "received 1.25 at frame 4"),
        ({"times": np.where(np.arange(10) == 9, np.inf, TIMES)}, "received inf at frame 9"),
        ({"times": np.append(np.nan, TIMES[1:])}, "received nan at frame 0"),
        ({"low_threshold": 0.7, "threshold": 0.4}, "received 0.7 and 0.4"),
        ({"threshold": np.nan}, "received nan and nan"),
        ({"minimum_seconds": -0.3}, "at least 0, received -0.3"),
        ({"seconds_between_frames": -0.125}, "positive, received -0.125"),
    ],
)
def test_bad_input(changes, message):
    arguments = {"scores": np.linspace(0, 1, 10), "times": TIMES, "label": "fall"} | changes
    with pytest.raises(ValueError, match=message):
        segments_from_scores(**arguments)


def test_bad_input_of_several_labels():
    with pytest.raises(ValueError, match=r"shape \(N, 3\) for 3 labels, received \(10, 2\)"):
        segments_of_labels(np.zeros((10, 2)), TIMES, ["a", "b", "c"])
    with pytest.raises(ValueError, match="one number or 2, one a label, received 3"):
        segments_of_labels(np.zeros((10, 2)), TIMES, ["a", "b"], thresholds=[0.1, 0.2, 0.3])


@pytest.mark.real_data
def test_frames_of_real_events_give_the_events_back(real_data):
    with open(real_data / "ceiling" / "events.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    spacing, num_found = 1 / 8, 0
    for path in sorted({row["path"] for row in rows}):
        falls = [row for row in rows if row["path"] == path and row["label"] == "falling"]
        true = [(float(row["start_seconds"]), float(row["end_seconds"])) for row in falls]
        times = np.arange(0, max((end for _, end in true), default=1) + 1, spacing)
        scores = np.any([(start <= times) & (times < end) for start, end in true] or [times < 0], axis=0)
        found = intervals(segments_from_scores(scores, times, "falling"))
        assert np.array(found).reshape(-1, 2) == pytest.approx(np.array(true).reshape(-1, 2), abs=spacing / 2 + 1e-6)
        num_found += len(found)
    assert num_found > 10

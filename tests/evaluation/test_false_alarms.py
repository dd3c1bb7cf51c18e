from __future__ import annotations

import json

import numpy as np
import pytest

from sora_keras.data import Event
from sora_keras.evaluation.false_alarms import recall_at_false_alarms
from sora_keras.evaluation.intervals import wilson_interval
from sora_keras.evaluation.segments import Segment

EVENTS = [[Event("fall", 10, 12), Event("fall", 100, 104), Event("walk", 0, 50)], [Event("fall", 30, 31)]]


def found(*rows, label="fall"):
    return [Segment(label, *row) for row in rows]


DETECTIONS = [
    found((11, 15, 0.9), (103, 110, 0.5), (200, 201, 0.8), (300, 301, 0.6)) + found((0, 9, 0.99), label="walk"),
    found((60, 61, 0.4), (29, 30.5, 0.3)),
]


@pytest.mark.parametrize(
    ("rate", "recall", "threshold", "num_false"),
    [(0.5, 1 / 3, 0.9, 0), (1, 1 / 3, 0.9, 0), (2, 2 / 3, 0.5, 2), (2.9, 2 / 3, 0.5, 2), (3, 1, 0.3, 3)],
)
def test_by_hand(rate, recall, threshold, num_false):
    # In the order of scores: fall 1, false, false, fall 2, false, fall 3.
    result = recall_at_false_alarms(EVENTS, DETECTIONS, 600.0, rate, label="fall")
    assert result["recall"] == pytest.approx(recall)
    assert (result["threshold"], result["num_false_alarms"], result["num_events"]) == (threshold, num_false, 3)
    assert result["false_alarms_per_10_minutes"] == num_false
    assert result["recall_interval"] == list(wilson_interval(round(3 * recall), 3))
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_rate_is_one_of_time():
    hour = recall_at_false_alarms(EVENTS, DETECTIONS, 3600.0, 0.5, label="fall")
    assert (hour["recall"], hour["false_alarms_per_10_minutes"]) == (1, 0.5)
    assert recall_at_false_alarms(EVENTS, DETECTIONS, 3599.0, 0.5, label="fall")["num_recalled"] == 2


def test_a_rounding_error_forbids_no_alarm():
    events, detections = [[Event("fall", 0, 1)]], [found(*[(5, 6, 0.9)] * 23, (0, 1, 0.5))]
    # 2.3 times 6000 / 600 is 22.999999999999996 to a computer.
    assert recall_at_false_alarms(events, detections, 6000.0, 2.3)["recall"] == 1
    assert recall_at_false_alarms(events, detections, 6000.0, 2.2)["recall"] == 0


def test_agrees_with_trying_every_threshold():
    generator = np.random.default_rng(3)
    for _ in range(30):
        events = [
            [Event("fall", float(start), float(start) + 2) for start in generator.integers(0, 60, 3)] for _ in range(4)
        ]
        detections = [
            found(*[(float(start), float(start) + 1, score / 10) for start, score in generator.integers(1, 60, (8, 2))])
            for _ in range(4)
        ]
        best = 0
        for threshold in np.arange(0, 7, 0.1):
            kept = [[segment for segment in row if segment.score >= threshold - 1e-9] for row in detections]
            hits = [
                [[s.start_seconds < e.end_seconds and e.start_seconds < s.end_seconds for s in row] for e in true]
                for row, true in zip(kept, events, strict=True)
            ]
            num_recalled = sum(any(row) for video in hits for row in video)
            num_false = sum(not any(column) for video in hits for column in zip(*video, strict=True))
            if num_false <= 4:
                best = max(best, num_recalled)
        result = recall_at_false_alarms(events, detections, 1200.0, 2.0)
        assert result["num_recalled"] == best
        assert result["num_false_alarms"] <= 4


def test_equal_scores_are_kept_or_dropped_together():
    events, detections = [[Event("fall", 0, 1)]], [found((0, 1, 0.5), (5, 6, 0.5))]
    none = recall_at_false_alarms(events, detections, 600.0, 0.0)
    assert (none["recall"], none["threshold"], none["num_false_alarms"]) == (0, None, 0)
    one = recall_at_false_alarms(events, detections, 600.0, 1.0)
    assert (one["recall"], one["threshold"], one["num_false_alarms"]) == (1, 0.5, 1)


def test_several_detections_of_one_event_are_neither_more_recall_nor_false_alarms():
    events, detections = [[Event("fall", 0, 9)]], [found((0, 1, 0.5), (2, 3, 0.4), (4, 30, 0.3))]
    result = recall_at_false_alarms(events, detections, 600.0, 0.0)
    assert (result["recall"], result["num_recalled"], result["num_false_alarms"]) == (1, 1, 0)


def test_touching_is_not_overlapping_but_within_the_tolerance():
    events, detections = [[Event("fall", 5, 6)]], [found((6, 7, 0.5))]
    assert recall_at_false_alarms(events, detections, 600.0)["recall"] == 0
    assert recall_at_false_alarms(events, detections, 600.0, tolerance_seconds=0.1)["recall"] == 1


def test_an_alarm_that_never_ends_finds_everything_unless_more_than_any_overlap_is_asked_for():
    events, detections = [[Event("fall", 0, 10), Event("fall", 70, 80)]], [found((0, 100, 0.5), (70, 75, 0.4))]
    assert recall_at_false_alarms(events, detections, 600.0, 0.0)["recall"] == 1
    asked = recall_at_false_alarms(events, detections, 600.0, 1.0, minimum_iou=0.5)
    assert (asked["recall"], asked["num_false_alarms"]) == (0.5, 1)
    assert recall_at_false_alarms(events, detections, 600.0, 0.0, minimum_iou=0.5)["recall"] == 0
    assert recall_at_false_alarms(events, detections, 600.0, 1.0, minimum_iou=0.51)["recall"] == 0


def test_another_label_or_video_does_not_count():
    events = [[Event("fall", 5, 6)], []]
    assert recall_at_false_alarms(events, [found((5, 6, 0.5), label="walk"), []], 600.0)["num_false_alarms"] == 0
    both = recall_at_false_alarms(events, [found((5, 6, 0.4)) + found((5, 6, 0.5), label="walk"), []], 600.0)
    assert (both["recall"], both["num_false_alarms"]) == (1, 1)
    assert recall_at_false_alarms(events, [[], found((5, 6, 0.5))], 600.0)["recall"] == 0


def test_unknown_videos_are_left_out_and_nothing_found_is_nothing_recalled():
    result = recall_at_false_alarms([*EVENTS, None], [[], [], found((0, 1, 0.9))], 600.0, label="fall")
    assert (result["recall"], result["threshold"], result["num_false_alarms"]) == (0, None, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detections": [[]] * 5}, "received 2 and 5 videos"),
        ({"label": "swim"}, "of the label, received 0 of 'swim'"),
        ({"total_seconds": -7.5}, "received -7.5"),
        ({"total_seconds": float("inf")}, "received inf"),
        (
            {"false_alarms_per_10_minutes": -1.5},
            "false_alarms_per_10_minutes must be finite and lie in .*, received -1.5",
        ),
        ({"false_alarms_per_10_minutes": float("inf")}, "false_alarms_per_10_minutes must be finite .*, received inf"),
        ({"tolerance_seconds": -0.25}, "tolerance_seconds must be finite and lie in .*, received -0.25"),
        ({"minimum_iou": 1.75}, r"minimum_iou must be finite and lie in 0\.\.1\.0, received 1\.75"),
        ({"detections": [[], found((0, 1, np.nan))]}, "received nan in video 1"),
    ],
)
def test_bad_input(changes, message):
    arguments = {"events": EVENTS, "detections": DETECTIONS, "total_seconds": 600.0, "label": "fall"} | changes
    with pytest.raises(ValueError, match=message):
        recall_at_false_alarms(**arguments)

from __future__ import annotations

import csv
import json
from fractions import Fraction

import numpy as np
import pytest

from sora_keras.data import Event
from sora_keras.evaluation.bootstrap import resample_groups
from sora_keras.evaluation.segments import Segment
from sora_keras.evaluation.temporal_detection import TIOUS, detection_metrics, match_detections


def falls(*intervals):
    return [Event("fall", start, end) for start, end in intervals]


def found(*rows, label="fall"):
    return [Segment(label, *row) for row in rows]


def mean_average_precision(events, detections, tiou=0.5, **arguments):
    return detection_metrics(events, detections, tious=(tiou,), **arguments)["mean_average_precision"][tiou]


def slow_average_precision(events, detections, label, tiou):
    """One global ranking, whole fractions; the precision at a recall is the best at it or a higher one."""
    ranking = [(segment, video) for video, row in enumerate(detections) for segment in row if segment.label == label]
    ranking.sort(key=lambda pair: -pair[0].score)
    free = {
        (video, index): event
        for video, row in enumerate(events)
        for index, event in enumerate(row)
        if event.label == label
    }
    num_events, num_found, points = len(free), 0, []
    for rank, (segment, video) in enumerate(ranking, start=1):
        best, best_iou = None, -1.0
        for key, event in free.items():
            start, end = max(segment.start_seconds, event.start_seconds), min(segment.end_seconds, event.end_seconds)
            hull = max(segment.end_seconds, event.end_seconds) - min(segment.start_seconds, event.start_seconds)
            iou = (end - start) / hull if end > start else 0.0
            if key[0] == video and iou > best_iou:
                best, best_iou = key, iou
        if best is not None and best_iou >= tiou:
            del free[best]
            num_found += 1
        points.append((num_found, Fraction(num_found, rank)))
    precisions = [
        max((precision for count, precision in points if count >= wanted), default=0)
        for wanted in range(1, num_events + 1)
    ]
    return float(sum(precisions) / num_events)


def random_videos(seed, num_videos=6, labels=("fall", "walk", "sit")):
    generator = np.random.default_rng(seed)

    def segments(number):
        starts, lengths = generator.uniform(0, 30, number), generator.uniform(1, 8, number)
        # Few different scores, so that many are equal.
        scores = generator.integers(1, 9, number) / 10
        names = generator.choice(labels, number)
        return [
            Segment(str(name), *row)
            for name, *row in zip(names, starts.tolist(), (starts + lengths).tolist(), scores.tolist(), strict=True)
        ]

    events = [segments(generator.integers(0, 6)) for _ in range(num_videos)]
    detections = [segments(generator.integers(0, 25)) for _ in range(num_videos)]
    return events, detections


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_a_slow_implementation(seed):
    events, detections = random_videos(seed)
    metrics = detection_metrics(events, detections)
    for row in metrics["per_label"]:
        for tiou in TIOUS:
            expected = slow_average_precision(events, detections, row["name"], tiou)
            assert row["average_precision"][tiou] == pytest.approx(expected), (row["name"], tiou)
    of_labels = [row["average_precision"][0.3] for row in metrics["per_label"]]
    assert metrics["mean_average_precision"][0.3] == pytest.approx(np.mean(of_labels))
    assert metrics["average_mean_average_precision"] == pytest.approx(
        np.mean(list(metrics["mean_average_precision"].values()))
    )


def test_the_second_detection_of_an_event_is_wrong():
    events = [falls((0, 10), (20, 30))]
    # Ranks: right, wrong (event taken), right: precision 1 at recall 1/2, 2/3 at recall 1.
    detections = [found((0, 10, 0.9), (1, 10, 0.8), (20, 29, 0.7))]
    assert mean_average_precision(events, detections) == pytest.approx((1 + 2 / 3) / 2)
    # The double ranks last: it costs nothing.
    detections = [found((0, 10, 0.9), (1, 10, 0.1), (20, 29, 0.7))]
    assert mean_average_precision(events, detections) == 1


def test_a_detection_takes_the_next_event_when_the_best_is_taken():
    events = falls((0, 10), (2, 12))
    detections = found((0, 10, 0.9), (0, 10.5, 0.8))
    # Against the second event: 8 / 12 for the first detection, 8.5 / 12 for the second.
    assert match_detections(events, detections, (0.5, 0.7, 0.75)).tolist() == [[True] * 3, [True, True, False]]


def test_precision_is_made_not_to_rise_with_recall():
    events = [falls((0, 1), (2, 3), (4, 5))]
    detections = [found((6, 7, 0.9), (0, 1, 0.8), (2, 3, 0.7), (8, 9, 0.6))]
    # Precisions 0, 1/2, 2/3, 1/2: two of three recalls at 2/3, the third never.
    assert mean_average_precision(events, detections) == pytest.approx(2 / 3 * 2 / 3)


def test_an_iou_just_reached_counts():
    events, detections = [falls((0, 10))], [found((5, 10, 0.5))]
    metrics = detection_metrics(events, detections, tious=(0.5, 0.51))
    assert metrics["mean_average_precision"] == {0.5: 1.0, 0.51: 0.0}


def test_equal_scores_keep_their_order_over_videos():
    events = [falls((0, 1)), falls((0, 1))]
    right, wrong = found((0, 1, 0.5)), found((5, 6, 0.5))
    assert mean_average_precision(events, [wrong, right]) == pytest.approx(1 / 2 * 1 / 2)
    assert mean_average_precision(events, [right, wrong]) == pytest.approx(1 / 2)


def test_a_detection_in_another_video_is_wrong():
    events = [falls((0, 10)), falls((50, 60))]
    detections = [found((50, 60, 0.9)), found((0, 10, 0.8))]
    assert mean_average_precision(events, detections) == 0


def test_labels_without_events_are_left_out_and_counted():
    events = [falls((0, 10))]
    detections = [found((0, 10, 0.4)) + found((0, 10, 0.9), (1, 2, 0.8), label="walk")]
    metrics = detection_metrics(events, detections)
    assert metrics["mean_average_precision"][0.5] == 1
    assert [row["name"] for row in metrics["per_label"]] == ["fall"]
    assert (metrics["num_detections"], metrics["num_detections_left_out"]) == (3, 2)


def test_a_label_never_detected_scores_nothing():
    events = [[*falls((0, 10)), Event("walk", 0, 10)]]
    metrics = detection_metrics(events, [found((0, 10, 0.4))])
    assert metrics["mean_average_precision"][0.1] == 0.5
    assert mean_average_precision(events, [[]]) == 0


def test_videos_whose_events_are_unknown_are_left_out():
    events = [falls((0, 10)), None, []]
    detections = [found((0, 10, 0.4)), found((0, 10, 0.9)), []]
    metrics = detection_metrics(events, detections, groups=["a", "b", "c"])
    assert metrics["mean_average_precision"][0.5] == 1
    assert (metrics["num_videos"], metrics["num_groups"], metrics["num_detections"]) == (2, 2, 1)
    assert mean_average_precision([events[0], [], []], detections) == 0.5


def test_intervals_are_those_of_resampled_videos():
    events, detections = random_videos(seed=4, num_videos=5)
    metrics = detection_metrics(events, detections, tious=(0.3,), seed=11)
    means = []
    for draw in resample_groups(np.eye(5), seed=11)[:200].astype(int):
        videos = np.repeat(np.arange(5), draw)
        drawn = [events[video] for video in videos], [detections[video] for video in videos]
        labels = {event.label for row in drawn[0] for event in row}
        # A copy of a video ranks right beside it, not behind all equal scores.
        spread = [
            [Segment(s.label, s.start_seconds, s.end_seconds, s.score - 1e-6 * video) for s in row]
            for video, row in zip(videos, drawn[1], strict=True)
        ]
        means.append(np.mean([slow_average_precision(drawn[0], spread, label, 0.3) for label in labels]))
    low, high = metrics["mean_average_precision_interval"][0.3]
    assert low < metrics["mean_average_precision"][0.3] < high
    assert [low, high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.05)


def test_groups_widen_the_interval():
    events = [falls((0, 10)) for _ in range(12)]
    detections = [found((0, 10, 0.5)) if video < 6 else [] for video in range(12)]

    def width(groups):
        low, high = detection_metrics(events, detections, (0.5,), groups)["mean_average_precision_interval"][0.5]
        return high - low

    assert width([video // 3 for video in range(12)]) > 1.5 * width(None)


def test_the_result_fits_in_json():
    text = json.dumps(detection_metrics(*random_videos(1), tious=(0.3,)), allow_nan=False)
    assert json.loads(text)["mean_average_precision"]["0.3"] > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"events": [falls((0, 1))] * 3}, "received 3 and 2 videos"),
        ({"events": [[], None]}, "received 0 in 2 videos"),
        ({"events": [], "detections": []}, "received 0 in 0 videos"),
        ({"tious": (0.5, 1.25)}, r"received \[0\.5, 1\.25\]"),
        ({"tious": ()}, r"received \[\]"),
        ({"groups": ["a"] * 7}, "each of the 2 videos, in their order, received 7"),
        ({"detections": [[], found((8, 3, 0.5))]}, "detections must .* 'fall' from 8 to 3 seconds in video 1"),
        ({"events": [found((8, np.nan, 0.5)), []]}, "events must .* 'fall' from 8 to nan seconds in video 0"),
        ({"detections": [[], found((3, 8, np.nan))]}, "received nan in video 1"),
    ],
)
def test_bad_input(changes, message):
    arguments = {"events": [falls((0, 1)), []], "detections": [[], found((0, 1, 0.5))]} | changes
    with pytest.raises(ValueError, match=message):
        detection_metrics(**arguments)


@pytest.mark.real_data
def test_shifted_events_of_real_videos(real_data):
    with open(real_data / "ceiling" / "events.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    videos = sorted({row["path"] for row in rows})
    events = [
        [Event(r["label"], float(r["start_seconds"]), float(r["end_seconds"])) for r in rows if r["path"] == video]
        for video in videos
    ]
    perfect = [[Segment(e.label, e.start_seconds, e.end_seconds) for e in of_video] for of_video in events]
    assert set(detection_metrics(events, perfect)["mean_average_precision"].values()) == {1.0}
    # A quarter of its length late: IoU 0.75 / 1.25 = 0.6.
    late = [
        [Segment(e.label, *(np.array([e.start_seconds, e.end_seconds]) + 0.2501 * (e.end_seconds - e.start_seconds)))
         for e in of_video]
        for of_video in events
    ]  # fmt: skip
    of_late = detection_metrics(events, late)["mean_average_precision"]
    assert of_late[0.5] > 0.99
    assert of_late[0.6] < 0.3

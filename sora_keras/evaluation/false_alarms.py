"""Events, detections and the length of all videos in; the share of events found at a bearable rate of alarms out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sora_keras.evaluation.intervals import wilson_interval
from sora_keras.evaluation.segments import Segment
from sora_keras.evaluation.temporal_iou import interval_ious, intervals_of

CONFIDENCE = 0.95


def recall_at_false_alarms(
    events: Sequence[Sequence[Any] | None],
    detections: Sequence[Sequence[Segment]],
    total_seconds: float,
    false_alarms_per_10_minutes: float = 1.0,
    label: str | None = None,
    tolerance_seconds: float = 0.0,
    minimum_iou: float = 0.0,
) -> dict[str, Any]:
    """Says how many events are noticed when false alarms may come no more often than somebody bears.

    An event is recalled if a detection of its label and video overlaps it, however little. A detection that overlaps
    no event of its label is a false alarm, each on its own; one that overlaps an event never is, however many overlap
    it. By this rule an alarm that never ends finds everything: `minimum_iou` asks for more than any overlap.

    Detections whose score reaches a threshold are kept, and the threshold is swept over their scores: among those
    that keep to the rate it is the one with the most events recalled, and the highest of these. It is found on these
    very data; to be used on others, it has to be checked there.

    Give segments of a low threshold, from `segments_from_scores`: what their scores keep is what other thresholds would
    find. Those of `propose_segments` overlap, and each would count.

    Args:
        events: for each video its events, with `label`, `start_seconds`, `end_seconds`; `None` for a video whose events
            are unknown, which is left out: leave its length out of `total_seconds` too.
        detections: for each video its segments.
        total_seconds: the length of all videos together.
        false_alarms_per_10_minutes: how many are borne.
        label: judges only events and detections of this label; `None` judges all.
        tolerance_seconds: how far events are stretched on either side first, for times that are not exact.
        minimum_iou: the temporal IoU from which on a detection and an event overlap; 0 takes any overlap.

    Returns:
        `recall`, its 95 % Wilson interval `recall_interval` (which takes events for independent), `threshold` (`None`
        if no detection can be kept), `false_alarms_per_10_minutes` reached, `num_events`, `num_recalled`,
        `num_false_alarms`, `confidence`.

    Raises:
        ValueError: if the lists do not match, there is no event, a score is not finite, or a number lies out of range.

    Example:
        >>> events = [[Segment("fall", 10.0, 12.0), Segment("fall", 50.0, 52.0)]]
        >>> detections = [[Segment("fall", 11.0, 14.0, 0.9), Segment("fall", 30.0, 31.0, 0.6)]]
        >>> found = recall_at_false_alarms(events, detections, total_seconds=600.0)
        >>> found["recall"], found["num_false_alarms"], found["threshold"]
        (0.5, 0, 0.9)
    """
    _check(events, detections, total_seconds)
    _check_range("false_alarms_per_10_minutes", false_alarms_per_10_minutes, math.inf)
    _check_range("tolerance_seconds", tolerance_seconds, math.inf)
    _check_range("minimum_iou", minimum_iou, 1.0)
    best_scores: list[float] = []
    false_scores: list[float] = []
    for of_video, found in zip(events, detections, strict=True):
        if of_video is None:
            continue
        best, false = _scores_of_video(of_video, found, label, tolerance_seconds, minimum_iou)
        best_scores += best
        false_scores += false
    if not best_scores:
        raise ValueError(f"events must hold at least 1 event of the label, received 0 of {label!r}.")
    borne = math.floor(false_alarms_per_10_minutes * total_seconds / 600 + 1e-9)
    too_many = sorted(false_scores, reverse=True)[borne : borne + 1] or [-math.inf]
    recalled = sorted(score for score in best_scores if score > too_many[0])
    num_false = sum(score >= recalled[0] for score in false_scores) if recalled else 0
    return {
        "recall": len(recalled) / len(best_scores),
        "recall_interval": list(wilson_interval(len(recalled), len(best_scores), CONFIDENCE)),
        "threshold": recalled[0] if recalled else None,
        "false_alarms_per_10_minutes": float(num_false * 600 / total_seconds),
        "num_events": len(best_scores),
        "num_recalled": len(recalled),
        "num_false_alarms": num_false,
        "confidence": CONFIDENCE,
    }


def _scores_of_video(
    events: Sequence[Any],
    detections: Sequence[Segment],
    label: str | None,
    tolerance_seconds: float,
    minimum_iou: float,
) -> tuple[list[float], list[float]]:
    """For each event the best score of a detection that overlaps it, or minus infinity; the scores of false alarms."""
    events = [event for event in events if label in (None, event.label)]
    detections = [segment for segment in detections if label in (None, segment.label)]
    stretched = intervals_of(events) + (-tolerance_seconds, tolerance_seconds)
    ious = interval_ious(stretched, intervals_of(detections))
    labels, found_labels = (np.array([item.label for item in items], str) for items in (events, detections))
    overlaps = (labels[:, None] == found_labels) & (ious > 0) & (ious >= minimum_iou)
    scores = np.array([segment.score for segment in detections])
    best = np.where(overlaps, scores, -np.inf).max(axis=1, initial=-np.inf)
    return best.tolist(), scores[~overlaps.any(axis=0)].tolist()


def _check(
    events: Sequence[Sequence[Any] | None], detections: Sequence[Sequence[Segment]], total_seconds: float
) -> None:
    if len(events) != len(detections):
        raise ValueError(
            f"events and detections must be of the same videos in the same order, received {len(events)} and "
            f"{len(detections)} videos."
        )
    if not (total_seconds > 0 and math.isfinite(total_seconds)):
        raise ValueError(f"total_seconds must be the length of all videos, received {total_seconds}.")
    for video, segments in enumerate(detections):
        for segment in segments:
            if not math.isfinite(segment.score):
                raise ValueError(f"detections must have finite scores, received {segment.score} in video {video}.")


def _check_range(name: str, value: float, highest: float) -> None:
    if not (0 <= value <= highest and math.isfinite(value)):
        raise ValueError(f"{name} must be finite and lie in 0..{highest}, received {value}.")

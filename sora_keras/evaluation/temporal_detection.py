"""Events and ranked detections of videos in, mean average precision at temporal IoUs out, as ActivityNet defines it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sora_keras.evaluation.groups import draw_groups, group_numbers_of
from sora_keras.evaluation.intervals import percentile_interval
from sora_keras.evaluation.segments import Segment
from sora_keras.evaluation.temporal_iou import temporal_ious

TIOUS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
CONFIDENCE = 0.95


def detection_metrics(
    events: Sequence[Sequence[Any] | None],
    detections: Sequence[Sequence[Segment]],
    tious: Sequence[float] = TIOUS,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Judges detections of events by mean average precision at temporal IoUs.

    The detections of a label are ranked over all videos, equal scores in the order given. One is right if its temporal
    IoU with an event of its video and label that no higher ranked one has taken reaches the wanted one; it takes the
    event that it agrees with most. So the second detection of an event is wrong. Average precision is the area under
    the precision, made not to rise with recall. Labels without events are left out, and their detections counted.

    Every score has its 95 % interval `[low, high]` under `<score>_interval`, by the bootstrap over groups of videos.

    Args:
        events: for each video its events, with `label`, `start_seconds`, `end_seconds`; `None` for a video whose events
            are unknown, which is left out.
        detections: for each video its segments, with `score` too, in any order.
        tious: the temporal IoUs, over 0 up to 1.
        groups: the person or source of each video; `None` if the videos are independent.
        seed: the same seed gives the same intervals.

    Returns:
        `mean_average_precision` (temporal IoU -> score), `average_mean_average_precision` (their mean), `per_label`
        (for each label `name`, `num_events`, `num_detections`, `average_precision` by temporal IoU), `num_videos`,
        `num_groups`, `num_events`, `num_detections`, `num_detections_left_out` and `confidence`.

    Raises:
        ValueError: if the lists do not match, nothing is known, a temporal IoU lies outside 0..1, a segment ends before
            it begins or a score is not finite.

    Example:
        >>> events = [[Segment("fall", 1.0, 3.0)]]
        >>> detections = [[Segment("fall", 1.5, 3.0, 0.9), Segment("fall", 7.0, 8.0, 0.4)]]
        >>> detection_metrics(events, detections)["mean_average_precision"][0.5]
        1.0

    Reference:
        F. Caba Heilbron et al., "ActivityNet: a large-scale video benchmark for human activity understanding", CVPR
        2015, and its evaluation code; M. Everingham et al., "The PASCAL visual object classes challenge: a
        retrospective", IJCV 111 (2015), for the interpolated precision.
    """
    _check(events, detections, tious)
    group_numbers = group_numbers_of(groups, len(events), "videos")
    known = [video for video, of_video in enumerate(events) if of_video is not None]
    numbers = np.unique(group_numbers[known], return_inverse=True)[1]
    true = [events[video] or () for video in known]
    found = [detections[video] for video in known]
    draws = draw_groups(int(numbers.max()) + 1, seed)
    names = sorted({event.label for of_video in true for event in of_video})
    rows, resampled = [], []
    for name in names:
        row, of_resamples = _judge_label(name, true, found, numbers, draws, tious)
        rows.append(row)
        resampled.append(of_resamples)
    num_found = sum(map(len, found))
    return {
        **_means(rows, np.array(resampled), tious, len(draws[0])),
        "per_label": rows,
        "num_videos": len(known),
        "num_groups": len(draws[0]),
        "num_events": sum(map(len, true)),
        "num_detections": num_found,
        "num_detections_left_out": num_found - sum(row["num_detections"] for row in rows),
        "confidence": CONFIDENCE,
    }


def _judge_label(
    name: str,
    events: Sequence[Sequence[Any]],
    detections: Sequence[Sequence[Segment]],
    group_numbers: np.ndarray,
    draws: np.ndarray,
    tious: Sequence[float],
) -> tuple[dict[str, Any], np.ndarray]:
    """One label's row of the result, and its average precisions `(U, R)` in U temporal IoUs of R resamples."""
    num_groups = len(draws[0])
    num_events = np.zeros(num_groups)
    ranked: list[tuple[float, int, np.ndarray]] = []
    for of_video, found, group in zip(events, detections, group_numbers, strict=True):
        true = [event for event in of_video if event.label == name]
        # Sorting is stable: equal scores keep their order.
        best_first = sorted((segment for segment in found if segment.label == name), key=lambda segment: -segment.score)
        num_events[group] += len(true)
        rights = match_detections(true, best_first, tious)
        ranked += [(segment.score, int(group), right) for segment, right in zip(best_first, rights, strict=True)]
    ranked.sort(key=lambda detection: -detection[0])
    groups = np.array([group for _, group, _ in ranked], np.int64)
    rights = np.array([right for _, _, right in ranked], bool).reshape(-1, len(tious))
    precisions, intervals, resampled = {}, {}, []
    for tiou, right in zip(tious, rights.T, strict=True):
        value = float(_average_precisions(right, groups, num_events, np.ones((1, num_groups)))[0])
        resampled.append(_average_precisions(right, groups, num_events, draws))
        precisions[tiou] = value
        intervals[tiou] = list(percentile_interval(resampled[-1], value, int((num_events > 0).sum()), CONFIDENCE))
    row = {
        "name": name,
        "num_events": int(num_events.sum()),
        "num_detections": len(ranked),
        "average_precision": precisions,
        "average_precision_interval": intervals,
    }
    return row, np.array(resampled)


def match_detections(events: Sequence[Any], detections: Sequence[Any], tious: Sequence[float]) -> np.ndarray:
    """Says which detections of one label in one video are right, each event being found once.

    Args:
        events: the true ones.
        detections: D of them, the highest score first.
        tious: U temporal IoUs.

    Returns:
        `bool (D, U)`.
    """
    rights = np.zeros((len(detections), len(tious)), bool)
    ious = temporal_ious(detections, events)
    favorites = np.argsort(-ious, axis=1, kind="stable")
    for column, tiou in enumerate(tious):
        is_taken = np.zeros(len(events), bool)
        for row, order in enumerate(favorites):
            free = order[~is_taken[order] & (ious[row, order] >= tiou)]
            if len(free):
                is_taken[free[0]] = rights[row, column] = True
    return rights


def _average_precisions(right: np.ndarray, groups: np.ndarray, num_events: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Average precision `(R,)` when group g counts `draws[r, g]` times; NaN without events."""
    last = np.flatnonzero(right)[-1] + 1 if right.any() else 0
    right, groups = right[:last], groups[:last]
    totals = draws @ num_events
    areas = np.zeros(len(draws))
    resamples_per_chunk = max(1, 4_000_000 // max(last, 1))
    for start in range(0, len(draws), resamples_per_chunk):
        chunk = slice(start, start + resamples_per_chunk)
        weights = draws[chunk][:, groups]
        hits = weights * right
        precisions = np.cumsum(hits, axis=1) / np.maximum(np.cumsum(weights, axis=1), 1)
        highest_from_here = np.maximum.accumulate(precisions[:, ::-1], axis=1)[:, ::-1]
        areas[chunk] = (hits * highest_from_here).sum(axis=1)
    return np.divide(areas, totals, out=np.full(len(draws), np.nan), where=totals > 0)


def _means(
    rows: Sequence[dict[str, Any]], resampled: np.ndarray, tious: Sequence[float], num_groups: int
) -> dict[str, Any]:
    """Means over labels; `resampled` is `(L, U, R)`. In a resample without events of a label, over the others."""
    values = np.array([[row["average_precision"][tiou] for tiou in tious] for row in rows]).mean(axis=0)
    has_events = ~np.isnan(resampled)
    num_labels = has_events.sum(axis=0)
    means = np.divide(
        np.where(has_events, resampled, 0).sum(axis=0), num_labels,
        out=np.full(num_labels.shape, np.nan), where=num_labels > 0,
    )  # fmt: skip
    intervals = [
        list(percentile_interval(of_tiou, float(value), num_groups, CONFIDENCE))
        for of_tiou, value in zip(means, values, strict=True)
    ]
    average = float(values.mean())
    return {
        "mean_average_precision": dict(zip(tious, values.tolist(), strict=True)),
        "mean_average_precision_interval": dict(zip(tious, intervals, strict=True)),
        "average_mean_average_precision": average,
        "average_mean_average_precision_interval": list(
            percentile_interval(means.mean(axis=0), average, num_groups, CONFIDENCE)
        ),
    }


def _check(
    events: Sequence[Sequence[Any] | None], detections: Sequence[Sequence[Segment]], tious: Sequence[float]
) -> None:
    if len(events) != len(detections):
        raise ValueError(
            f"events and detections must be of the same videos in the same order, received {len(events)} and "
            f"{len(detections)} videos."
        )
    if not any(events):
        raise ValueError(f"events must hold at least 1 event, received 0 in {len(events)} videos.")
    if not tious or not all(0 < tiou <= 1 for tiou in tious):
        raise ValueError(f"tious must be temporal IoUs over 0 up to 1, received {list(tious)}.")
    for name, videos in (("events", events), ("detections", detections)):
        for video, segments in enumerate(videos):
            for segment in segments or ():
                _check_segment(name, video, segment)


def _check_segment(name: str, video: int, segment: Any) -> None:
    if not segment.end_seconds >= segment.start_seconds:
        raise ValueError(
            f"{name} must end after they begin, received {segment.label!r} from {segment.start_seconds} to "
            f"{segment.end_seconds} seconds in video {video}."
        )
    if name == "detections" and not math.isfinite(segment.score):
        raise ValueError(f"detections must have finite scores, received {segment.score} in video {video}.")

"""Scores of frames in, many ranked and possibly overlapping guesses of segments out, for metrics that rank them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sora_keras.evaluation.frame_scores import checked_score_matrix, checked_scores_and_times, spacing_of
from sora_keras.evaluation.segments import Segment, segments_from_scores
from sora_keras.evaluation.temporal_iou import interval_ious, intervals_of

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BORDER_SHARE = 0.25


def propose_segments(
    scores: np.ndarray,
    times: np.ndarray,
    labels: Sequence[str],
    thresholds: Sequence[float] = THRESHOLDS,
    most_overlap: float = 0.4,
    seconds_between_frames: float | None = None,
) -> list[Segment]:
    """Guesses segments at several thresholds, scores them by contrast and drops those that repeat a better one.

    Mean average precision judges a ranking of many guesses, and one threshold gives few. A guess scores the mean of its
    frames less the mean of its borders, a quarter of its length on either side and no less than a frame: a low one if
    it is a piece of something longer, or reaches too far. Where the video ends, there is nothing to subtract. For what
    a person reads, take `segments_of_labels`: those do not overlap.

    Args:
        scores: `float (N, K)`, each label's probability at each frame.
        times: `float (N,)`, increasing, seconds since the video's first frame.
        labels: K names.
        thresholds: the scores that begin a segment; 0.6 of it ends the segment.
        most_overlap: guesses of one label whose temporal IoU with a better one is above this are dropped.
        seconds_between_frames: the spacing; by default the median of the times'.

    Returns:
        The segments, the highest score first.

    Raises:
        ValueError: as `segments_from_scores`, or if `most_overlap` lies outside 0..1.

    Example:
        >>> scores = np.array([[0.1], [0.1], [0.8], [0.7], [0.1], [0.1]])
        >>> best = propose_segments(scores, np.arange(6.0), ["fall"])[0]
        >>> best.start_seconds, best.end_seconds
        (1.5, 3.5)

    Reference:
        Z. Shou et al., "AutoLoc: weakly-supervised temporal action localization", ECCV 2018; the score is their
        outer-inner contrast with the sign turned. A. Neubeck, L. Van Gool, "Efficient non-maximum suppression",
        ICPR 2006.
    """
    scores = checked_score_matrix(scores, labels)
    if not 0 <= most_overlap <= 1:
        raise ValueError(f"most_overlap must lie in 0..1, received {most_overlap}.")
    proposals: list[Segment] = []
    for column, label in zip(scores.T, labels, strict=True):
        checked, checked_times = checked_scores_and_times(column, times)
        spacing = spacing_of(checked_times, seconds_between_frames)
        guesses = {
            (segment.start_seconds, segment.end_seconds)
            for threshold in thresholds
            for segment in segments_from_scores(checked, checked_times, label, threshold, None, 0.0, spacing)
        }
        proposals += _without_repeats(_scored(sorted(guesses), label, checked, checked_times, spacing), most_overlap)
    return sorted(proposals, key=lambda segment: -segment.score)


def _scored(
    intervals: Sequence[tuple[float, float]], label: str, scores: np.ndarray, times: np.ndarray, spacing: float
) -> list[Segment]:
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    segments = []
    for start, end in intervals:
        border = max(BORDER_SHARE * (end - start), spacing)
        outer_first, first, last, outer_last = np.searchsorted(times, [start - border, start, end, end + border])
        inside, outside = sums[last] - sums[first], sums[outer_last] - sums[last] + sums[first] - sums[outer_first]
        num_inside, num_outside = last - first, outer_last - last + first - outer_first
        segments.append(Segment(label, start, end, float(inside / num_inside - outside / max(num_outside, 1))))
    return segments


def _without_repeats(segments: Sequence[Segment], most_overlap: float) -> list[Segment]:
    """Non-maximum suppression: from the best on, drops what overlaps a kept one by more than `most_overlap`."""
    segments = sorted(segments, key=lambda segment: -segment.score)
    intervals = intervals_of(segments)
    is_kept = np.ones(len(segments), bool)
    for index in range(len(segments)):
        if is_kept[index]:
            is_kept[index + 1 :] &= interval_ious(intervals[index, None], intervals[index + 1 :])[0] <= most_overlap
    return [segment for segment, keep in zip(segments, is_kept, strict=True) if keep]

"""Scores of frames in, segments of time out: what holds, from when to when, and how sure that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from sora_keras.evaluation.frame_scores import checked_score_matrix, checked_scores_and_times, runs, spacing_of

LOW_THRESHOLD_SHARE = 0.6


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a video in which a label holds.

    Args:
        label: what holds.
        start_seconds: when it begins, since the video's first frame.
        end_seconds: when it is over.
        score: how sure that is; the higher the surer.
    """

    label: str
    start_seconds: float
    end_seconds: float
    score: float = 1.0


def segments_from_scores(
    scores: np.ndarray,
    times: np.ndarray,
    label: str,
    threshold: float = 0.5,
    low_threshold: float | None = None,
    minimum_seconds: float = 0.0,
    seconds_between_frames: float | None = None,
) -> list[Segment]:
    """Finds where a label holds, with hysteresis, so that a score that wavers does not cut one event into many.

    A segment begins where the score reaches `threshold` and extends both ways while it stays at or above
    `low_threshold`. A frame stands for half a spacing on either side of it: between a frame where the label does not
    hold and one where it does, nobody knows when it began, and the middle is off by nothing on average. No segment
    begins before the first frame. A segment's score is the highest of its frames': the highest threshold at which the
    same `low_threshold` gives this same segment, so that keeping segments by score is as good as another threshold.

    Args:
        scores: `float (N,)`, the label's score at each frame.
        times: `float (N,)`, increasing, seconds since the video's first frame.
        label: the name of the segments.
        threshold: the score that begins a segment.
        low_threshold: the score that ends it, at most `threshold`; by default 0.6 of `threshold`.
        minimum_seconds: segments shorter than this are dropped.
        seconds_between_frames: the spacing; by default the median of the times'. A video of one frame needs it.

    Returns:
        The segments, in the order of time; they do not touch each other.

    Raises:
        ValueError: if shapes or thresholds do not fit together, a score is not finite, or times do not increase.

    Example:
        >>> scores, times = np.array([0.1, 0.4, 0.9, 0.7, 0.1]), np.array([0.0, 1.0, 2.0, 3.0, 4.0])
        >>> [(segment.start_seconds, segment.end_seconds) for segment in segments_from_scores(scores, times, "fall")]
        [(0.5, 3.5)]

    Reference:
        J. Canny, "A computational approach to edge detection", IEEE Transactions on Pattern Analysis and Machine
        Intelligence 8 (1986), 679-698; section VIII, thresholding with hysteresis.
    """
    scores, times = checked_scores_and_times(scores, times)
    low_threshold = LOW_THRESHOLD_SHARE * threshold if low_threshold is None else low_threshold
    # Not the other way around, so that NaN is refused.
    if not low_threshold <= threshold:
        raise ValueError(f"low_threshold must be at most threshold, received {low_threshold} and {threshold}.")
    if not minimum_seconds >= 0:
        raise ValueError(f"minimum_seconds must be at least 0, received {minimum_seconds}.")
    spacing = spacing_of(times, seconds_between_frames)
    segments = []
    for first, end in runs(scores >= low_threshold):
        score = float(scores[first:end].max())
        # Times such as 0.1 + 0.2 are off by a rounding error.
        if score >= threshold and times[end - 1] - times[first] + spacing >= minimum_seconds - 1e-9:
            segments.append(_segment_of_frames(label, times, first, end, spacing, score))
    return segments


def segments_of_labels(
    scores: np.ndarray,
    times: np.ndarray,
    labels: Sequence[str],
    thresholds: float | Sequence[float] = 0.5,
    minimum_seconds: float = 0.0,
    seconds_between_frames: float | None = None,
) -> list[Segment]:
    """Finds where each of several labels holds, as `segments_from_scores` does for one.

    Args:
        scores: `float (N, K)`, each label's score at each frame.
        times: `float (N,)`, increasing, seconds since the video's first frame.
        labels: K names.
        thresholds: the score that begins a segment, one for all labels or K of them; 0.6 of it ends the segment.
        minimum_seconds: segments shorter than this are dropped.
        seconds_between_frames: the spacing; by default the median of the times'.

    Returns:
        The segments of all labels, in the order of time.

    Raises:
        ValueError: as `segments_from_scores`, or if there are not K thresholds.

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.8, 0.6], [0.2, 0.9]])
        >>> [segment.label for segment in segments_of_labels(scores, np.arange(3.0), ["walk", "fall"])]
        ['walk', 'fall']
    """
    scores = checked_score_matrix(scores, labels)
    given = np.asarray(thresholds, np.float64)
    if given.shape not in ((), (len(labels),)):
        raise ValueError(f"thresholds must be one number or {len(labels)}, one a label, received {given.size}.")
    segments = [
        segment
        for column, label, threshold in zip(scores.T, labels, np.broadcast_to(given, len(labels)), strict=True)
        for segment in segments_from_scores(
            column, times, label, float(threshold), None, minimum_seconds, seconds_between_frames
        )
    ]
    return sorted(segments, key=lambda segment: (segment.start_seconds, segment.end_seconds))


def _segment_of_frames(label: str, times: np.ndarray, first: int, end: int, spacing: float, score: float) -> Segment:
    """The segment of the frames `first` up to, without, `end`: half a spacing more on either side."""
    start_seconds = max(float(times[first]) - spacing / 2, float(times[0]))
    return Segment(label, start_seconds, float(times[end - 1]) + spacing / 2, score)

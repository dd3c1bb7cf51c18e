"""Scores and times of frames, as given, to arrays that can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def checked_scores_and_times(scores: Any, times: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores and times of frames as `float64 (N,)`, or an error that says what is wrong with them."""
    scores, times = np.asarray(scores, np.float64), np.asarray(times, np.float64)
    if scores.ndim != 1 or scores.shape != times.shape:
        raise ValueError(
            f"scores and times must have the same shape (N,), received {scores.shape} and {times.shape}. Of scores of "
            "several labels, give one column or call segments_of_labels."
        )
    if not len(scores):
        raise ValueError("scores must hold at least 1 frame, received 0: has the video no frames?")
    not_finite = np.flatnonzero(~np.isfinite(scores))
    if len(not_finite):
        raise ValueError(f"scores must be finite, received {scores[not_finite[0]]} at frame {not_finite[0]}.")
    wrong = ~np.isfinite(times)
    wrong[1:] |= ~(times[1:] > times[:-1])
    if wrong.any():
        frame = wrong.argmax()
        raise ValueError(
            f"times must be finite and increase from frame to frame, received {times[frame]} at frame {frame}."
        )
    return scores, times


def checked_score_matrix(scores: Any, labels: Sequence[str]) -> np.ndarray:
    """Scores as `float64 (N, K)`, or an error that says what is wrong with their shape."""
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.shape[1] != len(labels):
        raise ValueError(
            f"scores must have shape (N, {len(labels)}) for {len(labels)} labels, received {scores.shape}."
        )
    return scores


def spacing_of(times: np.ndarray, seconds_between_frames: float | None) -> float:
    """The spacing that was given, else the median of the times'."""
    if seconds_between_frames is None:
        if len(times) < 2:
            raise ValueError("seconds_between_frames must be given for 1 frame, received None.")
        return float(np.median(np.diff(times)))
    if not seconds_between_frames > 0:
        raise ValueError(f"seconds_between_frames must be positive, received {seconds_between_frames}.")
    return seconds_between_frames


def runs(holds: np.ndarray) -> list[tuple[int, int]]:
    """First index and the index after the last one of each run of `True` in `bool (N,)`."""
    edges = np.flatnonzero(np.diff(holds.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]

"""Stretches of time in, how far each two of them agree out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def temporal_ious(segments: Sequence[Any], others: Sequence[Any]) -> np.ndarray:
    """How far segments agree in time: the time that two share over the time that they cover together.

    Args:
        segments: M segments or events, anything with `start_seconds` and `end_seconds`.
        others: N of them.

    Returns:
        `float64 (M, N)`, 0 (apart) to 1 (the same); 0 where both have no length.

    Example:
        >>> from sora_keras.data import Event
        >>> temporal_ious([Event("fall", 0.0, 4.0)], [Event("fall", 3.0, 5.0)])
        array([[0.2]])
    """
    return interval_ious(intervals_of(segments), intervals_of(others))


def intervals_of(segments: Sequence[Any]) -> np.ndarray:
    """Starts and ends of segments, `float64 (N, 2)`."""
    rows = [(segment.start_seconds, segment.end_seconds) for segment in segments]
    return np.array(rows, np.float64).reshape(-1, 2)


def interval_ious(intervals: np.ndarray, others: np.ndarray) -> np.ndarray:
    """`temporal_ious` of starts and ends, `float (M, 2)` and `float (N, 2)` -> `float64 (M, N)`."""
    starts, ends = intervals[:, :1], intervals[:, 1:]
    other_starts, other_ends = others.T
    shared = np.maximum(np.minimum(ends, other_ends) - np.maximum(starts, other_starts), 0.0)
    covered = (ends - starts) + (other_ends - other_starts) - shared
    return np.divide(shared, covered, out=np.zeros_like(shared), where=covered > 0)

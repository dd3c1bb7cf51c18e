"""A row with events and times in its video in, which of these times lie in an event out."""

from __future__ import annotations

import numpy as np

from sora_keras.data.manifest import Row

_ROUNDING_SECONDS = 1e-6


def during_event(row: Row, times: np.ndarray, label: str | None = None) -> np.ndarray:
    """Tell for each time whether an event is under way: frame-level labels from events.

    An event holds from its start up to, and not including, its end.

    Args:
        row: a row with `events`.
        times: `float (T,)`, seconds since the video's first frame, such as `Clip.times`, or
            `numpy.arange(num_frames) / frames_per_second` for every frame of a video.
        label: the events to look at; by default all.

    Returns:
        `bool (T,)`.

    Raises:
        ValueError: if `label` is given and no event of the row has it.

    Example:
        >>> row = Row("a.mp4", events=(Event("fall", 0.5, 1.0),))
        >>> during_event(row, np.arange(6) / 4)
        array([False, False,  True,  True, False, False])
    """
    times = np.asarray(times, np.float64)
    events = [event for event in row.events if label in (None, event.label)]
    if label is not None and row.events and not events:
        raise ValueError(f"{row.path} has no event {label!r}, it has {sorted({event.label for event in row.events})}.")
    inside = np.zeros(times.shape, bool)
    for event in events:
        inside |= (times >= event.start_seconds - _ROUNDING_SECONDS) & (times < event.end_seconds - _ROUNDING_SECONDS)
    return inside

"""Rows of whole videos in, rows of their windows out, labeled by the events that touch each window."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sora_keras.data.manifest import LABEL_SEPARATOR, Event, Row
from sora_keras.video import ClipSpec, VideoError
from sora_keras.video.opening import open_video
from sora_keras.video.probing import find_duration
from sora_keras.video.sampling import all_window_times

_ROUNDING_SECONDS = 1e-6


def rows_of_windows(
    rows: Iterable[Row], clip_spec: ClipSpec, seconds_between_windows: float | None = None
) -> list[Row]:
    """Make a row of each window of each video: the windows that `sora_keras.video.read_windows` reads.

    An event is of a window if at least half a frame's time of it is, so that one of the window's frames shows it; of an
    event shorter than a frame, if half of it is. So windows laid end to end lose no event. A clip label of which the
    events tell when it holds is kept where they are; all others hold, as far as is known, throughout the video.

    Args:
        rows: videos, or parts of them.
        clip_spec: one window's frames and their rate; without a rate there is one window, the whole video or part.
        seconds_between_windows: from one window's start to the next one's; `None` lays them end to end.

    Returns:
        The windows' rows, in order, the last one of a video ending where it ends. Times of events stay those of the
        whole video, and `annotated` names their vocabularies, so that a window without events is known to have none. A
        video shorter than a window gives one window; one that cannot be read stays the row it was, for whoever reads
        it to report (`sora_keras.data.Faults`).

    Raises:
        ValueError: if the clip labels of a row leave out some of its events, or `seconds_between_windows` is not
            positive.

    Example:
        >>> windows = rows_of_windows(read_events("events.csv"), ClipSpec(16, 64, 64, frames_per_second=8.0))
    """
    windows: list[Row] = []
    ends: dict[str, float | None] = {}
    for row in rows:
        if row.path not in ends:
            ends[row.path] = duration_if_readable(row.path)
        end = _earlier(ends[row.path], row.end_seconds)
        if end is None or end <= row.start_seconds:
            windows.append(row)
            continue
        frames_per_second = clip_spec.frames_per_second or clip_spec.num_frames / (end - row.start_seconds)
        for interval in _intervals(row.start_seconds, end, clip_spec, seconds_between_windows):
            windows.append(_window(row, *interval, 1 / frames_per_second))
    return windows


def without_times(rows: Iterable[Row]) -> list[Row]:
    """Turn events into clip labels: what happens in each row, and no longer when (weak supervision).

    Args:
        rows: rows with `events`, such as those of `rows_of_windows`.

    Returns:
        The rows without events. Those of the first vocabulary (`""`) are in `labels`, and in `label` where there is but
        one; those of another in the attribute of its name, with semicolons between them. `annotated` names the
        vocabularies of the events, so that a row without labels is known to have none.

    Raises:
        ValueError: if the clip labels of a row leave out some of its events.

    Example:
        >>> [row] = without_times([Row("a.mp4", events=(Event("fall", 1.0, 2.0),))])
        >>> row.labels, row.events
        (('fall',), ())
    """
    return [_relabeled(row, {name: _ordered(*both) for name, both in _noted(row).items()}, ()) for row in rows]


def throughout(rows: Iterable[Row]) -> list[Row]:
    """Say of each moment what is said of the whole row: labels of frames from clip labels alone (weak supervision).

    Much of that is wrong of a short window, but no window shows what its video's labels leave out, and what else they
    name differs from video to video. So a network that sees one window at a time, `rows_of_windows(throughout(rows),
    clip_spec)`, learns what the window shows. One that sees the whole video would learn nothing of when.

    Args:
        rows: rows with clip labels, with events whose times are to be forgotten, or both.

    Returns:
        The rows with one event for each label of the first vocabulary (`""`) and of those that `annotated` or events
        name, from the row's start to its end. A video that cannot be read stays the row it was.

    Raises:
        ValueError: if the clip labels of a row leave out some of its events.

    Example:
        >>> windows = rows_of_windows(throughout(train_rows), ClipSpec(5, 32, 32, frames_per_second=8.0))
    """
    return [_throughout(row, _earlier(duration_if_readable(row.path), row.end_seconds)) for row in rows]


def duration_if_readable(path: str | os.PathLike[str]) -> float | None:
    """Measure a video of which nobody knows yet whether it can be read.

    Args:
        path: the video file.

    Returns:
        Its duration in seconds; `None` if it cannot be read.
    """
    try:
        with open_video(path) as stream:
            return find_duration(path, stream)
    except VideoError:
        return None


def _earlier(end_of_video: float | None, end_of_part: float | None) -> float | None:
    return end_of_video if end_of_video is None or end_of_part is None else min(end_of_video, end_of_part)


def _intervals(
    start_seconds: float, end_seconds: float, clip_spec: ClipSpec, seconds_between_windows: float | None
) -> Iterator[tuple[float, float]]:
    """Start and end of each window of a part of a video."""
    num_frames, frames_per_second = clip_spec.num_frames, clip_spec.frames_per_second
    if frames_per_second is None:
        yield start_seconds, end_seconds
        return
    times = all_window_times(end_seconds - start_seconds, num_frames, frames_per_second, seconds_between_windows)
    for start in (start_seconds + times[:, 0] - 0.5 / frames_per_second).tolist():
        yield max(start, 0.0), min(start + num_frames / frames_per_second, end_seconds)


def _window(row: Row, start_seconds: float, end_seconds: float, seconds_between_frames: float) -> Row:
    """The row of one window, with the events that touch it."""

    def touches(event: Event) -> bool:
        inside = min(event.end_seconds, end_seconds) - max(event.start_seconds, start_seconds)
        enough = min(seconds_between_frames, event.end_seconds - event.start_seconds) / 2
        return inside >= enough - _ROUNDING_SECONDS

    events = tuple(event for event in row.events if touches(event))
    labels = {}
    for name, (given, happening) in _noted(row).items():
        here = {event.label for event in events if event.vocabulary == name}
        labels[name] = [label for label in given if label in here or label not in happening]
    return _relabeled(dataclasses.replace(row, start_seconds=start_seconds, end_seconds=end_seconds), labels, events)


def _throughout(row: Row, end_seconds: float | None) -> Row:
    if end_seconds is None or end_seconds <= row.start_seconds:
        return row
    labels = {name: _ordered(*both) for name, both in _noted(row).items()}
    if row.labels:
        labels.setdefault("", list(row.labels))
    events = (
        Event(label, row.start_seconds, end_seconds, name) for name, several in labels.items() for label in several
    )
    return _relabeled(row, labels, tuple(events))


def _noted(row: Row) -> dict[str, tuple[list[str], list[str]]]:
    """For each vocabulary whose events are noted: the row's clip labels, and those of the events."""
    noted = {}
    for name in _ordered(row.annotated, [event.vocabulary for event in row.events]):
        given = list(row.labels) if name == "" else row.attributes.get(name, "").split(LABEL_SEPARATOR)
        given = [label for label in given if label]
        happening = _ordered([event.label for event in row.events if event.vocabulary == name])
        if given and (contradicting := sorted(set(happening) - set(given))):
            raise ValueError(
                f"{row.path} has events {contradicting}, but its own labels are {sorted(given)}: add them there, or "
                "leave the labels out."
            )
        noted[name] = (given, happening)
    return noted


def _relabeled(row: Row, labels: Mapping[str, Sequence[str]], events: tuple[Event, ...]) -> Row:
    """The row with these events, and these clip labels of the vocabularies whose events are noted."""
    own = tuple(labels.get("", row.labels))
    only = own[0] if len(own) == 1 else None
    others = {name: value for name, value in row.attributes.items() if name not in labels}
    named = {name: LABEL_SEPARATOR.join(several) for name, several in labels.items() if name and several}
    return dataclasses.replace(
        row, label=row.label if row.label in own else only, labels=own, events=events, attributes=others | named,
        annotated=tuple(labels),
    )  # fmt: skip


def _ordered(*labels: Iterable[str]) -> list[str]:
    """Each label once, in the order of their first appearance."""
    return list(dict.fromkeys(itertools.chain(*labels)))

"""A row and the times of its frames in, what is known of them out: a label array for each vocabulary."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from sora_keras.data.events import during_event
from sora_keras.data.manifest import LABEL_SEPARATOR, Event, Row
from sora_keras.video.sampling import times_on_display

UNKNOWN = -1.0
FRAMES_SUFFIX = "_frames"
_ROUNDING_SECONDS = 1e-6


def vocabulary_labels(
    row: Row,
    vocabularies: Mapping[str, Sequence[str]],
    times: np.ndarray,
    frames_per_second: float | None = None,
) -> dict[str, np.ndarray]:
    """Label a clip and each of its frames, as far as the row says.

    1 says that a label holds, 0 that it does not, -1 that nobody knows. A vocabulary of which the row says nothing is
    -1 everywhere. Events give 1 and 0 at the frames, and 1 to the clip where one of the label happens between its first
    frame and its last. Clip labels alone give 1 and 0 to the clip, 0 to all frames for what does not occur, and -1 for
    what does, somewhere. Frames that repeat others, as in a video shorter than the clip, are -1.

    Args:
        row: clip labels of the first vocabulary are its `labels`, those of another the attribute of its name, several
            with semicolons between them; events name their vocabulary, by default the first.
        vocabularies: name of each vocabulary -> names of its labels.
        times: `float64 (T,)`, seconds since the video's first frame; none, `(0,)`, for the labels of the whole row.
        frames_per_second: the clip's rate; a frame off it repeats another one. `None` if it has no rate.

    Returns:
        For each vocabulary of K labels, under its name, `float32 (K,)`, the clip's, and under its name with `_frames`
        behind it, `float32 (T, K)`.

    Raises:
        ValueError: if the row has a label or event that its vocabulary lacks, or events of a label that the clip's own
            labels leave out.

    Example:
        >>> row = Row("a.mp4", events=(Event("fall", 1.0, 2.0),))
        >>> vocabulary_labels(row, {"event": ["fall", "walk"]}, np.array([0.5, 1.5]))["event_frames"]
        array([[0., 0.],
               [1., 0.]], dtype=float32)
    """
    times = np.asarray(times, np.float64)
    is_repeated = ~times_on_display(times, frames_per_second)
    arrays = {}
    for index, (vocabulary, names) in enumerate(vocabularies.items()):
        known = (vocabulary, "") if index == 0 else (vocabulary,)
        clip, frames = _labels(row, vocabulary, names, known, times)
        frames[is_repeated] = UNKNOWN
        arrays[vocabulary], arrays[vocabulary + FRAMES_SUFFIX] = clip, frames
    return arrays


def check_vocabularies(rows: Sequence[Row], vocabularies: Mapping[str, Sequence[str]]) -> None:
    """Raise where a row does not fit the vocabularies, and log the labels that no row has.

    Args:
        rows: the rows.
        vocabularies: name of each vocabulary -> names of its labels.

    Raises:
        ValueError: if there is no vocabulary, one is empty or names a label twice, or a row has a label or event that
            its vocabulary lacks, or events of a label that the clip's own labels leave out.

    Example:
        >>> check_vocabularies(read_events("events.csv"), {"event": ["fall", "walk"]})
    """
    if not vocabularies:
        raise ValueError("`vocabularies` must name at least one vocabulary, received none.")
    unseen: dict[str, set[str]] = {}
    for vocabulary, names in vocabularies.items():
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"The vocabulary {vocabulary!r} must hold at least one label, none twice, received {list(names)}."
            )
        unseen[vocabulary] = set(names)
    first = next(iter(vocabularies))
    for row in rows:
        for vocabulary in dict.fromkeys([*(event.vocabulary for event in row.events), *row.annotated]):
            if (vocabulary or first) not in vocabularies:
                raise ValueError(
                    f"{row.path} has events of the vocabulary {vocabulary!r}, expected one of {list(vocabularies)}."
                )
        labels = vocabulary_labels(row, vocabularies, np.zeros(0))
        for vocabulary, names in vocabularies.items():
            unseen[vocabulary] -= {name for name, holds in zip(names, labels[vocabulary], strict=True) if holds > 0}
    for vocabulary, never in unseen.items():
        if never:
            logging.getLogger(__name__).warning(
                "%s of the vocabulary %r: no row has these labels, so nothing is learned of them but that they are "
                "rare.", sorted(never), vocabulary,
            )  # fmt: skip


def _labels(
    row: Row, vocabulary: str, names: Sequence[str], known: tuple[str, ...], times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The clip's labels `(K,)` and the frames' `(T, K)` of one vocabulary, by the names it goes by."""
    given = (*(row.labels if "" in known else ()), *_attribute(row, vocabulary))
    events = [event for event in row.events if event.vocabulary in known]
    happening = {event.label for event in events}
    shown = {event.label for event in events if _is_shown(event, times)}
    if unknown := sorted({*given, *happening} - set(names)):
        raise ValueError(f"{row.path} has the labels {unknown}, the vocabulary {vocabulary!r} has {list(names)}.")
    if given and (contradicting := sorted(happening - set(given))):
        raise ValueError(
            f"{row.path} has events {contradicting}, but its own labels are {sorted(given)}: add them there, or leave "
            "the labels out."
        )
    clip = np.full(len(names), UNKNOWN, np.float32)
    frames = np.full((len(times), len(names)), UNKNOWN, np.float32)
    if not (given or events or set(known) & set(row.annotated)):
        return clip, frames
    for column, name in enumerate(names):
        if name in given and name not in happening:
            clip[column] = 1
            continue
        clip[column] = name in shown
        frames[:, column] = _during(row, times, name, known)
    return clip, frames


def _attribute(row: Row, vocabulary: str) -> tuple[str, ...]:
    return tuple(name for name in row.attributes.get(vocabulary, "").split(LABEL_SEPARATOR) if name)


def _is_shown(event: Event, times: np.ndarray) -> bool:
    """Whether an event happens between the first and the last frame, each of which stands for the time around it."""
    if not len(times):
        return True
    half = np.diff(times).max(initial=0.0) / 2
    inside = min(event.end_seconds, times.max() + half) - max(event.start_seconds, times.min() - half)
    return bool(inside > (_ROUNDING_SECONDS if half else -_ROUNDING_SECONDS))


def _during(row: Row, times: np.ndarray, label: str, known: tuple[str, ...]) -> np.ndarray:
    events = tuple(event for event in row.events if event.label == label and event.vocabulary in known)
    return during_event(Row(row.path, events=events), times)

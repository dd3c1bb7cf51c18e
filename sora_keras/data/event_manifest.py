"""A CSV file with one line an event in, a row for each video with its events out; what is wrong in it is told."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from sora_keras.data.manifest import LABEL_SEPARATOR, Event, Row
from sora_keras.data.windows import duration_if_readable

SECONDS_PAST_THE_END = 0.5
Invalid = Literal["raise", "skip"]
_PROBLEMS_LISTED = 10
_TIMES = ("start_seconds", "end_seconds")
_REQUIRED = ("path", *_TIMES, "label")
_NO_COLUMN = ""
_OWN_COLUMNS = (*_REQUIRED, "vocabulary", "score", _NO_COLUMN)
_ROUNDING_SECONDS = 1e-6


def read_events(
    path: str | os.PathLike[str],
    vocabularies: Mapping[str, Sequence[str]] | None = None,
    invalid: Invalid = "raise",
) -> list[Row]:
    """Read timed events from a CSV file with a header, one line an event.

    Columns: `path`, `start_seconds`, `end_seconds` and `label`; and, each optional, `vocabulary` (the first one where
    it is empty), `score` (not read), `group` and `split`. All others are kept in `Row.attributes`. A line with neither
    label nor times says that the video was looked at and that nothing of the vocabulary happens in it. Events of
    different labels may overlap.

    A line is invalid if its times are no times, negative, empty or reversed, or lie past the video's end; if its video
    is missing, its label or vocabulary is not among `vocabularies`, its label has a semicolon; or if it contradicts an
    earlier line of the video: an event of the same label at the same time, another group, split or attribute, or
    nothing happening. An end up to half a second past the video's end is taken for the video's end. The times of a
    video that cannot be read are not checked: it is for whoever reads it to report (`sora_keras.data.Faults`).

    Args:
        path: the CSV file; paths in it are relative to its folder.
        vocabularies: name of each vocabulary -> names of its labels; by default every label is taken.
        invalid: `"raise"`, or `"skip"` to leave invalid lines out and log each as a warning. The video then counts as
            one in which the events left out do not happen; it is left out itself if none of its lines is valid.

    Returns:
        A row for each video, in the order of their first lines, its events in order of time, with `annotated` naming
        the vocabularies of its lines.

    Raises:
        ValueError: if a column is missing, there is no line, or lines are invalid: up to ten are listed.

    Example:
        >>> rows = read_events("recordings/events.csv", {"event": ["walk", "falling"]})
    """
    if invalid not in get_args(Invalid):
        raise ValueError(f"`invalid` must be one of {get_args(Invalid)}, received {invalid!r}.")
    videos: dict[Path, _Video] = {}
    problems = []
    for number, line in _lines(Path(path)):
        file = Path(path).parent / line["path"]
        if file not in videos:
            videos[file] = _Video(file)
        try:
            videos[file].add(line, vocabularies)
        except ValueError as error:
            problems.append(f"{path}, line {number}: {error}")
    if not videos:
        raise ValueError(f"{path} must have at least one line below its header, received none.")
    if problems and invalid == "raise":
        listed = "\n".join(problems[:_PROBLEMS_LISTED])
        more = len(problems) - _PROBLEMS_LISTED
        raise ValueError(
            f'{path} has {len(problems)} invalid line(s): correct them, or leave them out: invalid="skip".\n{listed}'
            + f"\nand {more} more" * (more > 0)
        )
    for problem in problems:
        logging.getLogger(__name__).warning("left out: %s", problem)
    return [video.row() for video in videos.values() if video.annotated]


class _Video:
    """What the lines of one video say, as far as they are valid."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_file = path.is_file()
        self.duration_seconds = duration_if_readable(path) if self.is_file else None
        self.events: list[Event] = []
        self.annotated: list[str] = []
        self.known: dict[str, str] = {}

    def add(self, line: Mapping[str, str], vocabularies: Mapping[str, Sequence[str]] | None) -> None:
        """Take in one line, or raise a `ValueError` that says what is wrong with it and change nothing."""
        if surplus := line.get(_NO_COLUMN):
            raise ValueError(f"{surplus!r} stands in no named column; put quotes around a text with a comma in it.")
        if not self.is_file:
            raise ValueError(f"there is no video {str(self.path)!r}.")
        vocabulary = line.get("vocabulary", "")
        if vocabularies and vocabulary == next(iter(vocabularies)):
            vocabulary = ""
        event = self._event(line, vocabulary)
        _check_label(event, vocabulary, vocabularies)
        self._check_against_earlier(event, vocabulary)
        known = {name: text for name, text in line.items() if text and name not in _OWN_COLUMNS}
        for name, text in known.items():
            if self.known.get(name, text) != text:
                raise ValueError(f"{name} is {text!r}, but {self.known[name]!r} in an earlier line of the video.")
        self.known |= known
        self.events += [] if event is None else [event]
        self.annotated += [] if vocabulary in self.annotated else [vocabulary]

    def row(self) -> Row:
        attributes = {name: text for name, text in self.known.items() if name not in ("group", "split")}
        events = sorted(self.events, key=lambda event: (event.start_seconds, event.end_seconds))
        return Row(
            str(self.path), group=self.known.get("group", ""), split=self.known.get("split"), events=tuple(events),
            attributes=attributes, annotated=tuple(self.annotated),
        )  # fmt: skip

    def _event(self, line: Mapping[str, str], vocabulary: str) -> Event | None:
        """The line's event, `None` where it says that nothing happens."""
        label, texts = line["label"], [line[name] for name in _TIMES]
        if not (label or any(texts)):
            return None
        if not label:
            raise ValueError(f"the label is empty, but there are times, {' to '.join(texts)} s.")
        start, end = (_seconds(text) for text in texts)
        event = Event(label, start, end, vocabulary)
        if self.duration_seconds is None or end <= self.duration_seconds:
            return event
        if start >= self.duration_seconds or end > self.duration_seconds + SECONDS_PAST_THE_END:
            raise ValueError(
                f"{label!r} lasts from {start:g} s to {end:g} s, but the video ends at {self.duration_seconds:.3f} s."
            )
        return Event(label, start, self.duration_seconds, vocabulary)

    def _check_against_earlier(self, event: Event | None, vocabulary: str) -> None:
        earlier = [other for other in self.events if other.vocabulary == vocabulary]
        if event is None:
            if earlier:
                raise ValueError(f"nothing happens, but {earlier[0].label!r} does in an earlier line of the video.")
            return
        if vocabulary in self.annotated and not earlier:
            raise ValueError(f"{event.label!r} happens, but nothing does in an earlier line of the video.")
        for other in earlier:
            common = min(event.end_seconds, other.end_seconds) - max(event.start_seconds, other.start_seconds)
            if event.label == other.label and common > _ROUNDING_SECONDS:
                raise ValueError(
                    f"{event.label!r} from {event.start_seconds:g} s to {event.end_seconds:g} s overlaps the same from "
                    f"{other.start_seconds:g} s to {other.end_seconds:g} s; make them one, or shorten one."
                )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of each line and its cells by column."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restkey=_NO_COLUMN, restval="")
        columns = list(reader.fieldnames or [])
        if missing := [name for name in _REQUIRED if name not in columns]:
            raise ValueError(f"{path} must have a header with the columns {missing}, received columns {columns}.")
        for line in reader:
            yield (
                reader.line_num,
                {name: (",".join(text) if isinstance(text, list) else text).strip() for name, text in line.items()},
            )


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a time in seconds, received {text!r}.") from None


def _check_label(event: Event | None, vocabulary: str, vocabularies: Mapping[str, Sequence[str]] | None) -> None:
    if event is not None and LABEL_SEPARATOR in event.label:
        raise ValueError(f"the label {event.label!r} has a {LABEL_SEPARATOR!r} in it: one line an event.")
    if vocabularies is None:
        return
    name = vocabulary or next(iter(vocabularies))
    if name not in vocabularies:
        raise ValueError(f"the vocabulary {name!r} is none of {list(vocabularies)}.")
    if event is not None and event.label not in vocabularies[name]:
        raise ValueError(f"the label {event.label!r} is not in the vocabulary {name!r}, {list(vocabularies[name])}.")

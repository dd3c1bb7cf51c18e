"""What a dataset is: a row for each video, with its labels and the group that must not cross a split."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from sora_keras.atomic import appearing_when_whole

LABEL_SEPARATOR = ";"
_COLUMNS = ("path", "label", "labels", "group", "split", "start_seconds", "end_seconds")
_SHORT_NAMES = {"start": "start_seconds", "end": "end_seconds"}


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something that happens in a video, from one time to another.

    Args:
        label: what happens.
        start_seconds: when it begins, since the video's first frame.
        end_seconds: when it is over.
        vocabulary: name of the vocabulary that the label is of; by default the first one of the model.

    Raises:
        ValueError: if it does not end after it begins.
    """

    label: str
    start_seconds: float
    end_seconds: float
    vocabulary: str = ""

    def __post_init__(self) -> None:
        _check_interval(f"Event {self.label!r}", self.start_seconds, self.end_seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One video of a dataset, or one part of it.

    Args:
        path: the video file.
        label: name of its class, `None` where it is not labeled, or where several classes hold at once.
        group: what it shares with others so that they may not stand on both sides of a split (a person, a source
            video, a camera); by default the video itself.
        labels: names of all the classes that hold; by default `label` alone.
        events: what happens when.
        split: `"train"`, `"validation"` or `"test"` where the dataset has an official split.
        start_seconds: where the part of the video begins.
        end_seconds: where it ends; `None` is the video's end.
        attributes: whatever else is known of it, such as a person or a scenario, by name.
        annotated: names of the vocabularies (`""` is the first) of which every event in it is noted in `events`, so
            that none there means that none happens; those of `events` themselves need not be named.

    Raises:
        ValueError: if the part does not end after it begins.

    Example:
        >>> Row("videos/a.mp4", label="walk", group="anna").labels
        ('walk',)
    """

    path: str
    label: str | None = None
    group: str = ""
    labels: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    split: str | None = None
    start_seconds: float = 0.0
    end_seconds: float | None = None
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    annotated: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", self.group or self.path)
        if self.label is not None and not self.labels:
            object.__setattr__(self, "labels", (self.label,))
        _check_interval(self.path, self.start_seconds, self.end_seconds)


def read_manifest(path: str | os.PathLike[str], label: str = "label", group: str = "group") -> list[Row]:
    """Read a CSV file with a header, one line a video or a part of one.

    Columns: `path`; and, each optional, `label`, or `labels` with a semicolon between them; `group`; `split`;
    `start_seconds` and `end_seconds`, or `start` and `end`. All others are kept in `Row.attributes`.

    Args:
        path: the CSV file; paths in it are relative to its folder.
        label: the column to take for the label.
        group: the column to take for the group.

    Returns:
        A row for each line, in order.

    Raises:
        ValueError: if there is no path column, no column of the name asked for, or no line, or a line's path is empty
            or its times are no times.

    Example:
        >>> rows = read_manifest("fights/clips.csv")
        >>> persons = read_manifest("letters.csv", label="person")
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(_rows(file, Path(path), label, group))
    if not rows:
        raise ValueError(f"{path} must have a header with a column named path and at least one line below it.")
    return rows


def write_manifest(rows: Iterable[Row], path: str | os.PathLike[str]) -> None:
    """Write rows to a CSV file that `read_manifest` reads, with paths relative to its folder where they lie below it.

    Args:
        rows: what to write, but for `events`, for which a CSV line has no place: see `rows_of_events`.
        path: the file; it appears when it is whole.

    Raises:
        OSError: if it cannot be written.

    Example:
        >>> write_manifest(rows, "videos/manifest.csv")
    """
    rows = list(rows)
    names = sorted({name for row in rows for name in row.attributes})
    folder = Path(path).absolute().parent
    with appearing_when_whole(path) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*_COLUMNS, *names])
        for row in rows:
            writer.writerow([*_line(row, folder), *(row.attributes.get(name, "") for name in names)])


def rows_of_events(rows: Iterable[Row]) -> list[Row]:
    """Make a row of each event: the part of the video it lasts, with its label.

    Args:
        rows: videos with `events`; the others are left out.

    Returns:
        A row for each event, in order, of the same group and split as its video.

    Example:
        >>> sequences = rows_of_events(read_kth("kth"))
    """
    return [
        dataclasses.replace(
            row, label=event.label, labels=(event.label,), events=(event,),
            start_seconds=event.start_seconds, end_seconds=event.end_seconds,
        )
        for row in rows
        for event in row.events
    ]  # fmt: skip


def relabeled(rows: Iterable[Row], attribute: str) -> list[Row]:
    """Take an attribute for the label: who instead of what.

    Args:
        rows: rows that all have the attribute.
        attribute: its name, such as `"person"`.

    Returns:
        The rows, each labeled by that attribute.

    Raises:
        ValueError: if a row lacks it.

    Example:
        >>> persons = relabeled(read_kth("kth"), "person")
    """
    rows = list(rows)
    for row in rows:
        if attribute not in row.attributes:
            raise ValueError(f"{row.path} has no attribute {attribute!r}, it has {sorted(row.attributes)}.")
    return [dataclasses.replace(row, label=(name := row.attributes[attribute]), labels=(name,)) for row in rows]


def class_names_of(rows: Iterable[Row]) -> list[str]:
    """The names of the classes in the rows, sorted."""
    return sorted({label for row in rows for label in row.labels})


def check_classes(directory: str | os.PathLike[str], class_names: Sequence[str]) -> None:
    """Raise a `ValueError` that names the folder if it has fewer than two classes."""
    if len(class_names) < 2:
        raise ValueError(
            f"{os.fspath(directory)} has videos of one class only, {list(class_names)}; a classifier needs at least "
            "two: put each class's videos into a sub-folder of its own."
        )


def _rows(file: TextIO, path: Path, label: str, group: str) -> Iterator[Row]:
    reader = csv.DictReader(file)
    columns = [_SHORT_NAMES.get(name, name) for name in reader.fieldnames or []]
    reader.fieldnames = columns
    missing = [
        name
        for name, default in (("path", ""), (label, "label"), (group, "group"))
        if name not in columns and name != default
    ]
    if missing:
        raise ValueError(f"{path} must have a header with a column named {missing[0]}, received columns {columns}.")
    several = "labels" if label == "label" else ""
    others = [name for name in columns if name not in ("path", label, several, group, *_COLUMNS[4:])]
    for line in reader:
        start, end = (_seconds(line.get(name), path, reader.line_num) for name in ("start_seconds", "end_seconds"))
        if not line["path"]:
            raise ValueError(f"{path}, line {reader.line_num}: the path is empty.")
        yield Row(
            str(path.parent / line["path"]), line.get(label) or None, line.get(group) or "",
            tuple(name for name in (line.get(several) or "").split(LABEL_SEPARATOR) if name),
            split=line.get("split") or None, start_seconds=start or 0.0, end_seconds=end,
            attributes={name: line[name] for name in others if line[name]},
        )  # fmt: skip


def _line(row: Row, folder: Path) -> list[object]:
    path = Path(row.path).absolute()
    place = path.relative_to(folder) if path.is_relative_to(folder) else path
    group = "" if row.group == row.path else row.group
    labels = LABEL_SEPARATOR.join(row.labels) if row.labels != (row.label,) else ""
    return [place, row.label or "", labels, group, row.split or "", row.start_seconds or "", row.end_seconds or ""]


def _seconds(text: str | None, path: Path, line_number: int) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as error:
        raise ValueError(f"{path}, line {line_number}: expected a time in seconds, received {text!r}.") from error


def _check_interval(what: str, start_seconds: float, end_seconds: float | None) -> None:
    if not (start_seconds >= 0 and (end_seconds is None or start_seconds < end_seconds < float("inf"))):
        raise ValueError(
            f"{what} must begin at 0 s or later and end after it begins, received a start at {start_seconds:g} s and "
            f"an end at {end_seconds} s."
        )

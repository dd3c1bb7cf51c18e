"""Rows in, those that show the same file or overlapping parts of it out."""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from sora_keras.data.file_digest import file_digest
from sora_keras.data.manifest import Row


@dataclasses.dataclass(frozen=True, slots=True)
class Repetition:
    """Two rows of one file.

    Args:
        first: index of one row.
        second: index of the other one.
        shared_seconds: how much of the video is in both, infinite where both run to its end; negative where they are
            that far apart.
        how: in what way their files are the same.
    """

    first: int
    second: int
    shared_seconds: float
    how: str


def repeated_rows(rows: Sequence[Row], sides: Sequence[str]) -> Iterator[Repetition]:
    """Find rows of the same file: by path, through links, or with the same bytes under two names.

    Args:
        rows: the rows.
        sides: the side of a split each stands on.

    Yields:
        For each row, the rows of other sides that it shares most with; for a file of which the sides hold separate
        parts, the two that are closest; and each row that stands twice on one side.

    Example:
        >>> [each.how for each in repeated_rows([Row("a.mp4"), Row("./a.mp4")], ["train", "test"])]
        ['one file under two paths']
    """
    files: dict[str, list[int]] = {}
    for index, file in enumerate(_identities([row.path for row in rows])):
        files.setdefault(file, []).append(index)
    for indices in files.values():
        if len(indices) > 1:
            yield from _twice_on_one_side(rows, sides, indices)
            yield from _across_sides(rows, sides, indices)


def _identities(paths: Sequence[str]) -> list[str]:
    """The resolved path of each file, or that of the first one with the same bytes."""
    resolved = {path: os.path.realpath(path) for path in dict.fromkeys(paths)}
    # Two rows of one path must not make it look like two files of one size.
    sizes = {path: _size(path) for path in dict.fromkeys(resolved.values())}
    files_of_size = Counter(sizes.values())
    candidates = [path for path, size in sizes.items() if size is not None and files_of_size[size] > 1]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = dict(zip(candidates, pool.map(file_digest, candidates), strict=True))
    first_of: dict[str, str] = {}
    same = {path: first_of.setdefault(digests.get(path) or path, path) for path in sizes}
    return [same[resolved[path]] for path in paths]


def _size(path: str) -> int | None:
    try:
        return os.path.getsize(path)
    except OSError:  # whoever reads the video says what is wrong with it
        return None


def _twice_on_one_side(rows: Sequence[Row], sides: Sequence[str], indices: Sequence[int]) -> Iterator[Repetition]:
    seen: dict[tuple[str, float, float], int] = {}
    for index in indices:
        first = seen.setdefault((sides[index], *_interval(rows[index])), index)
        if first != index:
            yield _repetition(rows, first, index)


def _across_sides(rows: Sequence[Row], sides: Sequence[str], indices: Sequence[int]) -> list[Repetition]:
    """For each row the one of each other side that began before it and lasts longest: what it shares most with."""
    lasting: dict[str, int] = {}
    found = []
    for index in sorted(indices, key=lambda index: _interval(rows[index])):
        found += [_repetition(rows, other, index) for side, other in lasting.items() if side != sides[index]]
        last = lasting.get(sides[index])
        if last is None or _interval(rows[index])[1] > _interval(rows[last])[1]:
            lasting[sides[index]] = index
    overlapping = [each for each in found if each.shared_seconds > 0]
    return overlapping or sorted(found, key=lambda each: -each.shared_seconds)[:1]


def _repetition(rows: Sequence[Row], first: int, second: int) -> Repetition:
    (start, end), (other_start, other_end) = _interval(rows[first]), _interval(rows[second])
    paths = (rows[first].path, rows[second].path)
    if paths[0] == paths[1]:
        how = "the same path"
    else:
        is_link = os.path.realpath(paths[0]) == os.path.realpath(paths[1])
        how = "one file under two paths" if is_link else "two files of the same bytes"
    return Repetition(first, second, min(end, other_end) - max(start, other_start), how)


def _interval(row: Row) -> tuple[float, float]:
    return row.start_seconds, math.inf if row.end_seconds is None else row.end_seconds

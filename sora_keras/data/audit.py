"""Rows in, what leaks from one side of their split to another (`Audit`) out."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar, get_args

import numpy as np

from sora_keras.data.faults import Fault
from sora_keras.data.fingerprint import (
    HASH_BITS,
    MOTION_SIDE,
    Fingerprint,
    fingerprint,
    motion,
    motion_similarity,
)
from sora_keras.data.manifest import Row
from sora_keras.data.near_duplicates import Pair, nearest_across
from sora_keras.data.same_files import Repetition, repeated_rows
from sora_keras.progress import show_progress
from sora_keras.video import VideoError

# Of 256 bits; chosen by what the docstring of `audit_rows` says of copies and of different scenes.
MAX_DISTANCE = 48
LEAST_MOTION_SIMILARITY = 0.5

T = TypeVar("T")
Severity = Literal["leak", "notice"]
Kind = Literal["group", "same file", "same part", "same video", "same footage", "same scene"]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands on several sides of a split.

    Args:
        kind: `"group"`, `"same file"`, `"same part"` (overlapping parts of one video), `"same video"` (other parts of
            it), `"same footage"` (a copy that was re-encoded, trimmed, resized, ...) or `"same scene"` (another moment
            before a camera that stands still).
        severity: `"leak"`, or `"notice"` for what does not make the split unfair.
        rows: one row of each side, the two that show it best.
        sides: the side each stands on.
        detail: what was found.
        distance: bits in which the most similar frames' hashes differ, of 256; `None` where no frames were compared.
    """

    kind: Kind
    severity: Severity
    rows: tuple[Row, Row]
    sides: tuple[str, str]
    detail: str
    distance: int | None = None

    def __str__(self) -> str:
        places = " and ".join(_place(row, side) for row, side in zip(self.rows, self.sides, strict=True))
        return f"{self.severity}: {self.kind}: {places}: {self.detail}"


@dataclasses.dataclass(frozen=True)
class Audit:
    """What `audit_rows` found.

    Args:
        findings: leaks first, the most certain ones at the top.
        faults: the videos that could not be read, and so were not compared.
        num_rows: how many rows were audited.
        sides: the parts of the split and the rows of each; none where the rows name no part.
    """

    findings: tuple[Finding, ...]
    faults: tuple[Fault, ...]
    num_rows: int
    sides: dict[str, int]

    @property
    def is_clean(self) -> bool:
        """Whether nothing leaks."""
        return not any(finding.severity == "leak" for finding in self.findings)

    def summary(self) -> str:
        """One sentence: what was audited, and how much leaks."""
        sides = ", ".join(f"{side} {count}" for side, count in self.sides.items())
        what = f"split into {sides}" if sides else "with no split named: whatever leaks between groups"
        kinds = Counter(f"{finding.severity}: {finding.kind}" for finding in self.findings)
        found = ", ".join(f"{kind} {count}" for kind, count in kinds.items()) or "nothing leaks"
        unread = f"; {len(self.faults)} cannot be read" if self.faults else ""
        return f"{self.num_rows} rows, {what}: {found}{unread}."

    def lines(self, most: int | None = None) -> list[str]:
        """What to print: the findings, at most `most` of each kind, the faults and the summary."""
        printed: Counter[str] = Counter()
        lines = []
        for finding in self.findings:
            printed[finding.kind] += 1
            if most is None or printed[finding.kind] <= most:
                lines.append(str(finding))
        hidden = sum(max(0, count - (count if most is None else most)) for count in printed.values())
        more = [f"and {hidden} more"] if hidden else []
        return [*lines, *more, *(f"cannot be read: {fault}" for fault in self.faults), self.summary()]

    def json_lines(self) -> list[str]:
        """One JSON object a finding, then one a fault, for other programs to read."""
        faults = [{"kind": "unreadable", "path": fault.path, "reason": fault.reason} for fault in self.faults]
        return [json.dumps(each) for each in (*map(_as_json, self.findings), *faults)]


def audit_rows(
    rows: Sequence[Row],
    near_duplicates: bool = True,
    same_scene: Severity = "leak",
    max_distance: int = MAX_DISTANCE,
) -> Audit:
    """Look for what stands on several sides of a split: groups, files, parts of a video, copies and scenes.

    The sides are the values of `Row.split`, whatever their names. Where no row names one, each group is a side: what
    is found then leaks however one splits by group.

    Videos are compared by perceptual hashes of 8 to 32 frames each. Those whose most similar frames differ in at most
    `max_distance` of 256 bits look alike; what moves in them tells the same footage from the same scene. At the default
    of 48, of 68 videos altered in 20 ways each, all those re-encoded, resized, brightened, cropped by up to 10 % a
    side, mirrored, letterboxed, slowed or made noisy were found, 99 % of those trimmed, 97 % of those with a logo or a
    caption over a tenth of the picture, 91 % of those with most of that at once; of 1.4 million pairs of different
    scenes none was reported, the closest at 70 bits (52 for hands before a plain wall).

    Args:
        rows: the rows of all sides.
        near_duplicates: whether to compare pictures, which takes reading the videos. Without it only groups, files and
            times are compared.
        same_scene: what a scene on both sides is. A `"notice"` where the task is meant for one place, such as a
            camera's anomalies.
        max_distance: the largest distance of two hashes that counts, from 0 to 128 bits.

    Returns:
        The findings. A video that cannot be read is a fault, and no finding.

    Raises:
        ValueError: if an argument is out of its range, or only some rows name their side.

    Example:
        >>> audit = audit_rows(read_manifest("manifest.csv"))
        >>> print(*audit.lines(), sep="\\n")
    """
    if same_scene not in get_args(Severity):
        raise ValueError(f'`same_scene` must be "leak" or "notice", received {same_scene!r}.')
    if not 0 <= max_distance <= 128:
        raise ValueError(f"`max_distance` must be from 0 to 128 bits, received {max_distance!r}.")
    sides = _sides(rows)
    findings = [*_groups(rows, sides), *_repeated(rows, sides)]
    faults: list[Fault] = []
    if near_duplicates and len(set(sides)) > 1:
        known = {
            frozenset(finding.rows) for finding in findings if finding.severity == "leak" and finding.kind != "group"
        }
        alike, faults = _alike(rows, sides, max_distance)
        findings += [_with_severity(each, same_scene) for each in alike if frozenset(each.rows) not in known]
    findings.sort(key=lambda each: (each.severity != "leak", get_args(Kind).index(each.kind), each.distance or 0))
    counts = dict(Counter(sides)) if rows and rows[0].split is not None else {}
    return Audit(tuple(findings), tuple(faults), len(rows), counts)


def _sides(rows: Sequence[Row]) -> list[str]:
    unnamed = [row.path for row in rows if row.split is None]
    if 0 < len(unnamed) < len(rows):
        raise ValueError(
            f"{len(unnamed)} of {len(rows)} rows name no part of the split, such as {unnamed[0]}: name one in each "
            "row's column split, or in none."
        )
    return [row.group if row.split is None else row.split for row in rows]


def _groups(rows: Sequence[Row], sides: Sequence[str]) -> Iterator[Finding]:
    """A finding for each group on several sides."""
    members: dict[str, dict[str, list[Row]]] = {}
    for row, side in zip(rows, sides, strict=True):
        members.setdefault(row.group, {}).setdefault(side, []).append(row)
    for group, parts in members.items():
        if len(parts) > 1:
            shown = sorted(parts, key=lambda side: -len(parts[side]))[:2]
            counts = ", ".join(f"{side} {len(parts[side])}" for side in parts)
            pair = (parts[shown[0]][0], parts[shown[1]][0])
            yield Finding("group", "leak", pair, (shown[0], shown[1]), f"group {group!r} has rows in {counts}")


def _repeated(rows: Sequence[Row], sides: Sequence[str]) -> Iterator[Finding]:
    """A finding for every two rows of one file."""
    for repetition in repeated_rows(rows, sides):
        pair, names = _at(repetition, rows), _at(repetition, sides)
        how, shared_seconds = repetition.how, repetition.shared_seconds
        if names[0] == names[1]:
            yield Finding("same file", "notice", pair, names, f"{how}, twice on one side")
        elif shared_seconds < 0:
            yield Finding("same video", "notice", pair, names, f"{how}, parts {-shared_seconds:g} s apart")
        elif all(row.start_seconds == 0 and row.end_seconds is None for row in pair):
            yield Finding("same file", "leak", pair, names, how)
        else:
            shared = "from there on" if shared_seconds == math.inf else f"{shared_seconds:g} s"
            yield Finding("same part", "leak", pair, names, f"{how}, in both: {shared}")


def _alike(rows: Sequence[Row], sides: Sequence[str], max_distance: int) -> tuple[list[Finding], list[Fault]]:
    """For each video that looks like one of another side: the pair of the same footage, or else of the same scene."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashed = list(show_progress(pool.map(_fingerprint, rows), "Comparing videos", len(rows)))
        faults = [each for each in hashed if isinstance(each, Fault)]
        readable = {index: each for index, each in enumerate(hashed) if isinstance(each, Fingerprint)}
        pairs = nearest_across(readable, sides, max_distance)
        indices = sorted({index for pair in pairs for index in (pair.first, pair.second)})
        found = show_progress(pool.map(_motion, [rows[index] for index in indices]), "Comparing motion", len(indices))
        motions = dict(zip(indices, found, strict=True))
    return [_look_alike(rows, sides, *each) for each in _most_alike(pairs, motions).items()], faults


def _most_alike(pairs: Sequence[Pair], motions: Mapping[int, np.ndarray]) -> dict[Pair, float]:
    """The pair of the same footage for each video, or else its closest pair; and how much their motion agrees."""
    best: dict[int, tuple[tuple[bool, int], Pair, float]] = {}
    for pair in pairs:
        similarity = motion_similarity(motions[pair.first], motions[pair.second])
        rank = (similarity >= LEAST_MOTION_SIMILARITY, -pair.distance)
        for index in (pair.first, pair.second):
            if index not in best or rank > best[index][0]:
                best[index] = (rank, pair, similarity)
    return {pair: similarity for _, pair, similarity in best.values()}


def _look_alike(rows: Sequence[Row], sides: Sequence[str], pair: Pair, similarity: float) -> Finding:
    kind: Kind = "same footage" if similarity >= LEAST_MOTION_SIMILARITY else "same scene"
    detail = f"frames differ in {pair.distance} of {HASH_BITS} bits, motion agrees by {similarity:.2f}"
    return Finding(kind, "leak", _at(pair, rows), _at(pair, sides), detail, pair.distance)


def _at(pair: Pair | Repetition, of_each: Sequence[T]) -> tuple[T, T]:
    return of_each[pair.first], of_each[pair.second]


def _with_severity(finding: Finding, same_scene: Severity) -> Finding:
    return dataclasses.replace(finding, severity=same_scene) if finding.kind == "same scene" else finding


def _fingerprint(row: Row) -> Fingerprint | Fault:
    try:
        return fingerprint(row)
    except VideoError as error:
        return Fault.of(error, row.start_seconds)


def _motion(row: Row) -> np.ndarray:
    try:
        return motion(row)
    except VideoError:  # a file that breaks off behind the frames that were hashed: then only these are compared
        return np.zeros((1, MOTION_SIDE, MOTION_SIDE), np.float32)


def _place(row: Row, side: str) -> str:
    end = "end" if row.end_seconds is None else f"{row.end_seconds:g}"
    part = "" if row.start_seconds == 0 and row.end_seconds is None else f" {row.start_seconds:g}-{end} s"
    return f"{row.path}{part}" + (f" ({side})" if side != row.path else "")


def _as_json(finding: Finding) -> dict[str, object]:
    rows = [
        {"path": row.path, "side": side, "group": row.group, "start_seconds": row.start_seconds,
         "end_seconds": row.end_seconds}
        for row, side in zip(finding.rows, finding.sides, strict=True)
    ]  # fmt: skip
    return {
        "kind": finding.kind, "severity": finding.severity, "rows": rows, "detail": finding.detail,
        "distance": finding.distance,
    }  # fmt: skip

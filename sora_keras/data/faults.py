"""What could not be read, and why; and what is to be done about it."""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

from sora_keras.atomic import appearing_when_whole
from sora_keras.data.manifest import Row
from sora_keras.video import VideoError

Policy = Literal["skip", "substitute", "raise"]
_PARTICIPLES = {"skip": "skipped", "substitute": "substituted"}


class TooManyFaultsError(ValueError):
    """So many videos cannot be read that training on the rest would not be what was asked for."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One video, or part of one, that cannot be read.

    Args:
        path: the file.
        reason: what is wrong with it, and what to do.
        start_seconds: where the part begins.
        found_at: when that was found, ISO 8601.
        file_state: size and time of the last change of the file, by which a repaired one is told.
    """

    path: str
    reason: str
    start_seconds: float = 0.0
    found_at: str = ""
    file_state: tuple[int, int] | None = None

    @classmethod
    def of(cls, error: VideoError, start_seconds: float = 0.0) -> Fault:
        """The fault that an error tells of, found now."""
        return cls(error.path, error.reason, start_seconds, _now(), _state_of(error.path))

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Faults:
    """The videos that cannot be read: each logged as a warning and kept once, however many epochs met it.

    Args:
        path: a file to keep them in, a JSON object a line. What it says of files that have not changed since is
            believed: the next run does not try them again. By default they are kept in memory alone.
        policy: `"skip"` leaves a video out, `"substitute"` shows another one of the same class in its place, so that
            batches stay full, and `"raise"` stops.
        max_failures: share of the videos that may fail before `TooManyFaultsError` is raised. One may always fail,
            unless it is 0.

    Raises:
        ValueError: if an argument is out of its range, or a line of the file is no fault.

    Example:
        >>> faults = Faults("faults.jsonl", policy="substitute", max_failures=0.01)
        >>> train = video_dataset_from_manifest(rows, ClipSpec(), faults=faults)
        >>> for fault in faults:
        ...     print(fault)
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, policy: Policy = "skip", max_failures: float = 0.05
    ) -> None:
        if policy not in get_args(Policy):
            raise ValueError(f"`policy` must be one of {get_args(Policy)}, received {policy!r}.")
        if not 0 <= max_failures <= 1:
            raise ValueError(f"`max_failures` must be a share from 0 to 1, received {max_failures!r}.")
        self.path = None if path is None else Path(path)
        self.policy = policy
        self.max_failures = max_failures
        self._expected: set[tuple[str, float]] = set()
        self._faults: dict[tuple[str, float], Fault] = {}
        self._lock = threading.Lock()
        if self.path is not None and self.path.exists():
            for fault in _read(self.path):
                if fault.file_state == _state_of(fault.path):
                    self._faults[fault.path, fault.start_seconds] = fault

    def expect(self, rows: Iterable[Row]) -> None:
        """Say which videos will be read, for `max_failures` to be a share of."""
        self._expected.update((row.path, row.start_seconds) for row in rows)

    def record(self, error: VideoError, start_seconds: float = 0.0) -> None:
        """Keep the path and reason of an error.

        Args:
            error: what reading the video raised.
            start_seconds: where the part begins that was wanted.

        Raises:
            VideoError: the error itself, if the policy is `"raise"`.
            TooManyFaultsError: if more than `max_failures` of the videos have failed.
        """
        fault = Fault.of(error, start_seconds)
        with self._lock:
            is_new = (fault.path, start_seconds) not in self._faults
            self._faults.setdefault((fault.path, start_seconds), fault)
            if is_new and self.path is not None:
                _append(self.path, fault)
        if self.policy == "raise":
            raise error
        if is_new:
            logging.getLogger(__name__).warning("%s %s", _PARTICIPLES[self.policy], error)
        self.check_budget()

    def check_budget(self) -> None:
        """Raise a `TooManyFaultsError` if more than `max_failures` of the videos have failed, or one that must not."""
        with self._lock:
            failed = [fault for key, fault in self._faults.items() if key in self._expected]
        if self.policy == "raise" and failed:
            raise VideoError(failed[0].path, failed[0].reason)
        allowed = max(1.0, self.max_failures * len(self._expected)) if self.max_failures else 0
        if len(failed) > allowed:
            raise TooManyFaultsError(
                f"{len(failed)} of {len(self._expected)} videos cannot be read, more than the share of "
                f"{self.max_failures:g} that `max_failures` allows; the first: {failed[0]}. Repair them or leave them "
                "out (`sora-keras check` lists them all), or allow more."
            )

    def __len__(self) -> int:
        return len(self._faults)

    def __contains__(self, row_or_path: object) -> bool:
        if isinstance(row_or_path, Row):
            return (row_or_path.path, row_or_path.start_seconds) in self._faults
        return any(path == row_or_path for path, _ in self._faults)

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter(sorted(self._faults.values(), key=lambda fault: (fault.path, fault.start_seconds)))


def write_faults(faults: Iterable[Fault], path: str | os.PathLike[str]) -> None:
    """Write faults to a file that `Faults` reads; an existing one is replaced.

    Args:
        faults: what to write.
        path: the file.

    Raises:
        OSError: if it cannot be written.
    """
    with appearing_when_whole(path) as unfinished:
        unfinished.touch()
        for fault in faults:
            _append(unfinished, fault)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _state_of(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _append(path: Path, fault: Fault) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(fault)) + "\n")


def _read(path: Path) -> Iterator[Fault]:
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            # A process was killed while it wrote this line. What it was about will be found again.
            os.truncate(path, sum(map(len, lines[:-1])))
            return
        try:
            fields = json.loads(line)
            fault = Fault(**{**fields, "file_state": tuple(fields["file_state"] or ()) or None})
        except (ValueError, TypeError, KeyError) as error:
            received = line.decode(errors="replace").strip()
            raise ValueError(
                f"{path}, line {number}: expected a fault as a JSON object, received {received!r}."
            ) from error
        yield fault

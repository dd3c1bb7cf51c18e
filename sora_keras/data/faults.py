"""What could not be read, and why."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator

from sora_keras.video import VideoError


@dataclasses.dataclass(frozen=True)
class Fault:
    """One video that was skipped.

    Args:
        path: the file.
        reason: what is wrong with it, and what to do.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Faults:
    """The videos that a dataset skipped, each logged as a warning and kept once, however many epochs met it.

    Example:
        >>> for fault in dataset.faults:
        ...     print(fault)
    """

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    def record(self, error: VideoError) -> None:
        """Keep the path and reason of an error."""
        with self._lock:
            is_new = error.path not in self._reasons
            self._reasons[error.path] = error.reason
        if is_new:
            logging.getLogger(__name__).warning("skipped %s", error)

    def __len__(self) -> int:
        return len(self._reasons)

    def __contains__(self, path: object) -> bool:
        return path in self._reasons

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter([Fault(path, reason) for path, reason in sorted(self._reasons.items())])

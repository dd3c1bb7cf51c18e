"""Bytes of a file as they come in, a file that proves what it holds out, so that the next run can go on from there."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from sora_keras.atomic import appearing_when_whole

try:
    import fcntl
except ImportError:  # Windows has no such locks; two runs at once then find out by the checksum
    fcntl = None  # type: ignore[assignment]

SECONDS_BETWEEN_SAVES = 1.0
_PIECE_BYTES = 1 << 20


class PartialFile:
    """A file of which some bytes are there, with a note beside it of how many and of their SHA-256.

    The note is written about once a second. After a crash it may know of fewer bytes than the file has, and the others
    are dropped; bytes that it knows and that have changed since make the file start anew.

    Args:
        path: the unfinished file, in an existing folder; the note is `path` with `.json` behind it.
        algorithm: a digest to compute besides SHA-256.

    Attributes:
        size_bytes: how many bytes are there.
        url: where they are from.
        validator: what told that version of the file from others.
        has_seams: whether they came in several pieces, perhaps of several versions.

    Raises:
        BlockingIOError: on entering, if another process is writing to it.

    Example:
        >>> with PartialFile(Path("walking.zip.partial")) as partial:  # doctest: +SKIP
        ...     partial.write(b"more")
    """

    def __init__(self, path: Path, algorithm: str = "sha256") -> None:
        self.path = path
        self.size_bytes = 0
        self.url = self.validator = ""
        self.has_seams = False
        self._note = path.with_name(f"{path.name}.json")
        self._algorithms = {"sha256", algorithm}
        self._saved_at = time.monotonic()

    def __enter__(self) -> PartialFile:
        self.path.touch()
        self._file = open(self.path, "r+b", buffering=0)
        try:
            self._lock()
            self._load()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._file.closed:
            self._save()
            self._file.close()

    def write(self, content: bytes) -> None:
        """Add bytes at the end."""
        view = memoryview(content)
        while view:
            view = view[self._file.write(view) :]
        for digest in self._digests.values():
            digest.update(content)
        self.size_bytes += len(content)
        if time.monotonic() - self._saved_at > SECONDS_BETWEEN_SAVES:
            self._save()

    def restart(self) -> None:
        """Drop all bytes."""
        self._keep(0)
        self.url = self.validator = ""
        self.has_seams = False

    def digest(self, algorithm: str) -> str:
        """A digest of all bytes, in hexadecimal digits."""
        return self._digests[algorithm].hexdigest()

    def become(self, path: Path) -> None:
        """Take the final name: the file is whole."""
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self.path, path)
        self._note.unlink(missing_ok=True)

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"another process is downloading {self.path.name.removesuffix('.partial')} to {self.path.parent}: wait "
                "for it, or choose another folder."
            ) from error

    def _load(self) -> None:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            size_bytes, sha256 = int(note["size_bytes"]), str(note["sha256"])
            self.url, self.validator = str(note["url"]), str(note["validator"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            size_bytes, sha256 = 0, ""
        self._keep(size_bytes)
        if size_bytes and (self.size_bytes != size_bytes or self.digest("sha256") != sha256):
            logging.getLogger(__name__).warning("%s has changed since it was written: starting anew", self.path)
            self.restart()
        self.has_seams = self.size_bytes > 0

    def _keep(self, size_bytes: int) -> None:
        """Keep the first bytes alone."""
        self._digests: dict[str, Any] = {
            name: hashlib.new(name, usedforsecurity=name == "sha256") for name in sorted(self._algorithms)
        }
        self.size_bytes = 0
        self._file.seek(0)
        while piece := self._file.read(min(_PIECE_BYTES, size_bytes - self.size_bytes)):
            for digest in self._digests.values():
                digest.update(piece)
            self.size_bytes += len(piece)
        self._file.truncate(self.size_bytes)
        self._file.seek(self.size_bytes)

    def _save(self) -> None:
        note = {"url": self.url, "validator": self.validator, "size_bytes": self.size_bytes}
        note["sha256"] = self.digest("sha256")
        with appearing_when_whole(self._note) as unfinished:
            unfinished.write_text(json.dumps(note), encoding="utf-8")
        self._saved_at = time.monotonic()

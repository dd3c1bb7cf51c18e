"""A file's name in, a name to write to beside it out, which takes the file's name once it is whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".unfinished-"
_SECONDS_UNTIL_ABANDONED = 3600.0


@contextlib.contextmanager
def appearing_when_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write under another name, so that nobody ever finds half a file under its own.

    Args:
        path: the file's name.

    Yields:
        A name beside it; what is written there becomes `path` at the end, or vanishes on any failure.

    Raises:
        OSError: if it cannot be renamed.

    Example:
        >>> with appearing_when_whole("report.json") as unfinished:
        ...     unfinished.write_text("{}")
    """
    path = Path(path)
    unfinished = path.with_name(f"{UNFINISHED}{secrets.token_hex(8)}{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_abandoned(directory: str | os.PathLike[str]) -> None:
    """Remove what a killed process left unfinished in a folder: files that nobody has written to for an hour."""
    for path in Path(directory).glob(f"{UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):  # another process may remove it at the same time
            if time.time() - path.stat().st_mtime > _SECONDS_UNTIL_ABANDONED:
                path.unlink()

"""A file in, a digest of what it holds out."""

from __future__ import annotations

import hashlib

_BYTES_AT_ONCE = 1 << 20


def file_digest(path: str) -> str | None:
    """Hash what a file holds, in pieces.

    Args:
        path: the file.

    Returns:
        SHA-256 in hexadecimal; `None` if the file cannot be read.

    Example:
        >>> file_digest("clips/a.mp4") == file_digest("clips/copy of a.mp4")
        True
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_BYTES_AT_ONCE):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()

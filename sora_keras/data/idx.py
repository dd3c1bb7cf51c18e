"""An idx file, as MNIST is published, in; its array out."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

_GZIP_MAGIC = b"\x1f\x8b"
_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an idx file, compressed by gzip or not.

    Args:
        path: the file.

    Returns:
        Its array, of the shape and type that its header states.

    Raises:
        ValueError: if it is no idx file, or has fewer or more bytes than its header states.

    Example:
        >>> read_idx("t10k-images-idx3-ubyte.gz").shape  # doctest: +SKIP
        (10000, 28, 28)

    Reference:
        Y. LeCun, C. Cortes and C. Burges, the format of http://yann.lecun.com/exdb/mnist/: two zero bytes, the type,
        the number of dimensions, each dimension in four bytes, then the values; most significant bytes first.
    """
    path = Path(path)
    with open(path, "rb") as file:
        magic = file.read(2)
        file.seek(0)
        try:
            return _read(path, gzip.GzipFile(fileobj=file) if magic == _GZIP_MAGIC else file)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is a damaged gzip file ({error}): download it again.") from error


def _read(path: Path, file: io.BufferedIOBase) -> np.ndarray:
    header = file.read(4)
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] not in _DTYPES:
        raise ValueError(f"{path} is no idx file: it must begin with 00 00 and a type, received {header.hex(' ')!r}.")
    sizes = file.read(4 * header[3])
    if len(sizes) < 4 * header[3]:
        raise ValueError(f"{path} ends within its header.")
    shape, dtype = struct.unpack(f">{header[3]}I", sizes), np.dtype(_DTYPES[header[2]])
    expected_bytes = math.prod(shape) * dtype.itemsize
    content = file.read(expected_bytes + 1)
    if len(content) != expected_bytes:
        what = "more" if len(content) > expected_bytes else f"{len(content):,}"
        raise ValueError(f"{path} must hold {expected_bytes:,} bytes of an array of shape {shape}, received {what}.")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))

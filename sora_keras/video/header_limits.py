"""A file in; out, what is wrong with it if FFmpeg would fill the memory with what its header promises."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import BinaryIO

# FFmpeg holds metadata, attachments and tables in memory, at three to four times what they take in the file.
MAX_HEADER_BYTES = 200 * 2**20
# It builds an index of 72 bytes a frame before it looks whether there are that many; this is 3 days at 30 frames/s.
MAX_FRAMES = 8_000_000
# A file of many fragments is looked at only as far as this; boxes are nested no deeper than this.
_MAX_PARTS, _MAX_DEPTH = 128, 8

MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot")
_MOV_HEADERS = (b"moov", b"moof", b"meta", b"udta", b"uuid")
_MOV_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")

MATROSKA_MAGIC = b"\x1a\x45\xdf\xa3"
_CLUSTER, _VOID, _SEEK_HEAD = b"\x1f\x43\xb6\x75", b"\xec", b"\x11\x4d\x9b\x74"
_SEEK_POSITION = re.compile(rb"\x53\xac[\x81-\x88]")


def header_fault(path: str | os.PathLike[str]) -> str | None:
    """Look through the header of an MP4 or Matroska file without FFmpeg, and without holding any of it in memory.

    Args:
        path: the file.

    Returns:
        What is wrong, or `None`; also `None` for a file of another format.

    Example:
        >>> header_fault("walk.mp4")  # doctest: +SKIP
    """
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        beginning = _read(file, 0, 8)
        num_bytes = num_frames = 0
        if beginning[4:8] in MOV_BOXES:
            num_bytes = sum(stop - start for kind, start, stop in _boxes(file, 0, end) if kind in _MOV_HEADERS)
            num_frames = sum(_promised_frames(file, 0, end))
        elif beginning.startswith(MATROSKA_MAGIC):
            num_bytes = _matroska_header_bytes(file, end)
    if num_bytes > MAX_HEADER_BYTES:
        return f"its header takes {num_bytes:,} bytes, and at most {MAX_HEADER_BYTES:,} are read"
    if num_frames > MAX_FRAMES:
        return f"its header promises {num_frames:,} frames, and at most {MAX_FRAMES:,} are indexed"
    return None


def _read(file: BinaryIO, position: int, size: int) -> bytes:
    if position >= os.fstat(file.fileno()).st_size:
        return b""  # Positions come out of the file, and systems refuse to go to those that no file can have.
    file.seek(position)
    return file.read(size)


def _integer(file: BinaryIO, position: int) -> int:
    return int.from_bytes(_read(file, position, 4), "big")


def _boxes(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each MP4 box, and where its content begins and ends."""
    for _ in range(_MAX_PARTS):
        head = _read(file, begin, 16)
        size, head_size = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, head_size = int.from_bytes(head[8:], "big"), 16
        size = size or end - begin
        if begin >= end or size < head_size:
            return
        yield head[4:8], begin + head_size, min(begin + size, end)
        begin += size


def _promised_frames(file: BinaryIO, begin: int, end: int, depth: int = 0, is_sound: bool = False) -> Iterator[int]:
    """The number of samples of each table below."""
    boxes = list(_boxes(file, begin, end))
    first = {kind: start for kind, start, _ in reversed(boxes)}
    is_sound = is_sound or (b"hdlr" in first and _read(file, first[b"hdlr"] + 8, 4) == b"soun")
    # Uncompressed sound, of which each sample lasts one tick, is indexed by chunks.
    lasts_one_tick = b"stts" in first and _integer(file, first[b"stts"] + 4) == _integer(file, first[b"stts"] + 12) == 1
    for kind, start, stop in boxes:
        if kind == b"stsz" and not (is_sound and lasts_one_tick):
            yield _integer(file, start + 8)
        elif kind == b"trun":
            yield _integer(file, start + 4)
        elif kind in _MOV_PARENTS and depth < _MAX_DEPTH:
            yield from _promised_frames(file, start, stop, depth + 1, is_sound)


def _element(file: BinaryIO, position: int) -> tuple[bytes, int, int]:
    """Identifier of a Matroska element, and where its content begins and ends."""
    head = _read(file, position, 12)
    id_size = 9 - head[0].bit_length() if head else 0
    size_size = 9 - head[id_size].bit_length() if len(head) > id_size else 0
    size = int.from_bytes(head[id_size : id_size + size_size], "big") & (2 ** (7 * size_size) - 1)
    begin = position + id_size + size_size
    return head[:id_size], begin, begin + size


def _matroska_header_bytes(file: BinaryIO, end: int) -> int:
    """The size of all that is read before the first cluster, be it stored behind the last one."""
    _, _, segment = _element(file, 0)
    _, position, _ = _element(file, segment)
    segment = position
    positions = []
    for _ in range(_MAX_PARTS):
        kind, start, stop = _element(file, position)
        if kind == _CLUSTER or start >= end or stop <= position:
            break
        positions.append(position)
        if kind == _SEEK_HEAD:
            content = _read(file, start, min(stop - start, 4096))
            for match in _SEEK_POSITION.finditer(content):
                offset = content[match.end() : match.end() + match[0][-1] % 16]
                positions.append(segment + int.from_bytes(offset, "big"))
        position = stop
    elements = {_element(file, position) for position in positions if position < end}
    return sum(min(stop, end) - start for kind, start, stop in elements if kind not in (_CLUSTER, _VOID))

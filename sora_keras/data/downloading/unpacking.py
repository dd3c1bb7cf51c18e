"""A zip or tar archive in, a folder of its files out, which appears under its name once it is whole."""

from __future__ import annotations

import gzip
import lzma
import os
import secrets
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

_UNPACKING = ".unpacking-"
_SECONDS_UNTIL_ABANDONED = 24 * 3600.0
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)


class ArchiveError(ValueError):
    """An archive is damaged, or holds what no dataset needs and only an attacker would put there."""


def extract(
    archive: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    member: str = "",
    size_limit_bytes: int | None = None,
) -> Path:
    """Unpack an archive, or one folder of it.

    Only plain files are unpacked, with the permissions of new files. Links, devices, absolute names and names with
    `..` are refused. What Apple's archivers add (`__MACOSX`, `._*`, `.DS_Store`) is left out.

    Args:
        archive: a `.zip`, `.tar.gz` or `.tar.xz` file, told by its content.
        folder: where its files go; it must not exist yet, and appears when all of them are there.
        member: a folder inside the archive, which becomes `folder`; by default all of the archive.
        size_limit_bytes: how much the files may hold together; by default what is free on the disk.

    Returns:
        The folder.

    Raises:
        ArchiveError: if it is no archive, is damaged, holds a link or a name that leads out of the folder, unpacks to
            more than the limit, or holds no file under `member`.
        FileExistsError: if the folder exists.

    Example:
        >>> extract("walking.zip", "kth/walking")  # doctest: +SKIP
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} exists: remove it to unpack {archive} again.")
    _remove_abandoned(folder.parent)
    limit_bytes = shutil.disk_usage(folder.parent).free if size_limit_bytes is None else size_limit_bytes
    unfinished = folder.with_name(f"{_UNPACKING}{secrets.token_hex(8)}")
    unfinished.mkdir()
    try:
        _write_files(archive, unfinished, PurePosixPath(member), limit_bytes)
        try:
            os.replace(unfinished, folder)
        except OSError:
            if not folder.is_dir():  # else another process has unpacked it meanwhile
                raise
    except _DAMAGED as error:
        raise ArchiveError(f"{archive} is damaged ({error}): remove it and download it again.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _remove_abandoned(directory: Path) -> None:
    """Remove what a killed process left half unpacked: folders that nobody has written to for a day."""
    for folder in directory.glob(f"{_UNPACKING}*"):
        if time.time() - folder.stat().st_mtime > _SECONDS_UNTIL_ABANDONED:
            shutil.rmtree(folder, ignore_errors=True)


def _write_files(archive: Path, folder: Path, member: PurePosixPath, limit_bytes: int) -> None:
    written_bytes = 0
    for name, size_bytes, file in _files(archive):
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or not _lies_in(folder / place, folder):
            raise ArchiveError(f"{archive} holds the name {name!r}, which leads out of the folder: do not trust it.")
        if not place.is_relative_to(member) or _is_clutter(place):
            continue
        written_bytes += size_bytes
        if written_bytes > limit_bytes:
            raise ArchiveError(
                f"{archive} unpacks to at least {written_bytes:,} bytes, and {limit_bytes:,} are free or allowed."
            )
        path = folder / place.relative_to(member)
        path.parent.mkdir(parents=True, exist_ok=True)
        with file, open(path, "xb") as target:
            shutil.copyfileobj(file, target, 1 << 20)
    if not written_bytes:
        raise ArchiveError(f"{archive} holds no files in a folder named {str(member)!r}: is it the right archive?")


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether it does on this system, where `\\` or `C:` may mean more than in the archive."""
    return Path(os.path.normpath(path)).is_relative_to(folder)


def _is_clutter(place: PurePosixPath) -> bool:
    return "__MACOSX" in place.parts or place.name.startswith("._") or place.name == ".DS_Store"


def _files(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, size in bytes and content of each file in the archive."""
    if zipfile.is_zipfile(archive):
        yield from _files_of_zip(archive)
    elif archive.stat().st_size and tarfile.is_tarfile(archive):
        yield from _files_of_tar(archive)
    else:
        raise ArchiveError(f"{archive} is neither a whole zip file nor a tar file: remove it and download it again.")


def _files_of_zip(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveError(f"{archive} holds {info.filename!r}, which is a link or device: do not trust it.")
            if not info.is_dir():
                yield info.filename, info.file_size, opened.open(info)


def _files_of_tar(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with tarfile.open(archive) as opened:
        for info in opened:
            if not (info.isreg() or info.isdir()):
                raise ArchiveError(f"{archive} holds {info.name!r}, which is a link or device: do not trust it.")
            content = opened.extractfile(info)
            if content is not None:
                yield info.name, info.size, content
        # `tarfile` takes a damaged header for the end, and never reads as far as the checksum of a compressed file.
        while rest := opened.fileobj.read(1 << 20) if opened.fileobj else b"":
            if rest.strip(b"\0"):
                raise tarfile.ReadError(f"the header of a file after {info.name!r} is not readable")

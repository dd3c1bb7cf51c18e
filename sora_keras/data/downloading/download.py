"""The name of a dataset in, its files on disk out: resumed where an earlier run stopped, verified, unpacked."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from sora_keras.atomic import appearing_when_whole, remove_abandoned
from sora_keras.data.downloading.archives import ARCHIVES, Archive, youtube8m_plan, youtube8m_shards
from sora_keras.data.downloading.partial_file import PartialFile
from sora_keras.data.downloading.transfer import DownloadError, transfer
from sora_keras.data.downloading.unpacking import extract

DOWNLOADS = (*sorted(ARCHIVES), "youtube8m")


def download(
    name: str,
    to: str | os.PathLike[str],
    partition: str | None = None,
    mirror: str = "us",
    share: tuple[int, int] = (1, 1),
) -> list[Path]:
    """Download a dataset and unpack it, as the reader of its name wants it.

    What is there and whole stays; what an earlier run began goes on. Archives are kept: remove them when space is
    short, unpacked folders are not downloaded again.

    Args:
        name: one of `DOWNLOADS`.
        to: the folder to put it in; it is made.
        partition: which part of YouTube-8M, such as `"2/frame/validate"`; it must be named, because each of them has
            hundreds of gigabytes. See `sora_keras.data.downloading.archives.youtube8m_plan`.
        mirror: which server of YouTube-8M to ask first: `"us"`, `"eu"` or `"asia"`.
        share: `(1, 100)` is the first hundredth of the shards of YouTube-8M.

    Returns:
        The unpacked folders and the files.

    Raises:
        ValueError: if there is no such dataset, partition, mirror or share.
        DownloadError: if a file cannot be had, or is not what its checksum promises.
        ArchiveError: if an archive cannot be unpacked.

    Example:
        >>> download("kth", "datasets/kth")  # doctest: +SKIP
        >>> rows = read_kth("datasets/kth")  # doctest: +SKIP
    """
    if name == "youtube8m":
        partition = partition or ""
        plan_file = download_file(youtube8m_plan(partition), to)
        plan = json.loads(plan_file.read_text(encoding="utf-8"))
        archives = tuple(youtube8m_shards(plan, partition, mirror, share))
    elif name in ARCHIVES:
        archives = ARCHIVES[name]
    else:
        raise ValueError(f"There is no dataset {name!r} to download; there are {', '.join(DOWNLOADS)}.")
    return [_ready(archive, Path(to)) for archive in archives]


def _ready(archive: Archive, to: Path) -> Path:
    if not archive.folder:
        return download_file(archive, to)
    folder = to / archive.folder
    if not folder.is_dir():
        extract(download_file(archive, to), folder, archive.member)
    return folder


def download_file(
    archive: Archive,
    to: str | os.PathLike[str],
    timeout_seconds: float = 30.0,
    max_attempts: int = 5,
    seconds_between_attempts: float = 1.0,
) -> Path:
    """Download one file, unless it is there and whole.

    Under its own name it is whole and verified; until then its bytes are in a file of that name and `.partial`, which
    the next run takes up. Where nobody publishes a checksum, the SHA-256 of what came is kept in a file of that name
    and `.sha256`, as `sha256sum` writes it, and checked at later runs.

    Args:
        archive: where it is, and what it must be.
        to: the folder to put it in; it is made.
        timeout_seconds: how long to wait for a connection, and for the next bytes.
        max_attempts: how many attempts in a row may bring nothing.
        seconds_between_attempts: the first wait; each further one is twice as long.

    Returns:
        The file.

    Raises:
        DownloadError: if neither the URL nor a mirror has it, or it is not what its checksum promises.

    Example:
        >>> download_file(Archive("https://example.org/videos.zip"), "datasets")  # doctest: +SKIP
    """
    to = Path(to)
    to.mkdir(parents=True, exist_ok=True)
    remove_abandoned(to)
    path = to / archive.file_name
    if path.is_file():
        if _is_intact(path, archive):
            return path
        logging.getLogger(__name__).warning("%s is not what was downloaded: downloading it again", path)
    reasons = []
    for url in (archive.url, *archive.mirrors):
        try:
            _fetch(url, path, archive, timeout_seconds, max_attempts, seconds_between_attempts)
            return path
        except DownloadError as error:
            reasons.append(str(error))
    raise DownloadError(" ".join(reasons))


def _fetch(
    url: str,
    path: Path,
    archive: Archive,
    timeout_seconds: float,
    max_attempts: int,
    seconds_between_attempts: float,
) -> None:
    algorithm, _, expected = (archive.checksum or "sha256:").partition(":")
    with (
        requests.Session() as session,
        PartialFile(path.with_name(f"{path.name}.partial"), algorithm) as partial,
        _bar(path.name) as show,
    ):
        fetch = functools.partial(
            transfer, session, url, partial, archive.size_bytes, archive.checksum is not None, timeout_seconds,
            max_attempts, seconds_between_attempts, show,
        )  # fmt: skip
        fetch()
        if expected and partial.has_seams and partial.digest(algorithm) != expected:
            partial.restart()  # the bytes from an earlier attempt may be of another version of the file
            fetch()
        received = partial.digest(algorithm)
        if expected and received != expected:
            partial.restart()
            raise DownloadError(
                f"{url}: the {algorithm} of what came is {received}, expected {expected} according to "
                f"{archive.checksum_from or 'its table'}: the file was changed, by its publisher or on the way."
            )
        if not expected:
            _record(path, partial.digest("sha256"))
        partial.become(path)


def _is_intact(path: Path, archive: Archive) -> bool:
    """Whether a file is what its checksum says; the first time that nobody knows one, it is written down."""
    checksum = archive.checksum or _recorded(path)
    algorithm, _, expected = (checksum or "sha256:").partition(":")
    with open(path, "rb") as file:
        digest = hashlib.new(algorithm, usedforsecurity=algorithm == "sha256")
        while piece := file.read(1 << 20):
            digest.update(piece)
    if checksum is None:
        _record(path, digest.hexdigest())
    return checksum is None or digest.hexdigest() == expected


def _record(path: Path, sha256: str) -> None:
    with appearing_when_whole(path.with_name(f"{path.name}.sha256")) as unfinished:
        unfinished.write_text(f"{sha256}  {path.name}\n", encoding="utf-8")


def _recorded(path: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError, IndexError):
        return f"sha256:{path.with_name(f'{path.name}.sha256').read_text(encoding='utf-8').split()[0]}"
    return None


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on the error output, where that is a terminal: how much, how fast, how long still."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)

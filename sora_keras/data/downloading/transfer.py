"""A URL in, its bytes at the end of a partial file out: only those that are missing, however often the line breaks."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import requests
import urllib3

from sora_keras.data.downloading.partial_file import PartialFile

_PIECE_BYTES = 1 << 18
_LONGEST_WAIT_SECONDS = 120.0


class DownloadError(OSError):
    """A file cannot be downloaded; the message says why, and whether to try again."""


class _PassingError(Exception):
    """Something that may be over at the next attempt."""

    def __init__(self, reason: str, seconds_to_wait: float = 0.0) -> None:
        super().__init__(reason)
        self.seconds_to_wait = min(seconds_to_wait, _LONGEST_WAIT_SECONDS)


def transfer(
    session: requests.Session,
    url: str,
    partial: PartialFile,
    size_bytes: int | None = None,
    is_verified_later: bool = False,
    timeout_seconds: float = 30.0,
    max_attempts: int = 5,
    seconds_between_attempts: float = 1.0,
    show: Callable[[int, int | None], None] = lambda done, total: None,
) -> None:
    """Fetch what a partial file lacks.

    Bytes that are there are kept if the server says that its file is still the same (ETag or Last-Modified); if it has
    no way to say so they are kept only where a checksum will find out. Cut connections, time-outs and the answers 429
    and 5xx are tried again, each time after twice the wait, until so many attempts in a row bring nothing.

    Args:
        session: connections to use.
        url: what to fetch; from `https://` no redirection leads to `http://`.
        partial: where the bytes go.
        size_bytes: how many there must be, if that is known.
        is_verified_later: whether the caller knows a checksum of the whole.
        timeout_seconds: how long to wait for a connection, and for the next bytes.
        max_attempts: how many attempts in a row may bring nothing.
        seconds_between_attempts: the first wait.
        show: is told how many bytes are there, and of how many.

    Raises:
        DownloadError: if the file cannot be had, or is of another size.

    Example:
        >>> with requests.Session() as session, PartialFile(Path("a.zip.partial")) as partial:  # doctest: +SKIP
        ...     transfer(session, "https://example.org/a.zip", partial)
    """
    attempt = 0
    while True:
        size_before = partial.size_bytes
        try:
            return _attempt(session, url, partial, size_bytes, is_verified_later, timeout_seconds, show)
        except _PassingError as error:
            attempt = 1 if partial.size_bytes > size_before else attempt + 1
            if attempt >= max_attempts:
                raise DownloadError(
                    f"{url}: {error}, {attempt} times in a row; the same command goes on after the "
                    f"{partial.size_bytes:,} bytes that are here."
                ) from error
            time.sleep(max(error.seconds_to_wait, seconds_between_attempts * 2 ** (attempt - 1)))


def _attempt(
    session: requests.Session,
    url: str,
    partial: PartialFile,
    size_bytes: int | None,
    is_verified_later: bool,
    timeout_seconds: float,
    show: Callable[[int, int | None], None],
) -> None:
    # A file that is compressed already must not come compressed once more: sizes and ranges count the file's own bytes.
    headers = {"Accept-Encoding": "identity", "User-Agent": "sora-keras"}
    validator = partial.validator if partial.url == url else ""
    if partial.size_bytes and (validator or is_verified_later):
        headers["Range"] = f"bytes={partial.size_bytes}-"
        if validator:
            headers["If-Range"] = validator
    else:
        partial.restart()
    with (
        _telling_passing_errors(url),
        session.get(url, headers=headers, stream=True, timeout=timeout_seconds) as response,
    ):
        _check_redirections(url, response)
        if _is_complete(response, partial):
            return
        total = _check_answer(url, response, partial, size_bytes)
        partial.url, partial.validator = url, _validator(response)
        show(partial.size_bytes, total)
        for piece in response.raw.stream(_PIECE_BYTES, decode_content=False):
            partial.write(piece)
            show(partial.size_bytes, total)
            if total is not None and partial.size_bytes > total:
                raise DownloadError(f"{url}: the server sends more than the {total:,} bytes it announced; tell them.")
    if total is not None and partial.size_bytes < total:
        raise _PassingError(f"the connection ended after {partial.size_bytes:,} of {total:,} bytes")


@contextlib.contextmanager
def _telling_passing_errors(url: str) -> Iterator[None]:
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise DownloadError(f"{url}: the server's certificate is not to be trusted ({error}).") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _PassingError(f"the connection failed ({error})") from error
    except urllib3.exceptions.HTTPError as error:
        raise _PassingError(f"the connection was cut ({error})") from error
    except requests.RequestException as error:
        raise DownloadError(f"{url}: {error}") from error


def _check_redirections(url: str, response: requests.Response) -> None:
    for hop in (*response.history, response):
        if urlsplit(url).scheme == "https" and urlsplit(hop.url).scheme != "https":
            raise DownloadError(f"{url}: the server leads on to {hop.url}, which is not https: do not trust it.")


def _is_complete(response: requests.Response, partial: PartialFile) -> bool:
    """Whether the server has no more than what is there already."""
    if response.status_code != 416:
        return False
    if response.headers.get("Content-Range", "").endswith(f"*/{partial.size_bytes}"):
        return True
    partial.restart()
    raise _PassingError("the server's file is shorter than what is here, so it starts anew")


def _check_answer(url: str, response: requests.Response, partial: PartialFile, size_bytes: int | None) -> int | None:
    """How many bytes there will be in the end, if an answer with bytes says so."""
    status = response.status_code
    if status == 429 or status >= 500:
        wait = response.headers.get("Retry-After", "")
        raise _PassingError(f"the server answers {status} {response.reason}", float(wait) if wait.isdigit() else 0.0)
    if status not in (200, 206):
        raise DownloadError(f"{url}: the server answers {status} {response.reason}; has the publisher moved it?")
    if status == 206:
        part = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if part is None or int(part[1]) != partial.size_bytes:
            partial.restart()
            raise _PassingError("the server sends another part than it was asked for")
        partial.has_seams = True
        total = None if part[2] == "*" else int(part[2])
    else:
        partial.restart()
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
    if None not in (total, size_bytes) and total != size_bytes:
        raise DownloadError(f"{url}: the server's file has {total:,} bytes, expected {size_bytes:,}: it has changed.")
    total = size_bytes if total is None else total
    if total is None and "chunked" not in response.headers.get("Transfer-Encoding", ""):
        raise DownloadError(f"{url}: the server does not say how large the file is, so a cut would go unnoticed.")
    free_bytes = shutil.disk_usage(partial.path.parent).free
    if total is not None and total - partial.size_bytes > free_bytes:
        raise DownloadError(
            f"{url}: {total - partial.size_bytes:,} bytes are to come, and {free_bytes:,} are free in "
            f"{partial.path.parent}: make room, or choose another folder."
        )
    return total


def _validator(response: requests.Response) -> str:
    """What tells this version of the server's file from others, in the form that If-Range takes."""
    etag = response.headers.get("ETag", "")
    return response.headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag

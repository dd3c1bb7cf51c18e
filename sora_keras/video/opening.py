"""A path in, an opened video stream (or what is wrong with the file) out."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

import av
from av.stream import Disposition

# FFmpeg draws text as pictures, and playlists lead to other files than the one that was named.
_NOT_VIDEO_FORMATS = {"tty": "a text file", "concat": "a playlist", "hls": "a playlist", "dash": "a playlist"}

# Titles in other encodings than UTF-8 are no reason to refuse a video; from PyAV 19 on they are none by default.
_METADATA_OPTIONS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


class VideoError(OSError):
    """A file cannot be read or written as a video; the message names it, what is wrong and what to do.

    Args:
        path: the file.
        reason: what is wrong with it.

    Example:
        >>> str(VideoError("walk.mp4", "the file is empty; download it again"))
        'walk.mp4: the file is empty; download it again'
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = os.fsdecode(path)
        super().__init__(f"{self.path}: {reason}")
        self.reason = reason

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str]]:
        return (type(self), (self.path, self.reason))


@contextlib.contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a file for decoding; an FFmpeg error anywhere in the block becomes a `VideoError`.

    Args:
        path: the file.

    Yields:
        The `av` video stream to decode; its `container` is the opened file.

    Raises:
        VideoError: if the file cannot be opened, holds no video, or stops FFmpeg.

    Example:
        >>> with open_video("walk.mp4") as stream:  # doctest: +SKIP
        ...     print(stream.codec_context.name)
        h264
    """
    _check_path(path)
    try:
        # The prefix keeps a colon in a name from reading as a protocol, the whitelist keeps playlists off the network.
        url = f"file:{os.fsdecode(path)}"
        with av.open(url, options={"protocol_whitelist": "file"}, **_METADATA_OPTIONS) as container:
            yield _video_stream(path, container)
    except av.FFmpegError as error:
        what = error.strerror or type(error).__name__
        raise VideoError(
            path, f"FFmpeg cannot read it as a video ({what}); replace the file or leave it out"
        ) from error


def _check_path(path: str | os.PathLike[str]) -> None:
    name = os.fsdecode(path)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        raise VideoError(name, "this is a URL, and only files are read; download it first and pass the file's path")
    if os.path.isdir(name):
        raise VideoError(name, "this is a folder, not a video file; pass one of the files in it")
    if not os.path.exists(name):
        raise VideoError(name, f"there is no such file; the current folder is {os.getcwd()}")
    if not os.access(name, os.R_OK):
        raise VideoError(name, "this file may not be read; change its permissions")
    if os.path.isfile(name) and os.path.getsize(name) == 0:
        raise VideoError(name, "the file is empty (0 bytes); download or copy it again")


def _video_stream(path: str | os.PathLike[str], container: Any) -> Any:
    if container.format.name in _NOT_VIDEO_FORMATS:
        raise VideoError(path, f"this is {_NOT_VIDEO_FORMATS[container.format.name]}, not a video; leave it out")
    videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not videos:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise VideoError(path, f"there is no video in this file, it holds {kinds}; leave it out")
    if videos[0].codec_context is None:
        raise VideoError(path, "FFmpeg has no decoder for its video codec; convert it to H.264")
    # Videos are decoded side by side by their readers; threads inside each decoder would only get in the way.
    videos[0].codec_context.thread_count = 1
    return videos[0]

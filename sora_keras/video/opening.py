"""A path in, an opened video stream (or what is wrong with the file) out."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

import av
from av.stream import Discard, Disposition

from sora_keras.video.header_limits import MATROSKA_MAGIC, MOV_BOXES, header_fault

MOV = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA = "matroska,webm"
AVI = "avi"
MPEG_TS = "mpegts"

# Larger frames than this (8K) are taken for a broken or hostile header: a decoder holds up to 17 of them.
MAX_PIXELS = 8192 * 4352

# Only formats that keep everything in the one file. Playlists, image sequences, scripts and devices lead elsewhere.
_FORMATS = ",".join(
    (
        MOV, MATROSKA, AVI, MPEG_TS, "mpeg", "mpegvideo", "m4v", "h261", "h263", "h264", "hevc", "vvc", "av1", "obu",
        "vc1", "ivf", "flv", "gif", "asf", "ogg", "rm", "mxf", "nut", "dv", "mjpeg", "yuv4mpegpipe", "apng", "wtv",
        "mp3", "wav", "flac", "aac",
    )
)  # fmt: skip

# While it opens a file, FFmpeg decodes frames to learn what these decoders tell nowhere else: how they reorder.
_DECODERS_THAT_REORDER = "h264,hevc,vvc,mpeg1video,mpeg2video,mpeg4,vc1,wmv3,cavs,rv30,rv40"
# In MP4 those of these tell it in time, so that nothing has to be decoded twice.
_DECODERS_THAT_TELL_LATER = ("hevc", "vp8", "vp9", "libdav1d", "av1", "mjpeg", "prores", "ffv1", "gif", "png", "qtrle")

_PLAYLIST = re.compile(rb"\s*(#EXTM3U|ffconcat|\[playlist\]|\[reference\]|v=0|<asx|<smil|(<\?xml[^>]*>\s*)?<MPD)", re.I)

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

    Nothing but this one file is opened, whatever is written in it, and no frame of more than 8192 x 4352 pixels is
    decoded.

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
    name = os.fsdecode(path)
    _check_path(name)
    beginning = _check_beginning(name)
    try:
        with _open_container(name, beginning) as container:
            yield _video_stream(name, container)
    except av.FFmpegError as error:
        what = _kind_of_text(beginning) or error.strerror or type(error).__name__
        raise VideoError(
            name, f"FFmpeg cannot read it as a video ({what}); replace the file or leave it out"
        ) from error


def _check_path(name: str) -> None:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        raise VideoError(name, "this is a URL, and only files are read; download it first and pass the file's path")
    try:
        status = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        raise VideoError(name, f"there is no such file; the current folder is {os.getcwd()}") from None
    except (OSError, ValueError) as error:
        raise VideoError(name, f"this file cannot be reached ({error}); check its path") from error
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(name, "this is a folder, not a video file; pass one of the files in it")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(name, "this is a device, pipe or socket, and only files are read; write it to a file first")
    if not os.access(name, os.R_OK):
        raise VideoError(name, "this file may not be read; change its permissions")
    if status.st_size == 0:
        raise VideoError(name, "the file is empty (0 bytes); download or copy it again")


def _check_beginning(name: str) -> bytes:
    try:
        fault = header_fault(name)
        with open(name, "rb") as file:
            beginning = file.read(1024)
    except OSError as error:
        raise VideoError(name, f"this file cannot be read ({error.strerror}); copy it again") from error
    if fault is not None:
        raise VideoError(name, f"{fault}; it is broken, or made to do harm, leave it out")
    return beginning


def _open_container(name: str, beginning: bytes) -> Any:
    if beginning[4:8] in MOV_BOXES:
        container = _open_with(name, {"codec_whitelist": "none"})
        if all(_tells_its_order(stream) for stream in container.streams.video):
            return container
        container.close()
    elif beginning.startswith(MATROSKA_MAGIC):
        return _open_with(name, {"codec_whitelist": _DECODERS_THAT_REORDER})
    return _open_with(name, {})


def _open_with(name: str, options: dict[str, str]) -> Any:
    # The prefix keeps a colon in a name from reading as a protocol, the whitelists keep FFmpeg off other files.
    limits = {"protocol_whitelist": "file", "format_whitelist": _FORMATS, "max_pixels": str(MAX_PIXELS)}
    return av.open(f"file:{name}", options=limits | options, **_METADATA_OPTIONS)


def _tells_its_order(stream: Any) -> bool:
    """Whether its frames come in the right order, although none was decoded while the file was opened."""
    decoder = stream.codec_context
    if decoder is None or stream.disposition & Disposition.attached_pic:
        return True
    return decoder.name in _DECODERS_THAT_TELL_LATER or (decoder.name == "h264" and decoder.has_b_frames)


def _video_stream(name: str, container: Any) -> Any:
    videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not videos:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise VideoError(name, f"there is no video in this file, it holds {kinds}; leave it out")
    video = videos[0]
    if video.codec_context is None:
        raise VideoError(name, "FFmpeg has no decoder for its video codec; convert it to H.264")
    width, height = video.codec_context.width, video.codec_context.height
    if width * height > MAX_PIXELS:
        raise VideoError(
            name,
            f"its header tells of frames of {width} x {height} pixels, and at most {MAX_PIXELS:,} pixels (8K) are "
            "decoded; scale it down or leave it out",
        )
    for stream in container.streams:
        if stream is not video:
            stream.discard = Discard.all
    video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    # Videos are decoded side by side by their readers; threads inside each decoder would only get in the way.
    video.codec_context.thread_count = 1
    return video


def _kind_of_text(beginning: bytes) -> str | None:
    if _PLAYLIST.match(beginning):
        return "this is a playlist, and the files it names are not opened"
    is_text = beginning.isascii() and not set(beginning) & set(range(9))
    return "this is a text file" if is_text else None

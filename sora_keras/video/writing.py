"""Frames in, a video file out."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from sora_keras.atomic import appearing_when_whole
from sora_keras.video.opening import VideoError

_CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".gif": "gif"}
_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def write_video(
    path: str | os.PathLike[str],
    frames: np.ndarray | Iterable[np.ndarray],
    frames_per_second: float = 25.0,
    quality: int = 18,
) -> None:
    """Write frames to a video file, which appears under its name only once it is whole.

    `.mp4`, `.mov` and `.mkv` hold H.264, its colors at half resolution unless a side is odd. `.gif` holds an animation
    in 256 fixed colors, each frame shown for a whole number of 1/100 s. The same frames give the same bytes.

    Args:
        path: the file to write; its extension names the format. An existing file is replaced.
        frames: RGB frames, `uint8 (T, H, W, 3)`, or `uint8 (H, W, 3)` one after the other.
        frames_per_second: how fast they are shown.
        quality: H.264's constant rate factor, 0 (best) to 51; 6 more is about half the file. `.gif` does without.

    Raises:
        ValueError: if the extension, rate, quality, dtype or shape is not as above, or there are no frames.
        VideoError: if the file cannot be written.

    Example:
        >>> write_video("gray.mp4", np.full((50, 64, 64, 3), 128, np.uint8))  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix.lower() not in _CODECS:
        raise ValueError(
            f"the file's extension must be one of {', '.join(_CODECS)}, received {path.suffix!r} in {str(path)!r}."
        )
    if not 0.01 <= frames_per_second <= 1000:
        raise ValueError(f"frames_per_second must be from 0.01 to 1000, received {frames_per_second!r}.")
    if quality not in range(52):
        raise ValueError(f"quality must be a whole number from 0 (best) to 51, received {quality!r}.")
    check_place(path)
    # Without the protocol's name, a colon in a folder's name would end one.
    with appearing_video(path) as unfinished, av.open(f"file:{unfinished}", "w") as container:
        stream = None
        reformatter = VideoReformatter()
        for index, frame in enumerate(_checked(frames)):
            stream = stream or _add_stream(container, path, frame, frames_per_second, quality)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            picture = reformatter.reformat(picture, format=stream.codec_context.pix_fmt, threads=1)
            picture.pts = index
            container.mux(stream.encode(picture))
        if stream is None:
            raise ValueError("frames must hold at least one frame, received 0.")
        container.mux(stream.encode(None))


def _checked(frames: np.ndarray | Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    first_shape = None
    for index, frame in enumerate(frames):
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
            received = frame.dtype if isinstance(frame, np.ndarray) else type(frame).__name__
            raise ValueError(f"frames must be uint8 arrays, received {received} as frame {index}.")
        if frame.ndim != 3 or frame.shape[-1] != 3 or frame.size == 0:
            raise ValueError(f"each frame must have shape (H, W, 3), received {frame.shape} as frame {index}.")
        first_shape = first_shape or frame.shape
        if frame.shape != first_shape:
            raise ValueError(
                f"all frames must have the shape of the first, {first_shape}, received {frame.shape} as frame {index}."
            )
        yield frame


def _add_stream(container: Any, path: Path, frame: np.ndarray, frames_per_second: float, quality: int) -> Any:
    codec = _CODECS[path.suffix.lower()]
    # One thread: many small videos are written side by side, and the bytes do not depend on the machine.
    # Without the macroblock tree, which on small pictures decides by memory that nobody wrote.
    x264_options = {"crf": str(quality), "preset": "veryfast", "threads": "1", "mbtree": "0"}
    rate = Fraction(frames_per_second).limit_denominator(10_000)
    stream = container.add_stream(codec, rate=rate, options=x264_options if codec == "libx264" else {})
    stream.height, stream.width = frame.shape[:2]
    has_odd_side = frame.shape[0] % 2 or frame.shape[1] % 2
    stream.pix_fmt = "rgb8" if codec == "gif" else "yuv444p" if has_odd_side else "yuv420p"
    return stream


def check_place(path: Path) -> None:
    """Raise a `VideoError` if a file's folder does not exist, or it is a folder itself."""
    if not path.parent.is_dir():
        raise VideoError(path, f"the folder {str(path.parent)!r} does not exist; create it first")
    if path.is_dir():
        raise VideoError(path, "this is a folder; pass the name of a file in it")


@contextlib.contextmanager
def appearing_video(path: Path) -> Iterator[Path]:
    """Write a video under another name, which it changes only once it is whole.

    Args:
        path: the file.

    Yields:
        A name beside `path` to write to; it becomes `path` at the end, or vanishes on any failure.

    Raises:
        VideoError: if FFmpeg cannot write it, or the disk is full.

    Example:
        >>> with appearing_video(Path("walk.mp4")) as unfinished, av.open(f"file:{unfinished}", "w") as container:
        ...     container.add_stream("libx264", rate=25)
    """
    try:
        with appearing_when_whole(path) as unfinished:
            yield unfinished
    except (OSError, av.FFmpegError) as error:
        if error.errno in _NO_SPACE:
            raise VideoError(
                path, f"there is no space left for it ({error.strerror}); free some, or write to another disk"
            ) from error
        if isinstance(error, av.FFmpegError):
            raise VideoError(
                path, f"FFmpeg cannot write it ({error.strerror}); check the folder's permissions, or write .mkv"
            ) from error
        raise

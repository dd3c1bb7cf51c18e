"""A video and parts of it in, a file with these parts one after the other, sound kept, out."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from sora_keras.atomic import UNFINISHED, appearing_when_whole
from sora_keras.video.clip import ClipSpec
from sora_keras.video.opening import VideoError
from sora_keras.video.probing import VideoInfo, probe
from sora_keras.video.reading import read_clip
from sora_keras.video.sound import read_sound
from sora_keras.video.writing import write_video

SAMPLE_RATE_HZ = 48_000
_FRAMES_PER_SECOND = (1.0, 60.0)
# What is decoded at once.
_BYTES_HELD = 2**27
_SECONDS_HELD = 10.0


def cut_video(
    path: str | os.PathLike[str],
    parts: Sequence[tuple[float, float]],
    to: str | os.PathLike[str],
    most_rows: int | None = None,
    quality: int = 20,
) -> None:
    """Write parts of a video one after the other into a file, which appears under its name only once it is whole.

    The frames are encoded anew, as H.264 of the video's average rate, at least 1 and at most 60 a second, and of even
    height and width, as players want them. Where there is sound it is kept, as one channel of AAC, silent where it is
    broken. Memory does not grow with the parts.

    Args:
        path: the video file.
        parts: start and end of each part, seconds since the video's first frame, in the order to show them.
        to: the file to write: `.mp4`, `.mov` or `.mkv`. An existing file is replaced.
        most_rows: height H to scale taller frames down to; `None` keeps the video's.
        quality: H.264's constant rate factor, see `write_video`.

    Raises:
        ValueError: if there are no parts, one does not end after it begins, or an argument is out of its range.
        VideoError: if a part cannot be read, or the file cannot be written.

    Example:
        >>> cut_video("match.mp4", [(12.0, 15.5), (80.0, 84.0)], "goals.mp4", most_rows=480)  # doctest: +SKIP
    """
    to = Path(to)
    _check(parts, to, most_rows)
    info = probe(path)
    height, width = _even_size(info, most_rows)
    lowest, highest = _FRAMES_PER_SECOND
    rate = min(max(info.frames_per_second, lowest), highest)
    frames_held = max(1, min(_BYTES_HELD // (3 * height * width), math.floor(_SECONDS_HELD * rate)))
    pieces = [
        piece for start, end in parts for piece in _pieces(start, min(end, info.duration_seconds), rate, frames_held)
    ]
    frames = (
        frame
        for start, num_frames in pieces
        for frame in read_clip(
            path, ClipSpec(num_frames, height, width, rate), start_seconds=start, end_seconds=start + num_frames / rate
        ).frames
    )
    if not info.has_audio:
        write_video(to, frames, rate, quality)
        return
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=to.parent) as folder:
        mute = Path(folder) / "mute.mp4"  # which tells, unlike Matroska, when each picture is to be decoded
        write_video(mute, frames, rate, quality)
        sounds = (_sound(path, start, num_frames / rate) for start, num_frames in pieces)
        with appearing_when_whole(to) as unfinished:
            _add_sound(mute, sounds, unfinished)


def _check(parts: Sequence[tuple[float, float]], to: Path, most_rows: int | None) -> None:
    if not parts:
        raise ValueError("`parts` must hold at least one part to write, received 0.")
    for start, end in parts:
        if not 0 <= start < end < math.inf:
            raise ValueError(
                f"each part must begin at 0 s or later and end after it begins, received {start!r} to {end!r}."
            )
    if to.suffix.lower() not in (".mp4", ".mov", ".mkv"):
        raise ValueError(
            f"the file's extension must be one of .mp4, .mov, .mkv, received {to.suffix!r} in {str(to)!r}."
        )
    if most_rows is not None and most_rows < 2:
        raise ValueError(f"`most_rows` must be at least 2, or None, received {most_rows!r}.")
    if not to.parent.is_dir():
        raise VideoError(to, f"the folder {str(to.parent)!r} does not exist; create it first")


def _even_size(info: VideoInfo, most_rows: int | None) -> tuple[int, int]:
    """Height and width as displayed, at most so many rows, each rounded to even."""
    scale = min(1.0, (most_rows or info.height) / info.height)
    height, width = (max(2, 2 * math.floor(scale * side / 2)) for side in (info.height, info.width))
    return height, width


def _pieces(start: float, end: float, rate: float, frames_held: int) -> Iterator[tuple[float, int]]:
    """Start and number of frames of each piece of a part, none of more frames than may be held at once."""
    num_frames = max(1, round((end - start) * rate))
    for first in range(0, num_frames, frames_held):
        yield start + first / rate, min(frames_held, num_frames - first)


def _sound(path: str | os.PathLike[str], start_seconds: float, seconds: float) -> np.ndarray:
    """What is heard in a piece, `float32 (N,)`; silence where it is broken."""
    try:
        sound = read_sound(path, SAMPLE_RATE_HZ, start_seconds, start_seconds + seconds)
    except VideoError as error:
        logging.getLogger(__name__).warning("no sound: %s", error)
        sound = None
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32) if sound is None else sound


def _add_sound(mute: Path, sounds: Iterable[np.ndarray], to: Path) -> None:
    """Copy a video and give it sound, `float32 (N,)` in -1..1, piece by piece."""
    remaining = iter(sounds)
    num_heard = 0
    with av.open(str(mute)) as source, av.open(str(to), "w") as container:
        pictures = source.streams.video[0]
        video = container.add_stream_from_template(pictures)
        audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        for packet in source.demux(pictures):
            if packet.dts is None:  # what PyAV ends with
                continue
            # Players want both side by side in the file.
            while num_heard <= packet.dts * packet.time_base * SAMPLE_RATE_HZ:
                if (sound := next(remaining, None)) is None:
                    break
                container.mux(audio.encode(_audio_frame(sound, num_heard)))
                num_heard += len(sound)
            packet.stream = video
            container.mux(packet)
        for sound in remaining:
            container.mux(audio.encode(_audio_frame(sound, num_heard)))
            num_heard += len(sound)
        container.mux(audio.encode(None))


def _audio_frame(sound: np.ndarray, position: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None], np.float32), "fltp", "mono")
    frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE_HZ, Fraction(1, SAMPLE_RATE_HZ), position
    return frame

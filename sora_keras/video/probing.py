"""A path in, what the video file holds (`VideoInfo`) out."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from sora_keras.video.decoding import frame_rate, timed_frames
from sora_keras.video.jumping import packets_of, rewind
from sora_keras.video.opening import MATROSKA, VideoError, open_video

_LONGEST_SECONDS = 7 * 24 * 3600


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Args:
        duration_seconds: from the first frame's beginning to the last one's end.
        start_seconds: the first frame's timestamp in the file; all other times count from it.
        frames_per_second: on average, where the rate varies.
        height: rows of a frame as displayed, rotation applied.
        width: columns of a frame as displayed, rotation applied.
        rotation_degrees: the counterclockwise turn the file asks for, already applied to every frame that is read.
        codec: FFmpeg's name of the codec.
        has_audio: whether there is sound.
    """

    duration_seconds: float
    start_seconds: float
    frames_per_second: float
    height: int
    width: int
    rotation_degrees: int
    codec: str
    has_audio: bool


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Look at a video file without decoding more than its first frame, where its header tells the rest.

    Args:
        path: the file.

    Returns:
        What it holds.

    Raises:
        VideoError: if it is no video file, or no frame of it can be decoded.

    Example:
        >>> probe("walk.mp4").frames_per_second  # doctest: +SKIP
        30.0
    """
    with open_video(path) as stream:
        duration_seconds = find_duration(path, stream)
        _, frame = next(timed_frames(os.fsdecode(path), stream), (0.0, None))
        if frame is None:
            raise VideoError(path, "no frame of it can be decoded; replace the file or leave it out")
        height, width = (frame.width, frame.height) if frame.rotation % 180 else (frame.height, frame.width)
        return VideoInfo(
            duration_seconds=duration_seconds,
            start_seconds=float((stream.start_time or 0) * stream.time_base),
            frames_per_second=frame_rate(stream),
            height=height,
            width=width,
            rotation_degrees=frame.rotation % 360,
            codec=stream.codec_context.codec.canonical_name,
            has_audio=bool(stream.container.streams.audio),
        )


def find_duration(path: str | os.PathLike[str], stream: Any) -> float:
    """Measure a video from its header, or by counting where the header is silent.

    Args:
        path: the file.
        stream: its opened video stream, at the beginning, where it also ends up.

    Returns:
        Seconds from the first frame's beginning to the last one's end, at least one frame.

    Raises:
        VideoError: if the times in the file are broken, so that it would last more than a week.
    """
    if stream.duration:
        seconds = float(stream.duration * stream.time_base)
    elif stream.container.format.name == MATROSKA:
        seconds = _end_of_packets(stream) - float((stream.start_time or 0) * stream.time_base)
        rewind(stream)
    else:
        with open_video(path) as scanned:
            if stream.start_time is None:
                seconds = sum(1 for _ in timed_frames(os.fsdecode(path), scanned)) / frame_rate(stream)
            else:
                seconds = _end_of_packets(scanned) - float(stream.start_time * stream.time_base)
    seconds = max(seconds, 1 / frame_rate(stream))
    if seconds > _LONGEST_SECONDS:
        raise VideoError(
            path,
            f"its header tells of {seconds:.0f} s of video, more than the {_LONGEST_SECONDS} s of a week; its times "
            "are broken, convert it or leave it out",
        )
    return seconds


def _end_of_packets(stream: Any) -> float:
    container = stream.container
    if container.duration and container.format.name == MATROSKA:
        container.seek(container.duration)
    ends = (packet.pts + (packet.duration or 0) for packet in packets_of(stream) if packet.pts is not None)
    return float(max(ends, default=0) * stream.time_base)

"""A path in, the video's frames (one `Clip`, all of its windows, or a stream) out."""

from __future__ import annotations

import itertools
import math
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

from sora_keras.video.clip import Clip, ClipSpec
from sora_keras.video.decoding import TOLERANCE_SECONDS, displayed_frames, timed_frames
from sora_keras.video.opening import VideoError, open_video
from sora_keras.video.orientation import orientation_of
from sora_keras.video.probing import find_duration
from sora_keras.video.sampling import Sampling, ShortVideo, all_window_times, fit_times, sample_times


def read_clip(
    path: str | os.PathLike[str],
    clip_spec: ClipSpec,
    sampling: Sampling = "uniform",
    short_video: ShortVideo = "repeat_last",
    rng: np.random.Generator | None = None,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
) -> Clip:
    """Read one clip of a video file, decoding no more of it than needed.

    Each frame is the one on display at the wanted time, so variable frame rates and first timestamps other than zero
    are respected. Rotation is applied, transparency is dropped, the aspect ratio gives way to `clip_spec`.

    Args:
        path: the video file.
        clip_spec: the clip's shape `(T, H, W, 3)` and rate.
        sampling: where the frames are taken, see `sora_keras.video.sampling.sample_times`.
        short_video: what to do where the video is too short, see `sora_keras.video.sampling.fit_times`.
        rng: source of the randomness of `"random_window"`.
        start_seconds: where the part of the video to sample begins.
        end_seconds: where that part ends; `None`, or a time past the video's end, is the video's end.

    Returns:
        A clip of exactly `clip_spec.shape`; its times are the wanted ones, in seconds since the video's first frame.

    Raises:
        VideoError: if the file cannot be read as a video, is too short and `short_video="error"`, or ends before
            `start_seconds`.

    Example:
        >>> read_clip("walk.mp4", ClipSpec(16, 112, 112)).frames.shape  # doctest: +SKIP
        (16, 112, 112, 3)
    """
    with open_video(path) as stream:
        duration_seconds = find_duration(path, stream)
        part_seconds = _length_of_part(path, start_seconds, end_seconds, duration_seconds)
        _refuse_if_short(path, part_seconds, clip_spec, short_video)
        times = start_seconds + sample_times(part_seconds, clip_spec, sampling, short_video, rng)
        if end_seconds is not None and end_seconds < duration_seconds:
            # The frame that begins where the part ends is not of it.
            times = np.clip(times, start_seconds, max(start_seconds, end_seconds - 2 * TOLERANCE_SECONDS))
        wanted, positions = np.unique(times, return_inverse=True)
        frames = np.empty(clip_spec.shape, np.uint8)
        for index, frame in enumerate(_scaled_frames(path, stream, wanted.tolist(), duration_seconds, clip_spec)):
            frames[positions == index] = frame
    return Clip(frames, times)


def read_windows(
    path: str | os.PathLike[str],
    clip_spec: ClipSpec,
    seconds_between_windows: float | None = None,
    short_video: ShortVideo = "repeat_last",
) -> Iterator[Clip]:
    """Read every window of a video file in one pass, keeping no more frames than the windows under way need.

    Args:
        path: the video file.
        clip_spec: one window's shape `(T, H, W, 3)` and rate; without a rate there is one window, the whole video.
        seconds_between_windows: from one window's start to the next one's; `None` lays them end to end.
        short_video: what to do where the video is shorter than a window.

    Yields:
        Clips of `clip_spec.shape` in order of time; the last one ends where the video ends.

    Raises:
        VideoError: if the file cannot be read as a video, or is too short and `short_video="error"`.

    Example:
        >>> windows = read_windows("walk.mp4", ClipSpec(16, 112, 112, frames_per_second=8.0))  # doctest: +SKIP
    """
    with open_video(path) as stream:
        duration_seconds = find_duration(path, stream)
        _refuse_if_short(path, duration_seconds, clip_spec, short_video)
        windows, windows_ahead = itertools.tee(
            _windows(duration_seconds, clip_spec, seconds_between_windows, short_video)
        )
        wanted, wanted_of_frames = itertools.tee(_merged(windows_ahead))
        frames = zip(wanted, _scaled_frames(path, stream, wanted_of_frames, duration_seconds, clip_spec), strict=True)
        recent: dict[float, np.ndarray] = {}
        for window in windows:
            recent = {seconds: frame for seconds, frame in recent.items() if seconds >= window.min()}
            while window.max() not in recent:
                seconds, frame = next(frames)
                recent[seconds] = frame
            yield Clip(np.stack([recent[seconds] for seconds in window.tolist()]), window)


def stream_frames(
    path: str | os.PathLike[str], height: int | None = None, width: int | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """Read every frame of a video file in display order, one at a time.

    Args:
        path: the video file.
        height: rows H of the frames; `None` keeps the video's.
        width: columns W of the frames; `None` keeps the video's.

    Yields:
        Seconds since the video's first frame, and the frame shown from then on, `uint8 (H, W, 3)` RGB.

    Raises:
        VideoError: if the file cannot be read as a video, or no frame of it can be decoded.

    Example:
        >>> for seconds, frame in stream_frames("walk.mp4", height=240, width=320):  # doctest: +SKIP
        ...     print(f"{seconds:.2f} s: mean {frame.mean():.0f}")
    """
    reformatter = VideoReformatter()
    seconds = None
    with open_video(path) as stream:
        for seconds, frame in timed_frames(os.fsdecode(path), stream):
            yield seconds, _to_rgb(frame, reformatter, height, width)
    if seconds is None:
        raise VideoError(path, "no frame of it can be decoded; replace the file or leave it out")


def _windows(
    duration_seconds: float, clip_spec: ClipSpec, seconds_between_windows: float | None, short_video: ShortVideo
) -> Iterator[np.ndarray]:
    """The times of one window after the other, however many a header promises."""
    if clip_spec.frames_per_second is None:
        yield sample_times(duration_seconds, clip_spec)
        return
    num_frames, frames_per_second = clip_spec.num_frames, clip_spec.frames_per_second
    window_seconds = num_frames / frames_per_second
    stride = window_seconds if seconds_between_windows is None else seconds_between_windows
    (times,) = all_window_times(min(duration_seconds, window_seconds), num_frames, frames_per_second, stride)
    last_start = max(0.0, duration_seconds - window_seconds)
    # A last stride shorter than a microsecond is rounding, not a piece of video left uncovered.
    for index in range(math.ceil(last_start / stride - 1e-6)):
        yield fit_times(index * stride + times, duration_seconds, short_video)
    yield fit_times(last_start + times, duration_seconds, short_video)


def _merged(windows: Iterator[np.ndarray]) -> Iterator[float]:
    """The times of all windows, ascending, each once, with no more of them held than overlap."""
    pending: list[float] = []
    for window in windows:
        num_settled = bisect_left(pending, window.min())
        yield from pending[:num_settled]
        pending = sorted({*pending[num_settled:], *window.tolist()})
    yield from pending


def _scaled_frames(
    path: str | os.PathLike[str],
    stream: Any,
    seconds: Iterable[float],
    duration_seconds: float,
    clip_spec: ClipSpec,
) -> Iterator[np.ndarray]:
    reformatter = VideoReformatter()
    shown, pixels = None, np.empty(0)
    for frame in displayed_frames(os.fsdecode(path), stream, seconds, duration_seconds):
        if frame is not shown:
            shown, pixels = frame, _to_rgb(frame, reformatter, clip_spec.height, clip_spec.width)
        yield pixels


def _to_rgb(frame: Any, reformatter: VideoReformatter, height: int | None, width: int | None) -> np.ndarray:
    """The frame as displayed, `uint8 (H, W, 3)`."""
    orientation = orientation_of(frame)
    if orientation.is_transposed:
        height, width = width, height
    # Shrinking averages over the area of a pixel, which neither flickers nor blurs.
    is_shrunk = (height or frame.height) < frame.height and (width or frame.width) < frame.width
    interpolation = "AREA" if is_shrunk else "BILINEAR"
    pixels = reformatter.reformat(frame, width, height, "rgb24", interpolation=interpolation, threads=1).to_ndarray()
    return orientation.upright(pixels)


def _length_of_part(
    path: str | os.PathLike[str], start_seconds: float, end_seconds: float | None, duration_seconds: float
) -> float:
    end = duration_seconds if end_seconds is None else min(end_seconds, duration_seconds)
    if not 0 <= start_seconds < end:
        until = "" if end_seconds is None else f" to {end_seconds:g} s"
        raise VideoError(
            path,
            f"the part from {start_seconds:g} s{until} is wanted, but it lasts {duration_seconds:.3f} s; correct the "
            "part's start and end, in seconds",
        )
    return end - start_seconds


def _refuse_if_short(
    path: str | os.PathLike[str], duration_seconds: float, clip_spec: ClipSpec, short_video: ShortVideo
) -> None:
    if short_video != "error" or clip_spec.frames_per_second is None:
        return
    window_seconds = clip_spec.num_frames / clip_spec.frames_per_second
    half_frame_seconds = 0.5 / clip_spec.frames_per_second
    if window_seconds - half_frame_seconds > duration_seconds:
        raise VideoError(
            path,
            f"it lasts {duration_seconds:.3f} s, but {clip_spec.num_frames} frames at {clip_spec.frames_per_second:g} "
            f"frames per second take {window_seconds:.3f} s; take fewer frames, more frames per second, or "
            f'short_video="repeat_last" or "loop"',
        )

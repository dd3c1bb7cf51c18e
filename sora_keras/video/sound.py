"""A video file's path in, what is heard from one second to another, or around each of some seconds, out."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.stream import Discard

from sora_keras.video.jumping import packets_of, rewind
from sora_keras.video.opening import AVI, VideoError, open_video
from sora_keras.video.probing import find_duration

_FULL_SCALE = 2.0**15
# 1 GiB as float32: more than four hours at 16 kHz.
_MOST_SAMPLES = 2**28
# No sound is recorded at other rates; a header that states one would have a moment stretched without end.
_STORED_RATES_HZ = (1_000, 768_000)
# MP3 and AAC refer to what came before, and the resampler's filter has to fill: enter this long ahead.
_SECONDS_AHEAD = 0.5
# Decoding this much more sound takes less time than jumping over it.
_SECONDS_WORTH_JUMPING = 2.0
# Timestamps in Matroska are rounded, so only a larger step is a hole.
_SECONDS_OF_A_HOLE = 0.05


def read_sound(
    path: str | os.PathLike[str],
    sample_rate_hz: int = 16_000,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
) -> np.ndarray | None:
    """Read a video file's sound as one channel, decoding no more of it than needed.

    Time counts from the video's first frame, so sound and frames of the same seconds belong together, to a millisecond.
    There is silence, zeros, where the sound begins late, ends early, has holes or cannot be decoded.

    Args:
        path: the video file. Of several sounds the first is read.
        sample_rate_hz: samples a second; higher tones than half of it are filtered out.
        start_seconds: where the part to read begins.
        end_seconds: where it ends; `None` is the video's end.

    Returns:
        `float32 (N,)` in -1..1, `N = round((end_seconds - start_seconds) * sample_rate_hz)` whatever the file holds;
        `None` if the video has no sound.

    Raises:
        ValueError: if the rate or the part is none.
        VideoError: if the file cannot be read as a video, most of its sound cannot be decoded, or the part is longer
            than four hours at 16 kHz.

    Example:
        >>> read_sound("walk.mp4", start_seconds=2.0, end_seconds=3.5).shape  # doctest: +SKIP
        (24000,)
    """
    _check_rate(sample_rate_hz)
    with open_video(path) as video:
        end = find_duration(path, video) if end_seconds is None else end_seconds
        if not -np.inf < start_seconds < end < np.inf:
            raise ValueError(f"`start_seconds` must come before the end, received {start_seconds!r} and {end!r}.")
        num_samples = round((end - start_seconds) * sample_rate_hz)
        if num_samples > _MOST_SAMPLES:
            raise VideoError(
                path,
                f"{num_samples} samples of its sound are wanted, from {start_seconds:g} s to {end:g} s, and at most "
                f"{_MOST_SAMPLES} are read at once; read it in parts, by `start_seconds` and `end_seconds`",
            )
        spans = [(round(start_seconds * sample_rate_hz), num_samples)]
        return next(_spans(os.fsdecode(path), video, spans, sample_rate_hz), None)


def read_sound_windows(
    path: str | os.PathLike[str], seconds: Sequence[float] | np.ndarray, num_samples: int, sample_rate_hz: int = 16_000
) -> np.ndarray | None:
    """Read what is heard around each of some seconds, such as a clip's times, in one pass over a video file.

    Args:
        path: the video file. Of several sounds the first is read.
        seconds: T times since the video's first frame, in any order.
        num_samples: samples S around each: half of them come before it.
        sample_rate_hz: samples a second.

    Returns:
        `float32 (T, S)` in -1..1, zeros where there is no sound; `None` if the video has none at all.

    Raises:
        ValueError: if the rate or the number of samples is none.
        VideoError: if the file cannot be read as a video, or most of its sound cannot be decoded.

    Example:
        >>> clip = read_clip("walk.mp4", ClipSpec(num_frames=16))  # doctest: +SKIP
        >>> read_sound_windows("walk.mp4", clip.times, num_samples=4000).shape  # doctest: +SKIP
        (16, 4000)
    """
    _check_rate(sample_rate_hz)
    if num_samples < 1:
        raise ValueError(f"`num_samples` must be at least 1, received {num_samples!r}.")
    firsts = np.round(np.asarray(seconds, np.float64) * sample_rate_hz).astype(np.int64) - num_samples // 2
    order = np.argsort(firsts, kind="stable")
    ends_of_runs = np.flatnonzero(np.diff(firsts[order]) > num_samples + _SECONDS_WORTH_JUMPING * sample_rate_hz)
    runs = np.split(order, ends_of_runs + 1) if len(order) else []
    spans = [(int(firsts[run[0]]), int(firsts[run[-1]] - firsts[run[0]]) + num_samples) for run in runs]
    windows = np.empty((len(firsts), num_samples), np.float32)
    with open_video(path) as video:
        sounds = _spans(os.fsdecode(path), video, spans, sample_rate_hz)
        for run, sound in itertools.zip_longest(runs, sounds):
            if sound is None:
                return None
            for index in run.tolist():
                begin = int(firsts[index] - firsts[run[0]])
                windows[index] = sound[begin : begin + num_samples]
    return windows


def _check_rate(sample_rate_hz: int) -> None:
    if isinstance(sample_rate_hz, bool) or not isinstance(sample_rate_hz, int) or not 100 <= sample_rate_hz <= 192_000:
        raise ValueError(f"`sample_rate_hz` must be a whole number from 100 to 192000, received {sample_rate_hz!r}.")


def _spans(path: str, video: Any, spans: Iterable[tuple[int, int]], sample_rate_hz: int) -> Iterator[np.ndarray]:
    """The sound of each span, given by its first sample's number and its length, ascending; none if there is none."""
    container = video.container
    if not container.streams.audio:
        return
    sound = container.streams.audio[0]
    if sound.codec_context is None:
        raise VideoError(path, "FFmpeg has no decoder for its sound; convert it to AAC")
    video.discard, sound.discard = Discard.all, Discard.default
    sound.codec_context.thread_count = 1
    clock = _SoundClock(video, sound)
    for first, num_samples in spans:
        samples = np.zeros(num_samples, np.int16)
        frames = _frames_from(path, sound, clock, first / sample_rate_hz - _SECONDS_AHEAD)
        with contextlib.closing(_resampled(path, clock, frames, sample_rate_hz)) as parts:
            for position, part in parts:
                begin = position - first
                if begin >= num_samples:
                    break
                part = part[max(0, -begin) : num_samples - begin]
                begin = max(0, begin)
                samples[begin : begin + len(part)] = part
        yield samples.astype(np.float32) / np.float32(_FULL_SCALE)


class _SoundClock:
    """When, in seconds since the video's first frame, a decoded part of its sound is heard."""

    def __init__(self, video: Any, sound: Any) -> None:
        self._origin_seconds = float((video.start_time or 0) * video.time_base)
        self._sound = sound
        self.first_seconds = float((sound.start_time or 0) * sound.time_base) - self._origin_seconds

    def seconds(self, frame: Any) -> float | None:
        """`None` where the file does not tell."""
        if frame.pts is None:
            return None
        return float(frame.pts * frame.time_base) - self._origin_seconds

    def timestamp(self, seconds: float) -> int:
        """The time as the container counts it, rounded down."""
        return int((seconds + self._origin_seconds) / float(self._sound.time_base) // 1)


def _frames_from(path: str, sound: Any, clock: _SoundClock, seconds: float) -> Iterator[Any]:
    """Decoded parts of the sound, from the one heard at that time or from an earlier one."""
    if seconds > clock.first_seconds:
        with contextlib.suppress(av.FFmpegError):
            sound.container.seek(clock.timestamp(seconds), stream=sound)
            frames = _decode(path, sound)
            first = next(frames, None)
            begin = clock.seconds(first) if first is not None else None
            # An index may be wrong, or missing: only a part that begins early enough will do.
            if begin is not None and begin < seconds + _SECONDS_AHEAD / 2:
                return itertools.chain([first], frames)
    if sound.container.format.name == AVI:
        # There FFmpeg (8) numbers the samples wrongly after a jump to before the first one.
        sound.container.seek(0, stream=sound)
    else:
        rewind(sound)
    return _decode(path, sound)


def _decode(path: str, sound: Any) -> Iterator[Any]:
    num_packets = num_lost = 0
    for packet in packets_of(sound):
        num_packets += 1
        try:
            frames = packet.decode()
        except av.FFmpegError:
            num_lost += 1
            continue
        yield from frames
    with contextlib.suppress(av.FFmpegError):
        yield from sound.codec_context.decode(None)
    if 2 * num_lost > num_packets:
        raise VideoError(
            path,
            f"{num_lost} of {num_packets} packets of its sound cannot be decoded; copy the file again, or read its "
            "frames alone",
        )


def _resampled(
    path: str, clock: _SoundClock, frames: Iterator[Any], sample_rate_hz: int
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Numbers of samples, counted from the video's first frame, and the samples from there on, `int16`."""
    run = None
    end_seconds = clock.first_seconds
    for frame in frames:
        _check_stored_rate(path, frame)
        seconds = clock.seconds(frame)
        seconds = end_seconds if seconds is None else seconds
        if run is None or not run.takes(frame) or abs(seconds - end_seconds) > _SECONDS_OF_A_HOLE:
            if run is not None:
                yield from run.resample(None)
            run = _Run(frame, seconds, clock.first_seconds, sample_rate_hz)
            end_seconds = seconds
        end_seconds += frame.samples / frame.sample_rate
        yield from run.resample(frame)
    if run is not None:
        yield from run.resample(None)


def _check_stored_rate(path: str, frame: Any) -> None:
    lowest, highest = _STORED_RATES_HZ
    if not lowest <= frame.sample_rate <= highest:
        raise VideoError(
            path,
            f"its sound claims {frame.sample_rate} samples a second, expected {lowest} to {highest}; it is broken, "
            "convert it or read its frames alone",
        )


class _Run:
    """Sound without holes, of one format, resampled to one channel.

    Args:
        frame: the first decoded part.
        seconds: when it is heard.
        first_seconds: when the sound is said to begin.
        sample_rate_hz: samples a second to make.
    """

    def __init__(self, frame: Any, seconds: float, first_seconds: float, sample_rate_hz: int) -> None:
        # To 16 bits, because FFmpeg mixes channels into floating point without keeping the sum in -1..1.
        self._resampler = av.AudioResampler("s16", "mono", sample_rate_hz)
        self._format = _format_of(frame)
        # Wherever the sound is entered, the same moments are sampled: a part of it is that part of the whole.
        stored_before = round((seconds - first_seconds) * frame.sample_rate)
        stored_until_moments_meet = -stored_before % (frame.sample_rate // math.gcd(frame.sample_rate, sample_rate_hz))
        self._num_cut = stored_until_moments_meet if stored_until_moments_meet < frame.samples else 0
        made_before = Fraction((stored_before + self._num_cut) * sample_rate_hz, frame.sample_rate)
        self._position = round(first_seconds * sample_rate_hz) + round(made_before)

    def takes(self, frame: Any) -> bool:
        """Whether it is of the same format."""
        return _format_of(frame) == self._format

    def resample(self, frame: Any) -> Iterator[tuple[int, np.ndarray]]:
        """The samples that have become known by this part; `None` ends the run."""
        if frame is not None:
            frame = _without_first(frame, self._num_cut) if self._num_cut else frame
            self._num_cut = 0
            frame.pts = None
        for part in self._resampler.resample(frame):
            if part is not None:  # what a resampler with nothing to do has to add at the end
                samples = part.to_ndarray().reshape(-1)
                yield self._position, samples
                self._position += len(samples)


def _format_of(frame: Any) -> tuple[Any, ...]:
    return frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate


def _without_first(frame: Any, num_samples: int) -> Any:
    """The part without that many samples at its beginning."""
    if not frame.format.is_planar:
        num_samples *= frame.layout.nb_channels
    samples = np.ascontiguousarray(frame.to_ndarray()[:, num_samples:])
    rest = av.AudioFrame.from_ndarray(samples, frame.format.name, frame.layout.name)
    rest.sample_rate = frame.sample_rate
    return rest

"""An opened video stream and ascending seconds in, the frame displayed at each of them out."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

import av

from sora_keras.video.opening import VideoError

# Matroska rounds timestamps to a millisecond: a frame this little late counts as displayed.
_TOLERANCE_SECONDS = 1e-3
# Jumping over less video than this costs more than decoding it.
_SECONDS_WORTH_JUMPING = 0.5
# An index holds decoding times; where a keyframe proves to be displayed too late, step back this far, then farther.
_SECONDS_STEPPED_BACK = (0.0, 1.0, 4.0)
# No codec reorders frames over this many packets.
_PACKETS_LOOKED_AHEAD = 64
# Raw streams may state no rate; FFmpeg takes them for this, too.
_FRAMES_PER_SECOND_IF_UNSTATED = 25.0
MATROSKA = "matroska,webm"
# Containers that store the time of every frame and index their keyframes.
_INDEXED_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", MATROSKA)


def frame_rate(stream: Any) -> float:
    """Frames per second on average, or what the codec states where frames carry no timestamps."""
    stated = stream.guessed_rate if stream.start_time is None else stream.average_rate or stream.guessed_rate
    return float(stated or _FRAMES_PER_SECOND_IF_UNSTATED)


def timed_frames(path: str, stream: Any, wanted_seconds: Sequence[float] | None = None) -> Iterator[tuple[float, Any]]:
    """Decode from where the container stands to the end.

    Args:
        path: the file, for messages.
        stream: the opened `av` video stream.
        wanted_seconds: ascending; frames displayed at none of these may be left out, which is faster.

    Yields:
        Seconds since the video's first frame, ascending, and the `av` frame shown from then on.

    Raises:
        VideoError: if most of the packets cannot be decoded.
    """
    # AVI stores no presentation times, and those FFmpeg makes up go back and forth; its decoding times do not.
    timestamp_name = "dts" if stream.container.format.name == "avi" else "pts"
    seconds_between_frames = 1 / frame_rate(stream)
    origin = _origin(stream)
    previous = -seconds_between_frames
    for frame in _decode(path, stream, wanted_seconds):
        timestamp = getattr(frame, timestamp_name)
        seconds = -math.inf
        if timestamp is not None:
            origin = timestamp if origin is None else origin
            seconds = float((timestamp - origin) * stream.time_base)
        # A frame without a time, or with one that was already shown, follows the one before it.
        previous = seconds if seconds > previous else previous + seconds_between_frames
        yield previous, frame


def displayed_frames(path: str, stream: Any, seconds: Sequence[float], duration_seconds: float) -> Iterator[Any]:
    """Find the frame on display at each wanted time, in one pass forward.

    Args:
        path: the file, for messages.
        stream: the `av` video stream, freshly opened.
        seconds: wanted times since the video's first frame, ascending.
        duration_seconds: how long the video is said to last.

    Yields:
        For each of `seconds` the last `av` frame that begins by then, or the very first frame.

    Raises:
        VideoError: if no frame can be decoded, or the frames end long before a wanted time.
    """
    for keyframe_seconds, wanted_seconds in _runs(stream, seconds):
        frames = _frames_from(path, stream, keyframe_seconds, wanted_seconds)
        shown, upcoming = next(frames, None), next(frames, None)
        if shown is None:
            raise VideoError(path, "no frame of it can be decoded; replace the file or leave it out")
        for wanted in wanted_seconds:
            while upcoming is not None and upcoming[0] <= wanted + _TOLERANCE_SECONDS:
                shown, upcoming = upcoming, next(frames, None)
            if upcoming is None:
                end_seconds = shown[0] + _frame_seconds(stream, shown[1])
                check_end(path, end_seconds, wanted, duration_seconds)
            yield shown[1]


def check_end(path: str, end_seconds: float, wanted: float, duration_seconds: float) -> None:
    """Raise a `VideoError` if the frames end more than 0.5 s and a tenth of the video before a wanted time."""
    if wanted > end_seconds + max(0.5, 0.1 * duration_seconds):
        raise VideoError(
            path,
            f"its frames end at {end_seconds:.2f} s, but the one at {wanted:.2f} s of {duration_seconds:.2f} s is "
            f"wanted; the file is cut off, copy it again or leave it out",
        )


def _frame_seconds(stream: Any, frame: Any) -> float:
    return float(frame.duration * stream.time_base) if frame.duration else 1 / frame_rate(stream)


def _origin(stream: Any) -> int | None:
    """The timestamp of the first frame, where the container can be trusted with it."""
    start: int | None = stream.start_time
    return start if stream.container.format.name in _INDEXED_CONTAINERS else None


def _to_timestamp(stream: Any, seconds: float) -> int:
    return math.floor(seconds / stream.time_base) + (_origin(stream) or 0)


def _decode(path: str, stream: Any, wanted_seconds: Sequence[float] | None) -> Iterator[Any]:
    num_packets = num_lost = 0
    for packet, is_needed in _marked_packets(stream, wanted_seconds):
        # Only a picture that no other one refers to is left out, so the rest stay what they are.
        stream.codec_context.skip_frame = "DEFAULT" if is_needed else "NONREF"
        num_packets += 1
        try:
            frames = packet.decode()
        except av.FFmpegError:
            num_lost += 1
        else:
            yield from frames
    if 2 * num_lost > num_packets:
        raise VideoError(path, f"{num_lost} of its {num_packets} packets cannot be decoded; copy the file again")


def _packets(stream: Any) -> Iterator[Any]:
    try:
        yield from stream.container.demux(stream)
    except av.FFmpegError:
        return  # What lies behind the damage is out of reach; what came before it still counts.


def _marked_packets(stream: Any, wanted_seconds: Sequence[float] | None) -> Iterator[tuple[Any, bool]]:
    """Each packet and whether its frame is needed, for H.264, whose packets tell what nothing refers to."""
    packets = _packets(stream)
    if wanted_seconds is None or _origin(stream) is None or stream.codec_context.name != "h264":
        yield from ((packet, True) for packet in packets)
        return
    wanted = [_to_timestamp(stream, seconds + _TOLERANCE_SECONDS) for seconds in wanted_seconds]
    while batch := list(itertools.islice(packets, _PACKETS_LOOKED_AHEAD)):
        yield from zip(batch, _are_displayed([packet.pts for packet in batch], wanted), strict=True)


def _are_displayed(timestamps: Sequence[int | None], wanted: Sequence[int]) -> list[bool]:
    """Whether a wanted time lies between each timestamp and the next one in order of display."""
    in_order: list[float] = sorted(timestamp for timestamp in timestamps if timestamp is not None)
    following = dict(itertools.pairwise([*in_order, math.inf]))
    return [
        timestamp is None or bisect_left(wanted, timestamp) < bisect_left(wanted, following[timestamp])
        for timestamp in timestamps
    ]


def _runs(stream: Any, seconds: Sequence[float]) -> list[tuple[float, list[float]]]:
    """Cut the wanted times where jumping to a later keyframe pays: `(keyframe_seconds, wanted_seconds)` each."""
    origin = _origin(stream)
    if origin is None:
        return [(0.0, list(seconds))]
    if stream.container.format.name == MATROSKA:
        _rewind(stream)  # Its index is only read when somebody asks to seek.
    runs: list[tuple[float, list[float]]] = [(0.0, [])]
    previous = 0.0
    for wanted in seconds:
        entry = stream.index_entries.search_timestamp(_to_timestamp(stream, wanted))
        if entry >= 0:
            keyframe_seconds = float((stream.index_entries[entry].timestamp - origin) * stream.time_base)
            if keyframe_seconds > previous + _SECONDS_WORTH_JUMPING:
                runs.append((keyframe_seconds, []))
        runs[-1][1].append(wanted)
        previous = wanted
    return [run for run in runs if run[1]]


def _frames_from(
    path: str, stream: Any, keyframe_seconds: float, wanted_seconds: Sequence[float]
) -> Iterator[tuple[float, Any]]:
    """Timed frames from the keyframe on, or from an earlier one where it comes too late for the first wanted time."""
    if keyframe_seconds == 0:
        return timed_frames(path, stream, wanted_seconds)
    for seconds_back in _SECONDS_STEPPED_BACK:
        try:
            stream.container.seek(_to_timestamp(stream, keyframe_seconds - seconds_back), stream=stream)
        except av.FFmpegError:
            break  # There is no keyframe as early as this.
        # Pictures before the keyframe that refer to the part jumped over are dropped by FFmpeg's decoders.
        frames = timed_frames(path, stream, wanted_seconds)
        first = next(frames, None)
        if first is not None and first[0] <= wanted_seconds[0] + _TOLERANCE_SECONDS:
            return itertools.chain([first], frames)
    _rewind(stream)
    return timed_frames(path, stream, wanted_seconds)


def _rewind(stream: Any) -> None:
    before_any_timestamp = -(2**60)
    stream.container.seek(before_any_timestamp, stream=stream, backward=False)

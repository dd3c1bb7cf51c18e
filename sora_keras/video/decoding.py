"""An opened video stream and ascending seconds in, the frame displayed at each of them out."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import av

from sora_keras.video.jumping import Clock, Jumps, packets_of
from sora_keras.video.opening import VideoError

# Matroska rounds timestamps to a millisecond: a frame this little late counts as displayed.
TOLERANCE_SECONDS = 1e-3
# No codec displays a frame before more than 16 of those stored ahead of it: with 32 more packets in view, it is settled
# which frame follows which.
_PACKETS_IN_VIEW, _PACKETS_SETTLED = 48, 16
# Raw streams may state no rate; FFmpeg takes them for this, too.
_FRAMES_PER_SECOND_IF_UNSTATED = 25.0
# Decoders that can leave out a frame to which no other one refers.
_DECODERS_THAT_LEAVE_OUT = ("h264", "mpeg1video", "mpeg2video", "mpeg4")


def frame_rate(stream: Any) -> float:
    """Frames per second on average, or what the codec states where frames carry no timestamps."""
    stated = stream.guessed_rate if stream.start_time is None else stream.average_rate or stream.guessed_rate
    return float(stated or _FRAMES_PER_SECOND_IF_UNSTATED)


def timed_frames(path: str, stream: Any) -> Iterator[tuple[float, Any]]:
    """Decode from where the container stands to the end.

    Args:
        path: the file, for messages.
        stream: the opened `av` video stream.

    Yields:
        Seconds since the video's first frame, ascending, and the `av` frame shown from then on.

    Raises:
        VideoError: if most of the packets cannot be decoded.
    """
    return _timed(stream, Clock(stream), _decode(path, stream, packets_of(stream)))


def displayed_frames(path: str, stream: Any, seconds: Iterable[float], duration_seconds: float) -> Iterator[Any]:
    """Find the frame on display at each wanted time, in one pass forward.

    Args:
        path: the file, for messages.
        stream: the `av` video stream, freshly opened.
        seconds: wanted times since the video's first frame, ascending, taken only as far as they are needed.
        duration_seconds: how long the video is said to last.

    Yields:
        For each of `seconds` the last `av` frame that begins by then, or the very first frame.

    Raises:
        VideoError: if no frame can be decoded, or the frames end long before a wanted time.
    """
    clock = Clock(stream)
    jumps = Jumps(stream, clock)
    remaining = iter(seconds)
    first_wanted = next(remaining, None)
    is_at_beginning = first_wanted is not None and not jumps.pays(0.0, first_wanted)
    while first_wanted is not None:
        run = _Run(first_wanted, remaining, jumps.pays)
        if is_at_beginning:
            frames = _frames_of_run(path, stream, clock, run, packets_of(stream))
        else:
            frames = _frames_after_jump(path, stream, clock, jumps, run)
        is_at_beginning = False
        shown, upcoming = next(frames, None), next(frames, None)
        if shown is None:
            raise VideoError(path, "no frame of it can be decoded; replace the file or leave it out")
        for wanted in run:
            while upcoming is not None and upcoming[0] <= wanted + TOLERANCE_SECONDS:
                shown, upcoming = upcoming, next(frames, None)
            if upcoming is None:
                end_seconds = shown[0] + _frame_seconds(stream, shown[1])
                check_end(path, end_seconds, wanted, duration_seconds)
            yield shown[1]
        first_wanted = run.first_of_next


def check_end(path: str, end_seconds: float, wanted: float, duration_seconds: float) -> None:
    """Raise a `VideoError` if `ends_early`."""
    if ends_early(end_seconds, wanted, duration_seconds):
        raise VideoError(
            path,
            f"its frames end at {end_seconds:.2f} s, but the one at {wanted:.2f} s of {duration_seconds:.2f} s is "
            f"wanted; the file is cut off, copy it again or leave it out",
        )


def ends_early(end_seconds: float, wanted: float, duration_seconds: float) -> bool:
    """Whether the frames end more than 0.5 s and a tenth of the video before a wanted time."""
    return wanted > end_seconds + max(0.5, 0.1 * duration_seconds)


class _Run:
    """Wanted times between which nothing is jumped over, taken from their source only as far as needed.

    Args:
        first: the first time.
        remaining: the times after it, ascending; the first that is not of this run ends up in `first_of_next`.
        needs_jump: whether to jump from one time to the next.
    """

    def __init__(self, first: float, remaining: Iterator[float], needs_jump: Callable[[float, float], bool]) -> None:
        self._wanted, self._remaining, self._needs_jump = [first], remaining, needs_jump
        self._last = self.first = first
        self.first_of_next: float | None = None
        self.is_complete = False
        # Set once all the packets it needs are decoded: what follows on the screen is not wanted.
        self.is_served = False

    def __iter__(self) -> Iterator[float]:
        while self._wanted or self._take():
            yield self._wanted[0]
            del self._wanted[0]

    def wants(self, begin: float, end: float) -> bool:
        """Whether a frame that is displayed from one second to another is wanted."""
        begin, end = begin - TOLERANCE_SECONDS, end - TOLERANCE_SECONDS
        while self._last < begin and self._take():
            pass
        index = bisect_left(self._wanted, begin)
        return index < len(self._wanted) and self._wanted[index] < end

    def _take(self) -> bool:
        if self.is_complete:
            return False
        following = next(self._remaining, None)
        if following is None or self._needs_jump(self._last, following):
            self.is_complete, self.first_of_next = True, following
            return False
        self._wanted.append(following)
        self._last = following
        return True


def _frames_after_jump(path: str, stream: Any, clock: Clock, jumps: Jumps, run: _Run) -> Iterator[tuple[float, Any]]:
    if clock.origin is None:
        next(_timed(stream, clock, _decode(path, stream, packets_of(stream))), None)
    for packets in jumps.packets_before(run.first):
        frames = _frames_of_run(path, stream, clock, run, packets)
        try:
            first = next(frames, None)
        except VideoError:
            continue  # Before the damage there may be enough to show.
        if first is not None and first[0] <= run.first + TOLERANCE_SECONDS and jumps.shows_whole_pictures(first[1]):
            return itertools.chain([first], frames)
    jumps.give_up()
    return _frames_of_run(path, stream, clock, run, packets_of(stream))


def _frames_of_run(
    path: str, stream: Any, clock: Clock, run: _Run, packets: Iterator[Any]
) -> Iterator[tuple[float, Any]]:
    """Timed frames that a run needs; if there are more after them, the last one begins at infinity."""
    yield from _timed(stream, clock, _decode(path, stream, packets, clock, run))
    if run.is_served:
        yield math.inf, None


def _timed(stream: Any, clock: Clock, frames: Iterator[Any]) -> Iterator[tuple[float, Any]]:
    seconds_between_frames = 1 / frame_rate(stream)
    previous = -seconds_between_frames
    for frame in frames:
        timestamp = getattr(frame, clock.timestamp_name)
        seconds = -math.inf
        if timestamp is not None:
            clock.origin = timestamp if clock.origin is None else clock.origin
            seconds = clock.seconds(timestamp)
        # A frame without a time, or with one that was already shown, follows the one before it.
        previous = seconds if seconds > previous else previous + seconds_between_frames
        yield previous, frame


def _frame_seconds(stream: Any, frame: Any) -> float:
    return float(frame.duration * stream.time_base) if frame.duration else 1 / frame_rate(stream)


def _decode(
    path: str, stream: Any, packets: Iterator[Any], clock: Clock | None = None, run: _Run | None = None
) -> Iterator[Any]:
    """Frames of the packets; for a run of wanted times only those it needs, as far as packets tell which these are."""
    num_packets = num_lost = 0
    is_progressive, was_needed = False, None
    decoder = stream.codec_context
    can_leave_out = _can_leave_out(decoder)
    marked = _marked(packets, clock, run) if clock and run else ((packet, True, False) for packet in packets)
    for packet, is_needed, is_served in marked:
        # The second half of an interlaced picture may come in a packet of its own, and a lost frame leaves open whether
        # there are any more.
        if is_served and is_progressive and not num_lost and run is not None:
            run.is_served = True
            break
        # Only a picture that no other one refers to is left out, so the rest stay what they are.
        if can_leave_out and is_needed != was_needed:
            decoder.skip_frame = "DEFAULT" if is_needed else "NONREF"
            was_needed = is_needed
        num_packets += 1
        try:
            frames = packet.decode()
        except av.FFmpegError:
            num_lost += 1
            continue
        for frame in frames:
            is_progressive = not frame.interlaced_frame
            yield frame
    yield from _drain(stream)
    if 2 * num_lost > num_packets and not (run is not None and run.is_served):
        raise VideoError(path, f"{num_lost} of its {num_packets} packets cannot be decoded; copy the file again")


def _can_leave_out(decoder: Any) -> bool:
    if decoder.name == "hevc":
        # A frame to which none of its temporal layer refers may still be referred to by the layers above: there must be
        # one layer only, and MP4's and Matroska's header of the codec tells.
        header = decoder.extradata or b""
        return len(header) > 21 and header[0] == 1 and (header[21] >> 3) % 8 == 1
    return decoder.name in _DECODERS_THAT_LEAVE_OUT


def _drain(stream: Any) -> list[Any]:
    try:
        frames: list[Any] = stream.decode(None)
    except av.FFmpegError:
        return []
    return frames


def _marked(packets: Iterator[Any], clock: Clock, run: _Run) -> Iterator[tuple[Any, bool, bool]]:
    """Each packet, whether its frame is needed, and whether neither it nor any later one is."""
    run.is_served = False
    if not clock.tells_when_packets_are_displayed:
        yield from ((packet, True, False) for packet in packets)
        return
    before: list[Any] = []
    ahead = list(itertools.islice(packets, _PACKETS_IN_VIEW))
    while ahead:
        are_needed = _are_needed([*before, *ahead], clock, run)[len(before) :]
        num_needed = sum(are_needed)
        num_settled = _PACKETS_SETTLED if len(ahead) == _PACKETS_IN_VIEW else len(ahead)
        for packet, is_needed in zip(ahead[:num_settled], are_needed, strict=False):
            yield packet, is_needed, run.is_complete and num_needed == 0
            num_needed -= is_needed
        before = [*before, *ahead[:num_settled]][-_PACKETS_SETTLED:]
        ahead = [*ahead[num_settled:], *itertools.islice(packets, num_settled)]


def _are_needed(packets: list[Any], clock: Clock, run: _Run) -> list[bool]:
    """Whether a wanted time lies between each packet's timestamp and the next one in order of display."""
    timestamps = [packet.pts for packet in packets]
    if clock.origin is None or None in timestamps:
        return [True] * len(packets)
    begins = [clock.seconds(timestamp) for timestamp in timestamps]
    ends = dict(itertools.pairwise([*sorted(begins), math.inf]))
    return [run.wants(begin, ends[begin]) for begin in begins]

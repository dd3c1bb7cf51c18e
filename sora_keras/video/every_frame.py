"""An opened video stream in, each frame it promises with its exact time, lost ones marked as such, out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import av

from sora_keras.video.decoding import frame_rate
from sora_keras.video.jumping import Clock, packets_of
from sora_keras.video.opening import AVI, VideoError

# These store pictures that are never shown; that nothing comes out for a packet tells nothing.
_CODECS_WITH_HIDDEN_PICTURES = ("vp8", "vp9")


@dataclasses.dataclass(frozen=True, eq=False)
class TimedFrame:
    """A frame of a video, or the hole where one is lost.

    Args:
        timestamp: when it is shown, in ticks of its stream's `time_base`.
        duration: how many ticks long.
        picture: the decoded `av` frame; `None` where it cannot be decoded.
    """

    timestamp: int
    duration: int
    picture: Any | None

    @property
    def is_broken(self) -> bool:
        """Whether it is lost, or the decoder had to make up a part of it."""
        return self.picture is None or bool(self.picture.is_corrupt)


def every_frame(path: str, stream: Any) -> Iterator[TimedFrame]:
    """Decode a video from its beginning to its end, with a hole for each frame that a packet promises and none shows.

    Frames without a time, or with one that was shown before, follow the one before at the average rate. In formats that
    do not store when each frame is shown, only those frames leave a hole whose decoding ends in an error; raw streams
    have no holes.

    Args:
        path: the file, for messages.
        stream: its `av` video stream, freshly opened.

    Yields:
        Frames and holes, their timestamps strictly ascending.

    Raises:
        VideoError: if no frame can be decoded, or fewer than are lost.
    """
    held = None
    for timed in _timed(path, stream):
        # What containers call a duration is the time to the next one stored, which may be shown before.
        if held is not None:
            yield dataclasses.replace(held, duration=timed.timestamp - held.timestamp)
        held = timed
    if held is not None:
        yield held


def _timed(path: str, stream: Any) -> Iterator[TimedFrame]:
    clock, promises = Clock(stream), _Promises(stream)
    ticks_between_frames = max(1, round(1 / (frame_rate(stream) * stream.time_base)))
    previous, num_shown, num_lost, later = None, 0, 0, 0
    for frame in promises.decoded_frames():
        timestamp = getattr(frame, clock.timestamp_name)
        if previous is None and timestamp is not None and stream.container.format.name == AVI:
            # There a frame has the time at which its decoder let it go.
            later = timestamp - (stream.start_time or 0)
        lost = [] if timestamp is None else [hole - later for hole in promises.broken_before(timestamp)]
        timestamp = None if timestamp is None else timestamp - later
        for hole in lost:
            if (previous is None or hole > previous) and timestamp is not None and hole < timestamp:
                yield TimedFrame(hole, ticks_between_frames, None)
                previous, num_lost = hole, num_lost + 1
        if previous is None:
            previous = (stream.start_time or 0) - ticks_between_frames
        if timestamp is None or (num_shown + num_lost and timestamp <= previous):
            timestamp = previous + ticks_between_frames
        yield TimedFrame(timestamp, frame.duration or ticks_between_frames, frame)
        previous, num_shown = timestamp, num_shown + 1
    for hole in promises.broken_before(None):
        if previous is not None and hole - later > previous:
            yield TimedFrame(hole - later, ticks_between_frames, None)
            num_lost += 1
    if num_lost >= max(1, num_shown) or num_shown == 0:
        raise VideoError(
            path,
            f"only {num_shown} of its {num_shown + num_lost} frames can be decoded; replace the file or leave it out",
        )


class _Promises:
    """The frames of a stream, and the times at which its packets promise more than those.

    Args:
        stream: the opened `av` video stream.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        clock = Clock(stream)
        self._timestamp_name = clock.timestamp_name
        self._counts_packets = (
            clock.tells_when_packets_are_displayed and stream.codec_context.name not in _CODECS_WITH_HIDDEN_PICTURES
        )
        self._first: int | None = None
        self._open: set[int] = set()
        self._failed: set[int] = set()

    def decoded_frames(self) -> Iterator[Any]:
        """Every frame that can be decoded, in the order of display."""
        for packet in packets_of(self._stream):
            timestamp = getattr(packet, self._timestamp_name)
            self._first = timestamp if self._first is None else self._first
            # What is shown before the first packet needs what was cut off before it.
            if timestamp is not None and timestamp >= self._first and not packet.is_discard:
                self._open.add(timestamp)
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._failed.add(timestamp)
                continue
            yield from self._kept(frames)
        try:
            frames = self._stream.decode(None)
        except av.FFmpegError:
            return
        yield from self._kept(frames)

    def broken_before(self, timestamp: int | None) -> list[int]:
        """The promises that were not kept by then, or by the end; each is told once."""
        due = {promise for promise in self._open if timestamp is None or promise < timestamp}
        self._open -= due
        broken = due if self._counts_packets else due & self._failed
        self._failed -= due
        return sorted(broken)

    def _kept(self, frames: list[Any]) -> Iterator[Any]:
        for frame in frames:
            self._open.discard(getattr(frame, self._timestamp_name))
            # The second half of such a picture may come in a packet of its own.
            self._counts_packets = self._counts_packets and not frame.interlaced_frame
            yield frame

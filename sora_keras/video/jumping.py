"""An opened video stream and a wanted second in, packets to decode it from (without all that comes before) out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import av

from sora_keras.video.opening import AVI, MATROSKA, MOV, MPEG_TS

# Jumping over less video than this costs more than decoding it; without an index, the keyframe has to be looked for.
_SECONDS_WORTH_JUMPING = 0.5
_SECONDS_WORTH_SEARCHING = 4.0
# How far before the wanted time to enter, one after the other until a frame is displayed early enough: an index holds
# decoding times, broken packets may follow a keyframe, and a transport stream does not tell where its keyframes are.
_SECONDS_STEPPED_BACK = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0)
_BEFORE_ANY_TIMESTAMP = -(2**60)
_LARGEST_TIMESTAMP = 2**60
# These decoders show nothing after a jump until the picture is whole; others show what they have.
_DECODERS_THAT_WAIT = ("h264", "hevc", "vp8", "vp9", "libdav1d", "av1")


class Clock:
    """Timestamps of a stream to seconds since its first frame and back.

    Args:
        stream: the opened `av` video stream.
    """

    def __init__(self, stream: Any) -> None:
        container = stream.container.format.name
        # AVI stores no presentation times, and those FFmpeg makes up go back and forth; its decoding times do not.
        self.timestamp_name = "dts" if container == AVI else "pts"
        self.tells_when_packets_are_displayed = container in (MOV, MATROSKA, MPEG_TS)
        # Only containers that store the time of every frame can be trusted with the first one's before it is decoded.
        self.origin: int | None = stream.start_time if container in (MOV, MATROSKA) else None
        # AVI's index numbers the frames from 0, however much later the decoder shows the first of them.
        self._is_index_numbered = container == AVI
        self._numerator, self._denominator = stream.time_base.numerator, stream.time_base.denominator

    def seconds(self, timestamp: int) -> float:
        """The seconds a frame's or packet's timestamp stands for, once `origin` is known."""
        return (timestamp - (self.origin or 0)) * self._numerator / self._denominator

    def index_seconds(self, timestamp: int) -> float:
        """The seconds a timestamp of the container's index stands for."""
        return (timestamp - self._index_origin) * self._numerator / self._denominator

    def index_timestamp(self, seconds: float) -> int:
        """The inverse of `index_seconds`, rounded down."""
        timestamp = math.floor(seconds * self._denominator / self._numerator) + self._index_origin
        return max(-_LARGEST_TIMESTAMP, min(timestamp, _LARGEST_TIMESTAMP))

    @property
    def _index_origin(self) -> int:
        return 0 if self._is_index_numbered else self.origin or 0


class Jumps:
    """Where it pays to enter a stream, and the packets from there on.

    Args:
        stream: the opened `av` video stream.
        clock: its clock.
    """

    def __init__(self, stream: Any, clock: Clock) -> None:
        self._stream, self._clock = stream, clock
        container = stream.container.format.name
        self._is_searched = container == MPEG_TS
        # With holes in an AVI index, a jump would put frames at other times than reading from the beginning does.
        is_whole_avi_index = container == AVI and len(stream.index_entries) == stream.frames > 0
        self._is_indexed = is_whole_avi_index or (container in (MOV, MATROSKA) and clock.origin is not None)
        self._last_entrance: int | None = None
        self._has_given_up = False
        if container == MATROSKA:
            rewind(stream)  # Its index is only read when somebody asks to seek.

    def pays(self, position_seconds: float, wanted_seconds: float) -> bool:
        """Whether a frame is reached faster by a jump than by decoding on from where the decoder stands."""
        if self._has_given_up:
            return False
        if self._is_searched:
            return wanted_seconds > position_seconds + _SECONDS_WORTH_SEARCHING
        keyframe = self._keyframe_before(wanted_seconds)
        return keyframe is not None and self._clock.index_seconds(keyframe) > position_seconds + _SECONDS_WORTH_JUMPING

    def packets_before(self, wanted_seconds: float) -> Iterator[Iterator[Any]]:
        """Packets from a place before the wanted time, then from earlier and earlier ones.

        Args:
            wanted_seconds: the time of a frame that `pays` to be jumped to.

        Yields:
            Packets to decode up to the wanted frame. Ask for the next ones if no frame of these is displayed by then.
        """
        for entrance in self._entrances(wanted_seconds):
            try:
                self._stream.container.seek(entrance, stream=self._stream)
            except av.FFmpegError:
                return  # There is no keyframe as early as this.
            packets = packets_of(self._stream)
            if self._is_searched:
                packets = self._from_keyframe(packets, wanted_seconds)
            last_entrance, self._last_entrance = self._last_entrance, entrance
            yield packets
            self._last_entrance = last_entrance  # Asked for others: it was of no use.

    def shows_whole_pictures(self, frame: Any) -> bool:
        """Whether the first frame after a jump is what decoding from the beginning makes of it."""
        return bool(frame.key_frame) or self._stream.codec_context.name in _DECODERS_THAT_WAIT

    def give_up(self) -> None:
        """Go back to the first packet, where no jump leads to a frame that can be shown, and jump no more."""
        self._has_given_up = True
        rewind(self._stream)

    def _keyframe_before(self, wanted_seconds: float) -> int | None:
        """The timestamp of the last keyframe up to then, if there is an index to tell."""
        if not self._is_indexed:
            return None
        entries = self._stream.index_entries
        position = entries.search_timestamp(self._clock.index_timestamp(wanted_seconds))
        return entries[position].timestamp if position >= 0 else None

    def _entrances(self, wanted_seconds: float) -> list[int]:
        """Timestamps to seek, the latest first."""
        if self._has_given_up:
            return []
        keyframe = self._keyframe_before(wanted_seconds)
        latest_seconds = wanted_seconds if keyframe is None else self._clock.index_seconds(keyframe)
        steps_back = [seconds for seconds in _SECONDS_STEPPED_BACK if seconds < latest_seconds]
        entrances = [self._clock.index_timestamp(latest_seconds - seconds) for seconds in steps_back]
        if keyframe is not None:
            # Not the keyframe's own timestamp: that is its decoding time, at which MP4 would not yet display it.
            entrances.insert(0, self._clock.index_timestamp(wanted_seconds))
        if self._last_entrance is None:
            return entrances
        # Frames came out of the last jump, so there is no need to go back further than that.
        return [*(entrance for entrance in entrances if entrance > self._last_entrance), self._last_entrance]

    def _from_keyframe(self, packets: Iterator[Any], wanted_seconds: float) -> Iterator[Any]:
        """The packets from the next keyframe on; none if it comes too late."""
        for packet in packets:
            if packet.pts is not None and self._clock.seconds(packet.pts) > wanted_seconds:
                return
            if packet.is_keyframe and packet.pts is not None:
                yield packet
                yield from packets


def packets_of(stream: Any) -> Iterator[Any]:
    """The stream's packets from where its container stands up to its end, or to damage that cannot be passed."""
    try:
        for packet in stream.container.demux(stream):
            if packet.size or packet.dts is not None or packet.pts is not None:
                yield packet
    except (av.FFmpegError, IndexError):
        # What lies behind the damage is out of reach; what came before it still counts. PyAV (18) raises the second one
        # at the end of a file in which more streams appeared on the way.
        return


def rewind(stream: Any) -> None:
    """Go back to the stream's first packet."""
    stream.container.seek(_BEFORE_ANY_TIMESTAMP, stream=stream, backward=False, any_frame=True)

"""A video file in, its sound and subtitles, packet by packet as they are, in another file out."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from typing import Any

import av
from av.stream import Discard

from sora_keras.video.opening import VideoError

# FFmpeg's names of the formats that can be written.
CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
# What is true of one file only, in lower case.
_METADATA_OF_THE_FILE = (
    "major_brand", "minor_version", "compatible_brands", "encoder", "vendor_id", "duration", "bps",
    "number_of_frames", "number_of_bytes",
)  # fmt: skip
# MP4 has places of its own for these, which all players know; others need Apple's list of free names.
METADATA_OF_MP4 = (
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "description",
    "synopsis", "creation_time", "location", "location-eng", "timecode",
)  # fmt: skip

_SECONDS_TO_WARM_UP = 0.1  # what decoders of sound hear at most before what they give is right


def kept_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """What a file or stream tells of itself, but for what would be wrong of another file."""
    return {
        name: value
        for name, value in metadata.items()
        if name.lower().split("-")[0] not in _METADATA_OF_THE_FILE and not name.startswith("_STATISTICS")
    }


def check_sound(path: str | os.PathLike[str], video: Any, extension: str) -> None:
    """Refuse a container that cannot hold a video's sound as it is.

    Args:
        path: the video file, for messages.
        video: its opened `av` video stream.
        extension: of the file to write, one of `CONTAINERS`.

    Raises:
        VideoError: if it cannot.

    Example:
        >>> with open_video("walk.wmv") as video:  # doctest: +SKIP
        ...     check_sound("walk.wmv", video, ".mkv")
    """
    sounds = video.container.streams.audio
    if all(_fits(sound, extension) for sound in sounds):
        return
    codecs = ", ".join(sound.codec_context.name if sound.codec_context else "unknown" for sound in sounds)
    others = [other for other in CONTAINERS if all(_fits(sound, other) for sound in sounds)]
    hint = f"write to {' or '.join(others)}, which can" if others else "convert its sound to AAC first"
    raise VideoError(path, f"its sound ({codecs}) is kept as it is, and {extension} cannot hold it; {hint}")


class StreamCopy:
    """The sound and subtitles of an opened file on their way to another one.

    Args:
        video: the opened `av` video stream of the file, of which nothing else is read.
        container: the `av` container to write to, its header not yet written.
        extension: what kind of container that is, one of `CONTAINERS`.
    """

    def __init__(self, video: Any, container: Any, extension: str) -> None:
        self._container = container
        self.dropped: list[str] = []
        self._copies: dict[int, Any] = {}
        self._latest: dict[int, int] = {}
        for stream in video.container.streams:
            if stream.type in ("audio", "subtitle") and _fits(stream, extension):
                stream.discard = Discard.default
                self._copies[stream.index] = copy = container.add_stream_from_template(stream)
                copy.metadata.update(kept_metadata(stream.metadata))
                copy.disposition = stream.disposition
            elif stream.index != video.index and not _is_written_anew(stream):
                self.dropped.append(stream.type)
        video.discard = Discard.all
        packets = _packets(video.container, [video.container.streams[index] for index in self._copies])
        # Matroska cannot tell that the beginning of a sound is not to be heard.
        self._packets = _without_cut_away(packets) if extension == ".mkv" else packets
        self._ahead = next(self._packets, None)

    def write_until(self, seconds: float = math.inf) -> None:
        """Copy all packets up to a time in the file."""
        while self._ahead is not None and self._ahead.dts * self._ahead.time_base <= seconds:
            packet, index = self._ahead, self._ahead.stream.index
            # Matroska's packets of sound state none; without one, MP4 ends before the last.
            if packet.stream.type == "audio" and not packet.duration and index in self._latest:
                packet.duration = max(0, packet.dts - self._latest[index])
            # Damaged files may go back in time, which no container can hold.
            packet.dts = max(packet.dts, self._latest.get(index, packet.dts - 1) + 1)
            packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)
            self._latest[index] = packet.dts
            packet.stream = self._copies[index]
            self._container.mux(packet)
            self._ahead = next(self._packets, None)


def _is_written_anew(stream: Any) -> bool:
    """Whether it is MP4's form of the time code or the chapters, which come with the metadata."""
    return stream.type == "data" and ("timecode" in stream.metadata or bool(stream.container.chapters()))


def _fits(stream: Any, extension: str) -> bool:
    try:
        with av.open(io.BytesIO(), "w", format=CONTAINERS[extension]) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


def _packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    """Their packets in the order of the file, up to its end or to damage that cannot be passed."""
    try:
        for packet in container.demux(streams) if streams else ():
            if packet.dts is not None and packet.size:
                yield packet
    except (av.FFmpegError, IndexError):
        return


def _without_cut_away(packets: Iterator[Any]) -> Iterator[Any]:
    """What MP4's edit list lets be heard, and as much before it as a decoder needs to begin."""
    held: dict[int, list[Any]] = {}
    for packet in packets:
        before = held.pop(packet.stream.index, [])
        near = [early for early in before if (packet.dts - early.dts) * packet.time_base <= _SECONDS_TO_WARM_UP]
        if packet.is_discard:
            held[packet.stream.index] = [*near, packet]
        else:
            yield from near
            yield packet

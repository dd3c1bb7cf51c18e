"""A video file and a way to change its frames in, the same file with every frame changed out."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags

from sora_keras.atomic import remove_abandoned
from sora_keras.video.decoding import frame_rate
from sora_keras.video.frame_source import FrameSource
from sora_keras.video.opening import MPEG_TS, open_video
from sora_keras.video.stream_copying import CONTAINERS, METADATA_OF_MP4, StreamCopy, check_sound, kept_metadata
from sora_keras.video.writing import appearing_video, check_place

# H.264's encoder holds frames back to choose among them, at five bytes and more for each pixel; of larger ones than 4K
# it holds none.
_MANY_PIXELS = 4096 * 2304
_FORMATS_OF_BROADCASTS = (MPEG_TS, "mpeg")  # their clock stands anywhere when they begin
_MOST_UNITS = 1_000_000  # of time in a second, in MP4's header
# By bits. One thread: the bytes do not depend on the machine, and frames held for threads take memory. Without the
# macroblock tree, which on small pictures decides by memory that nobody wrote.
_ENCODERS = {
    8: ("libx264", {"threads": "1", "mbtree": "0"}),
    10: ("libx264", {"threads": "1", "mbtree": "0"}),
    12: ("libx265", {"x265-params": "log-level=none:pools=none:frame-threads=1"}),
}


@dataclasses.dataclass(frozen=True)
class Rewriting:
    """What became of a video file.

    Args:
        num_frames: how many frames there are, before and after.
        size_before: height and width of a frame as displayed.
        size_after: the same of a changed frame.
        broken_seconds: times, since the first frame, of frames that could not be decoded or only in part. Those that
            are lost altogether were made from their neighbors.
        warnings: what is not as it was, in whole sentences.
    """

    num_frames: int
    size_before: tuple[int, int]
    size_after: tuple[int, int]
    broken_seconds: tuple[float, ...]
    warnings: tuple[str, ...]


def rewrite_video(
    path: str | os.PathLike[str],
    to: str | os.PathLike[str],
    change: Callable[[Iterator[tuple[float, np.ndarray]]], Iterable[np.ndarray]],
    quality: int = 17,
    is_quiet: bool = False,
) -> Rewriting:
    """Write a video file anew with other pixels, and everything else as it was, in bounded memory.

    Kept are the number of frames and the time of each (variable rates and a late beginning included; `.mkv` rounds
    times to a millisecond; where a broadcast's clock stood at its beginning is 0 s), sound and subtitles (packet by
    packet), which tracks are the default or forced, rotation, color range and color tags, the pixels' aspect ratio,
    chapters and metadata (of languages, `.mov` knows QuickTime's own). A frame that is lost is made from its neighbors,
    see `sora_keras.video.frame_repair`, one that the decoder completed is taken as it is; both are reported.

    Frames are changed as displayed, in 8 bits. What a video has below these is kept aside and added to the changed
    frame, so a change that does nothing loses nothing. 8 and up to 10 bits are stored as H.264, more as H.265 with 12
    bits; colors at the resolution the video has them, or at full resolution where a side is odd. Interlaced pictures
    are stored as whole frames. Transparency, an HDR display's mastering data, pictures of covers and data streams are
    dropped. Each of these is told in a warning.

    The file appears under its name only once it is whole; whatever interrupts it, nothing is left but, after a kill, a
    file whose name begins with `.unfinished-`. The original is only read.

    Args:
        path: the video file.
        to: the file to write, `.mp4`, `.mov` or `.mkv`. An existing one is replaced, but not `path` itself.
        change: given seconds since the first frame and frames `uint8 (H, W, 3)`, as `stream_frames` gives them, gives
            as many frames `(H2, W2, 3)`, `uint8`, or any float in 0..255. It may look ahead.
        quality: H.264's constant rate factor, 0 (best) to 51; 6 more is about half the file.
        is_quiet: whether warnings are returned only, not logged as well.

    Returns:
        What was done.

    Raises:
        ValueError: if the extension or quality is not as above, `to` is `path` under whatever name, or `change` gives
            another number of frames or other shapes.
        VideoError: if the file cannot be read, its sound does not fit into the container, or the disk is full.

    Example:
        >>> rewrite_video("walk.mp4", "negative.mp4", lambda frames: (255 - frame for _, frame in frames)).num_frames
        250
    """
    to = Path(to)
    check_target(path, to)
    if quality not in range(52):
        raise ValueError(f"quality must be a whole number from 0 (best) to 51, received {quality!r}.")
    with open_video(path) as video, open_video(path) as original:
        check_sound(path, original, to.suffix.lower())
        source = FrameSource(os.fsdecode(path), video, is_quiet)
        frames = source.stored(change(source.frames()))
        first = next(frames)  # nothing is written before there is something to write
        remove_abandoned(to.parent)
        with appearing_video(to) as unfinished:
            _write(unfinished, source, original, first, frames, quality)
    return Rewriting(
        source.num_frames, source.size_before, source.size_after, tuple(source.broken_seconds), tuple(source.warnings)
    )


def check_target(path: str | os.PathLike[str], to: str | os.PathLike[str]) -> None:
    """Refuse what cannot be written to, or would overwrite a video.

    Args:
        path: the video to keep.
        to: the file to write.

    Raises:
        ValueError: if the extension is none of `.mp4`, `.mov` and `.mkv`, or the two are one file, by whatever name.
        VideoError: if its folder does not exist, or it is one.

    Example:
        >>> check_target("walk.mp4", "walk.mp4")
        Traceback (most recent call last):
        ValueError: the original is never overwritten: 'walk.mp4' and 'walk.mp4' are the same file; ...
    """
    to = Path(to)
    if to.suffix.lower() not in CONTAINERS:
        raise ValueError(
            f"the file's extension must be one of {', '.join(CONTAINERS)}, received {to.suffix!r} in {str(to)!r}."
        )
    check_place(to)
    if to.exists() and os.path.exists(path) and os.path.samefile(path, to):
        raise ValueError(
            f"the original is never overwritten: {str(to)!r} and {os.fsdecode(path)!r} are the same file; write to "
            "another one."
        )


def _write(to: Path, source: FrameSource, original: Any, first: Any, frames: Iterator[Any], quality: int) -> None:
    extension = to.suffix.lower()
    metadata = kept_metadata(original.container.metadata)
    options = _container_options(extension, metadata, original)
    # Without the protocol's name, a colon in a folder's name would end one.
    with av.open(f"file:{to}", "w", container_options=options) as container:
        container.metadata.update(metadata)
        container.set_chapters(original.container.chapters())
        video = _add_video(container, source, first, quality)
        copy = StreamCopy(original, container, extension)
        for stream_type in copy.dropped:
            source.warn(f"a stream of {stream_type} is left out of the {extension}")
        for frame in itertools.chain([first], frames):
            _mux(container, video.encode(frame), copy)
        _mux(container, video.encode(None), copy)
        copy.write_until()


def _container_options(extension: str, metadata: dict[str, str], original: Any) -> dict[str, str]:
    options = {}
    if original.container.format.name in _FORMATS_OF_BROADCASTS:
        options["output_ts_offset"] = f"{-(original.container.start_time or 0) / av.time_base:.6f}"
    if extension == ".mkv":
        # The first packet of AAC may come before 0 s, and is no reason to show everything later.
        return {**options, "avoid_negative_ts": "disabled"}
    # The units of a late beginning, of which there are 1000 a second if nothing else is said.
    options["movie_timescale"] = str(min(math.lcm(1000, original.time_base.denominator), _MOST_UNITS))
    has_other_names = {name.lower() for name in metadata} - set(METADATA_OF_MP4)
    return {**options, "movflags": "use_metadata_tags"} if has_other_names else options


def _add_video(container: Any, source: FrameSource, first: Any, quality: int) -> Any:
    pixels, original = source.pixels, source.video
    rate = Fraction(min(max(frame_rate(original), 0.01), 1000.0)).limit_denominator(100_000)
    codec, options = _ENCODERS[pixels.stored_bits]
    if first.width * first.height > _MANY_PIXELS:
        options = {**options, "bf": "0", "rc-lookahead": "0"}
    video = container.add_stream(codec, rate=rate, options={"crf": str(quality), "preset": "veryfast", **options})
    video.width, video.height, video.pix_fmt = first.width, first.height, first.format.name
    video.time_base = video.codec_context.time_base = original.time_base
    video.codec_context.flags |= Flags.frame_duration
    if original.sample_aspect_ratio:
        video.codec_context.sample_aspect_ratio = original.sample_aspect_ratio
    pixels.tag(video.codec_context)
    if pixels.orientation.display_matrix is not None:
        video.set_display_matrix(pixels.orientation.display_matrix)
    video.metadata.update(kept_metadata(original.metadata))
    video.disposition = original.disposition
    return video


def _mux(container: Any, packets: Iterable[Any], copy: StreamCopy) -> None:
    for packet in packets:
        # Players want sound beside the pictures it belongs to.
        copy.write_until(float(packet.dts * packet.time_base))
        container.mux(packet)

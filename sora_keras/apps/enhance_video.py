"""A video file of any length and a trained enhancer in, the enhanced file and a report out."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sora_keras.apps.color_parameters import adjusted_frames, color_parameters
from sora_keras.apps.quality_gain import QualityGain, measure_gain
from sora_keras.apps.restoring import restored_frames
from sora_keras.apps.side_by_side import write_side_by_side
from sora_keras.progress import show_progress
from sora_keras.video import VideoInfo, probe
from sora_keras.video.opening import open_video
from sora_keras.video.rewriting import check_target, rewrite_video
from sora_keras.video.stream_copying import check_sound

# A reference whose length differs by more shows something else.
_SECONDS_ALIKE = 0.5


@dataclasses.dataclass(frozen=True)
class EnhancementReport:
    """What `enhance` did.

    Args:
        path: the video before.
        to: the enhanced video.
        num_frames: how many frames each of the two has.
        size_before: height and width of a frame as displayed.
        size_after: the same of an enhanced frame.
        seconds: how long it took, comparison and measurement apart.
        broken_seconds: times of the frames that could not be decoded, or only in part; those that were lost are made
            from their neighbors.
        warnings: what is not as it was, in whole sentences.
        gain: how much nearer to the reference the enhanced file is; `None` without one.
    """

    path: str
    to: str
    num_frames: int
    size_before: tuple[int, int]
    size_after: tuple[int, int]
    seconds: float
    broken_seconds: tuple[float, ...]
    warnings: tuple[str, ...]
    gain: QualityGain | None = None


def enhance(
    video: str | os.PathLike[str],
    model: Any,
    to: str | os.PathLike[str],
    compare: str | os.PathLike[str] | None = None,
    reference: str | os.PathLike[str] | None = None,
    tile_size: int | None = None,
    quality: int = 17,
    look_ahead: int = 0,
) -> EnhancementReport:
    """Enhance a video file of any length and size in bounded memory, with sound, times and all else as they were.

    With `mode="restore"` frames go through the model one by one, whole or in overlapping tiles, its state carried on.
    With `mode="parameters"` the model looks at the whole video first, in overlapping windows of its `clip_spec`; its
    numbers, interpolated over time, then change each frame in its full size.

    What is kept, what is not, and what happens to broken frames is told by
    `sora_keras.video.rewriting.rewrite_video`.

    Args:
        video: the video file; it is only read.
        model: a trained `SoraEnhancer`.
        to: the file to write, `.mp4`, `.mov` or `.mkv`; it appears under this name once it is whole.
        compare: another such file to write, which shows before and after side by side; `None` writes none.
        reference: what the video should look like, a file of as many frames in the size of the enhanced ones, to
            measure against, give or take two frames; `None` measures nothing.
        tile_size: rows and columns of a tile at most, a multiple of 16 from 144 on; `None` chooses by memory. For
            `mode="restore"`.
        quality: H.264's constant rate factor, 0 (best) to 51.
        look_ahead: how many of the frames to come, at least, each frame is restored by too: clearer, in three times the
            time, see `restored_frames`. For `mode="restore"`.

    Returns:
        The report.

    Raises:
        ValueError: if an argument is out of its range, two of the files are the same one, or the reference has another
            size.
        VideoError: if a file cannot be read or written.

    Example:
        >>> model = SoraEnhancer.from_preset("saved_models/denoise")  # doctest: +SKIP
        >>> enhance("night.mp4", model, to="clear.mp4", compare="both.mp4").num_frames  # doctest: +SKIP
        17982
    """
    for name, given in (("tile_size", tile_size), ("look_ahead", look_ahead or None)):
        if given is not None and model.mode != "restore":
            raise ValueError(f'`{name}` is for mode="restore", received {given!r} for mode={model.mode!r}.')
    info = probe(video)
    _check_files(video, to, compare, reference)
    _check_reference(reference, info, model.scale)
    began = time.perf_counter()
    num_frames = max(1, round(info.duration_seconds * info.frames_per_second))
    description = f"Enhancing {os.path.basename(os.fsdecode(video))}"

    def change(frames: Iterable[tuple[float, np.ndarray]]) -> Iterator[np.ndarray]:
        # Not before, so that what `rewrite_video` refuses is refused before the video is looked at.
        parameters = color_parameters(video, model) if model.mode == "parameters" else None
        frames = show_progress(frames, description, num_frames)
        if parameters is not None:
            return adjusted_frames(frames, parameters)
        return restored_frames((frame for _, frame in frames), model, tile_size, look_ahead)

    done = rewrite_video(video, to, change, quality)
    seconds = time.perf_counter() - began
    if compare is not None:
        write_side_by_side(video, to, compare, done.num_frames)
    gain = None if reference is None else measure_gain(video, to, reference, done.num_frames)
    warnings = done.warnings if gain is None or gain.warning is None else (*done.warnings, gain.warning)
    return EnhancementReport(
        os.fsdecode(video), os.fsdecode(to), done.num_frames, done.size_before, done.size_after, seconds,
        done.broken_seconds, warnings, gain,
    )  # fmt: skip


def _check_files(
    video: str | os.PathLike[str],
    to: str | os.PathLike[str],
    compare: str | os.PathLike[str] | None,
    reference: str | os.PathLike[str] | None,
) -> None:
    for kept in (video, reference):
        for written in (to, compare):
            if kept is not None and written is not None:
                check_target(kept, written)
    if compare is not None and Path(to).resolve() == Path(compare).resolve():
        raise ValueError(f"`to` and `compare` must be two files, received {os.fsdecode(to)!r} for both.")
    if compare is not None:
        with open_video(video) as opened:
            check_sound(video, opened, Path(compare).suffix.lower())


def _check_reference(reference: str | os.PathLike[str] | None, info: VideoInfo, scale: int) -> None:
    if reference is None:
        return
    wanted, given = (scale * info.height, scale * info.width), probe(reference)
    if (given.height, given.width) != wanted:
        raise ValueError(
            f"the reference must have frames of {wanted[0]}x{wanted[1]}, as the enhanced video will have, received "
            f"{given.height}x{given.width}."
        )
    if abs(given.duration_seconds - info.duration_seconds) > _SECONDS_ALIKE:
        raise ValueError(
            f"the reference must show the same frames, and last {info.duration_seconds:.2f} s, received "
            f"{given.duration_seconds:.2f} s."
        )

"""A video of any length and a model in, the probability of each label at each time out."""

from __future__ import annotations

import itertools
import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from sora_keras.apps.frame_scores import FrameScores, WindowTally
from sora_keras.models import SoraUnderstanding
from sora_keras.progress import show_progress
from sora_keras.video import Clip, ClipSpec, VideoError, probe, read_windows
from sora_keras.video.jumping import packets_of
from sora_keras.video.opening import open_video
from sora_keras.video.sampling import times_on_display
from sora_keras.video.sound_or_silence import read_sound_or_silence

T = TypeVar("T")
_ROUNDING_SECONDS = 1e-6


def score_video(
    path: str | os.PathLike[str],
    model: SoraUnderstanding,
    seconds_between_windows: float | None = None,
    batch_size: int = 8,
) -> FrameScores:
    """Show a video to a model in overlapping windows, and average what it says of each time.

    The times are the middles of the frames of windows laid end to end. A frame weighs the more in the average the
    farther it is from its window's ends. The last window ends where the video ends; each of its frames counts for the
    nearest of the times, half a frame away at most. The next windows are read while the model is busy, and memory does
    not grow with the video but for the scores.

    Args:
        path: the video file. A model that hears gets silence, and a warning, where the sound is missing or broken.
        model: the model. If its `clip_spec` has no rate, it sees one window, spread over the whole video.
        seconds_between_windows: from one window's start to the next one's, rounded to whole frames; `None` is half a
            window.
        batch_size: windows to show at once.

    Returns:
        The scores. Of a video that breaks off those up to there, with the `error`, and a warning.

    Raises:
        VideoError: if not even one window can be read.
        ValueError: if `seconds_between_windows` is less than a frame or more than a window, `batch_size` is less than
            1, or the model wants features that somebody has to compute.

    Example:
        >>> scores = score_video("street.mp4", SoraUnderstanding.from_preset("saved_models/street"))
        >>> scores.times[scores.frame_scores["event"][:, 0].argmax()]
        12.5625
    """
    clip_spec, backbone = model.clip_spec, model.backbone
    if backbone.num_features:
        raise ValueError(
            f"{model.name!r} reads {backbone.num_features} features that somebody has to compute; expected a model of "
            "frames, or of frames and sound."
        )
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, received {batch_size!r}.")
    stride = _frames_between_windows(clip_spec, seconds_between_windows)
    info = probe(path)
    if backbone.sound_samples and not info.has_audio:
        logging.getLogger(__name__).warning("no sound: %s has none, so the model hears silence.", os.fsdecode(path))
    windows = _Windows(path, clip_spec, stride)
    batches = (
        (clips, _inputs(path, clips, clip_spec, backbone, info.has_audio)) for clips in _groups(windows, batch_size)
    )
    num_batches = math.ceil(_num_windows(info.duration_seconds, clip_spec, stride) / batch_size)
    tally = WindowTally(clip_spec, model.vocabularies)
    for clips, inputs in show_progress(
        _read_ahead(batches), f"Watching {os.path.basename(os.fsdecode(path))}", num_batches
    ):
        tally.add(clips, model.predict_on_batch(inputs))
    if windows.error is not None:
        logging.getLogger(__name__).warning("%s; what comes before is scored.", windows.error)
    end_seconds = info.duration_seconds if windows.error is None else _end_seconds(path)
    return tally.scores(info.duration_seconds, end_seconds, windows.error)


class _Windows:
    """A video's windows, up to where it breaks off.

    Args:
        path: the video file.
        clip_spec: one window's shape and rate.
        stride: frames from one window's start to the next one's.
    """

    def __init__(self, path: str | os.PathLike[str], clip_spec: ClipSpec, stride: int) -> None:
        self._path, self._clip_spec = path, clip_spec
        rate = clip_spec.frames_per_second
        self._seconds_between_windows = None if rate is None else stride / rate
        self.error: VideoError | None = None

    def __iter__(self) -> Iterator[Clip]:
        has_begun = False
        try:
            for clip in read_windows(self._path, self._clip_spec, self._seconds_between_windows):
                has_begun = True
                yield clip
        except VideoError as error:
            if not has_begun:
                raise
            self.error = error


def _end_seconds(path: str | os.PathLike[str]) -> float:
    """When the last frame of a file ends, whatever its header says: reading holds it for a while before it fails."""
    with open_video(path) as stream:
        begins = (
            (packet.dts if packet.pts is None else packet.pts, packet.duration or 0) for packet in packets_of(stream)
        )
        end = max((begin + duration for begin, duration in begins if begin is not None), default=0)
        return float((end - (stream.start_time or 0)) * stream.time_base)


def _inputs(
    path: str | os.PathLike[str], clips: Sequence[Clip], clip_spec: ClipSpec, backbone: Any, has_sound: bool
) -> Any:
    """What the backbone reads of some windows."""
    inputs = {"frames": np.stack([clip.frames for clip in clips])}
    if backbone.has_padding:
        inputs["padding_mask"] = np.stack([times_on_display(clip.times, clip_spec.frames_per_second) for clip in clips])
    if backbone.sound_samples:
        shape = (len(clips), clip_spec.num_frames, backbone.sound_samples)
        inputs["sound"] = _sound(path, clips, backbone.sound_samples) if has_sound else np.zeros(shape, np.float32)
    return inputs if len(inputs) > 1 else inputs["frames"]


def _sound(path: str | os.PathLike[str], clips: Sequence[Clip], num_samples: int) -> np.ndarray:
    """What is heard around each frame of some windows, `float32 (W, T, S)`, read once where they overlap."""
    seconds, places = np.unique(np.concatenate([clip.times for clip in clips]), return_inverse=True)
    sound = read_sound_or_silence(path, seconds, num_samples)
    return sound[places].reshape(len(clips), -1, num_samples)


def _groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    return iter(lambda: list(itertools.islice(iterator, size)), [])


def _read_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made in a thread of its own while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def _frames_between_windows(clip_spec: ClipSpec, seconds_between_windows: float | None) -> int:
    rate = clip_spec.frames_per_second
    if rate is None:
        return clip_spec.num_frames
    if seconds_between_windows is None:
        return max(1, clip_spec.num_frames // 2)
    window_seconds = clip_spec.num_frames / rate
    if not 0.5 / rate <= seconds_between_windows <= window_seconds + _ROUNDING_SECONDS:
        raise ValueError(
            f"`seconds_between_windows` must be from a frame, {1 / rate:g} s, to a window, {window_seconds:g} s, so "
            f"that no time is left out, received {seconds_between_windows!r}."
        )
    return max(1, round(seconds_between_windows * rate))


def _num_windows(duration_seconds: float, clip_spec: ClipSpec, stride: int) -> int:
    """As many as `read_windows` will make, if the video does not break off."""
    if clip_spec.frames_per_second is None:
        return 1
    frames_left = duration_seconds * clip_spec.frames_per_second - clip_spec.num_frames
    return 1 + max(0, math.ceil(frames_left / stride - _ROUNDING_SECONDS))

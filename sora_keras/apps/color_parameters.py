"""A video and a model that looks at windows of it in, brightness, contrast and saturation at any second out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from sora_keras.layers.color_adjustment import ColorAdjustment
from sora_keras.progress import show_progress
from sora_keras.video import VideoError, probe, read_windows

# Of a window's length; the edge of a window counts so much where no other one reaches, at the video's ends.
_LEAST_WEIGHT = 1e-3


class ColorParameters:
    """What a video's frames lack, changing slowly: windows fade into each other.

    At each time the windows that contain it are averaged, weighted by how near their middle is, a triangle; before the
    first window and after the last, these count alone.

    Args:
        times: `float64 (N, T)`, seconds of the frames of N windows.
        parameters: `float32 (N, T, 3)`, brightness, contrast and saturation of each.

    Example:
        >>> ColorParameters(times, parameters).at(12.5)
        array([-24.1, 0.31, 0.02])
    """

    def __init__(self, times: np.ndarray, parameters: np.ndarray) -> None:
        self.times, self.parameters = times, parameters
        self._middles = (times[:, 0] + times[:, -1]) / 2
        self._reaches = np.maximum((times[:, -1] - times[:, 0]) / 2, 1e-6)

    def at(self, seconds: float) -> np.ndarray:
        """The parameters at one time, `float64 (3,)`."""
        nearness = 1 - np.abs(seconds - self._middles) / self._reaches
        weights = np.clip(nearness, 0, None)
        if weights.max() < _LEAST_WEIGHT:
            weights = (nearness == nearness.max()).astype(float)
        wanted = [
            [np.interp(seconds, self.times[index], numbers) for numbers in self.parameters[index].T]
            for index in np.flatnonzero(weights)
        ]
        return np.average(wanted, axis=0, weights=weights[weights > 0])


def color_parameters(video: str | os.PathLike[str], model: Any) -> ColorParameters:
    """Look at a whole video in windows that overlap by half, holding one at a time.

    Args:
        video: the video file.
        model: a `SoraEnhancer` with `mode="parameters"`.

    Returns:
        The parameters; those of a video that breaks off go up to there.

    Raises:
        VideoError: if nothing of it can be read.

    Example:
        >>> color_parameters("dark.mp4", model).at(3.0)
        array([31.6, 0.2, 0.11])
    """
    spec = model.clip_spec
    num_windows, stride = 1, None
    if spec.frames_per_second is not None:
        stride = spec.num_frames / spec.frames_per_second / 2
        num_windows = max(1, math.ceil(probe(video).duration_seconds / stride) - 1)
    times, parameters = [], []
    name = os.path.basename(os.fsdecode(video))
    try:
        for clip in show_progress(read_windows(video, spec, stride), f"Looking at {name}", num_windows):
            outputs = model.predict_on_batch(clip.frames[np.newaxis])
            times.append(clip.times)
            parameters.append(np.asarray(outputs["parameters"])[0])
    except VideoError:
        if not times:
            raise
    return ColorParameters(np.stack(times), np.stack(parameters))


def adjusted_frames(frames: Iterable[tuple[float, np.ndarray]], parameters: ColorParameters) -> Iterator[np.ndarray]:
    """Change each frame by the parameters of its time.

    Args:
        frames: seconds and frames `uint8 (H, W, 3)`, as `stream_frames` gives them.
        parameters: of the video.

    Yields:
        `float32 (H, W, 3)` in 0..255.

    Example:
        >>> for adjusted in adjusted_frames(stream_frames("dark.mp4"), color_parameters("dark.mp4", model)): ...
    """
    adjust = ColorAdjustment()
    for seconds, frame in frames:
        numbers = parameters.at(seconds).astype(np.float32)
        yield np.asarray(adjust(frame[np.newaxis, np.newaxis], numbers[np.newaxis, np.newaxis]))[0, 0]

"""What a model says of overlapping windows in, what it says of each time of the video (`FrameScores`) out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from sora_keras.models.understanding import FRAMES_SUFFIX
from sora_keras.video import Clip, ClipSpec, VideoError
from sora_keras.video.sampling import times_on_display

_ROUNDING_SECONDS = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class FrameScores:
    """What a model sees in a video, and when.

    Args:
        times: `float64 (N,)`, seconds since the video's first frame, evenly spaced: the middle of what each score
            stands for.
        seconds_between_frames: from one of these times to the next.
        frame_scores: for each vocabulary of K labels, their probabilities, `float32 (N, K)`.
        clip_scores: for each vocabulary, the probabilities that a label holds anywhere in the video, `float32 (K,)`:
            the highest of all windows.
        mean_clip_scores: the mean over the windows in place of the highest.
        duration_seconds: how long the video is, by its header.
        error: why it cannot be read any farther than `times` go; `None` if it was read to its end.
    """

    times: np.ndarray
    seconds_between_frames: float
    frame_scores: dict[str, np.ndarray]
    clip_scores: dict[str, np.ndarray]
    mean_clip_scores: dict[str, np.ndarray]
    duration_seconds: float
    error: str | None = None


class WindowTally:
    """Gathers what a model says of overlapping windows, to average it.

    Args:
        clip_spec: one window's shape and rate.
        vocabularies: their names.
    """

    def __init__(self, clip_spec: ClipSpec, vocabularies: Iterable[str]) -> None:
        self._clip_spec = clip_spec
        self._frames: dict[str, list[np.ndarray]] = {name: [] for name in vocabularies}
        self._clips: dict[str, list[np.ndarray]] = {name: [] for name in self._frames}
        self._places: list[np.ndarray] = []
        self._weights: list[np.ndarray] = []
        self._times = np.empty(0)

    def add(self, clips: Sequence[Clip], logits: Mapping[str, np.ndarray]) -> None:
        """Take in a batch of windows, and what the model says of them: its outputs, as they come."""
        positions = np.arange(self._clip_spec.num_frames)
        weights = np.minimum(positions + 1, len(positions) - positions)
        for clip in clips:
            self._places.append(_first_place(clip, self._clip_spec) + positions)
            self._weights.append(weights * times_on_display(clip.times, self._clip_spec.frames_per_second))
            self._times = clip.times
        for name in self._frames:
            self._clips[name].append(_sigmoid(logits[name]))
            self._frames[name].append(_sigmoid(logits[name + FRAMES_SUFFIX]))

    def scores(self, duration_seconds: float, end_seconds: float, error: VideoError | None) -> FrameScores:
        """Average.

        Args:
            duration_seconds: how long the video is said to be.
            end_seconds: where its frames end.
            error: why that is too early, if it is.

        Returns:
            The scores, up to where the frames end.
        """
        places, weights = np.concatenate(self._places), np.concatenate(self._weights)
        rate = self._clip_spec.frames_per_second
        num_times = places[weights > 0].max() + 1
        times = self._times if rate is None else (np.arange(num_times) + 0.5) / rate
        times = times[times < max(end_seconds, times[0] + _ROUNDING_SECONDS)]
        clips = {name: np.concatenate(scores) for name, scores in self._clips.items()}
        return FrameScores(
            times,
            duration_seconds / len(times) if rate is None else 1 / rate,
            {name: _mean(np.concatenate(of), places, weights)[: len(times)] for name, of in self._frames.items()},
            {name: scores.max(axis=0) for name, scores in clips.items()},
            {name: scores.mean(axis=0) for name, scores in clips.items()},
            duration_seconds,
            None if error is None else error.reason,
        )


def _mean(scores: np.ndarray, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Frame scores of windows `(W, T, K)` to the mean at each place, `float32 (N, K)`."""
    scores = scores.reshape(len(places), -1)
    columns = [np.bincount(places, weights * column) for column in scores.T]
    total = np.bincount(places, weights)
    return np.stack([(column / np.maximum(total, 1)).astype(np.float32) for column in columns], axis=1)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float32)))


def _first_place(clip: Clip, clip_spec: ClipSpec) -> int:
    """The number of the time nearest to a window's first frame."""
    rate = clip_spec.frames_per_second
    # Halfway between two it is the earlier one: the later one may lie at the video's very end.
    return 0 if rate is None else max(0, math.ceil(float(clip.times[0]) * rate - 1 - _ROUNDING_SECONDS))

"""What a model says of a video's frames in, what holds from when to when (`Timeline`) out."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from sora_keras.apps.frame_scores import FrameScores
from sora_keras.evaluation.segments import Segment, segments_of_labels
from sora_keras.models import SoraUnderstanding


@dataclasses.dataclass(frozen=True, eq=False)
class Timeline:
    """What happens in a video, and when.

    Args:
        path: the video file.
        duration_seconds: how long it is, by its header.
        times: `float64 (N,)`, seconds since the video's first frame.
        frame_scores: for each vocabulary of K labels, their probabilities at these times, `float32 (N, K)`.
        clip_scores: for each vocabulary, the probabilities that a label holds anywhere in the video, `float32 (K,)`.
        vocabularies: name of each vocabulary -> names of its labels.
        thresholds: for each vocabulary, the probabilities from which on its labels are taken to hold.
        segments: for each vocabulary, what holds from when to when, in the order of time.
        error: why the video cannot be read any farther than `times` go; `None` if it was read to its end.
    """

    path: str
    duration_seconds: float
    times: np.ndarray
    frame_scores: dict[str, np.ndarray]
    clip_scores: dict[str, np.ndarray]
    vocabularies: dict[str, list[str]]
    thresholds: dict[str, list[float]]
    segments: dict[str, list[Segment]]
    error: str | None = None

    @property
    def all_segments(self) -> list[tuple[str, Segment]]:
        """The segments of all vocabularies, each with its vocabulary's name, in the order of time."""
        named = [(vocabulary, segment) for vocabulary, segments in self.segments.items() for segment in segments]
        return sorted(named, key=lambda one: (one[1].start_seconds, one[1].end_seconds))

    def scores_of(self, vocabulary: str, label: str) -> np.ndarray:
        """One label's probabilities at `times`, `float32 (N,)`."""
        return self.frame_scores[vocabulary][:, self.vocabularies[vocabulary].index(label)]


def timeline_of(
    path: str | os.PathLike[str], scores: FrameScores, model: SoraUnderstanding, minimum_seconds: float = 0.5
) -> Timeline:
    """Find the segments in scores, by the model's thresholds and with hysteresis.

    Args:
        path: the video file.
        scores: what `score_video` says of it.
        model: the model that said it.
        minimum_seconds: shorter segments are left out, unless they last as long as the video.

    Returns:
        The timeline.

    Raises:
        ValueError: if `minimum_seconds` is negative.

    Example:
        >>> timeline = timeline_of("street.mp4", score_video("street.mp4", model), model)
    """
    end_seconds = min(scores.duration_seconds, scores.times[-1] + scores.seconds_between_frames / 2)
    thresholds = model.thresholds
    segments = {
        vocabulary: [
            _within(segment, scores.times[0], float(end_seconds))
            for segment in segments_of_labels(
                scores.frame_scores[vocabulary], scores.times, labels, thresholds[vocabulary],
                min(minimum_seconds, float(end_seconds)), scores.seconds_between_frames,
            )
        ]
        for vocabulary, labels in model.vocabularies.items()
    }  # fmt: skip
    return Timeline(
        os.fspath(path),
        scores.duration_seconds,
        scores.times,
        scores.frame_scores,
        scores.clip_scores,
        {vocabulary: list(labels) for vocabulary, labels in model.vocabularies.items()},
        thresholds,
        segments,
        scores.error,
    )


def _within(segment: Segment, first_seconds: float, end_seconds: float) -> Segment:
    """The segment from the video's beginning on, if it has the first frame, and up to its end at most."""
    start_seconds = 0.0 if segment.start_seconds <= first_seconds else segment.start_seconds
    return dataclasses.replace(segment, start_seconds=start_seconds, end_seconds=min(segment.end_seconds, end_seconds))

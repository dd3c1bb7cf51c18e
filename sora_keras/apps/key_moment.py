"""A timeline in, its surest segments, each with the frame that shows it best, out."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence

import numpy as np

from sora_keras.apps.timeline import Timeline
from sora_keras.evaluation.segments import Segment
from sora_keras.video import ClipSpec, VideoError, probe, read_clip

FRAME_ROWS = 180
_MOST_COLUMNS = 2 * FRAME_ROWS
# Scores as close as this are one as good as the other, and the middle of them shows most.
_SCORES_ALIKE = 0.02


@dataclasses.dataclass(frozen=True, eq=False)
class KeyMoment:
    """When a segment is at its surest, and what is seen there.

    Args:
        vocabulary: name of the vocabulary that the segment's label is of.
        segment: the segment.
        seconds: the moment, since the video's first frame.
        frame: what is seen, `uint8 (H, W, 3)`.
    """

    vocabulary: str
    segment: Segment
    seconds: float
    frame: np.ndarray


def key_moments(timeline: Timeline, most: int = 12) -> list[KeyMoment]:
    """Choose the segments that tell most: the surest one of each label, then the surest of the others.

    Args:
        timeline: from `understand`.
        most: how many to choose.

    Returns:
        At most so many moments, those that tell most first; none where nothing happens.

    Raises:
        ValueError: if `most` is less than 1.
        VideoError: if the video is gone.

    Example:
        >>> for moment in key_moments(understand("street.mp4", model)):
        ...     print(moment.segment.label, moment.seconds)
    """
    if most < 1:
        raise ValueError(f"`most` must be at least 1, received {most!r}.")
    chosen = sorted(timeline.all_segments, key=lambda one: -one[1].score)
    places_of_labels: dict[tuple[str, str], int] = {}
    ranks = []
    for vocabulary, segment in chosen:
        place = places_of_labels.get((vocabulary, segment.label), 0)
        places_of_labels[vocabulary, segment.label] = place + 1
        ranks.append(min(place, 1))
    chosen = [chosen[index] for index in np.argsort(ranks, kind="stable")[:most]]
    seconds = [_surest_seconds(timeline, vocabulary, segment) for vocabulary, segment in chosen]
    frames = read_frames(timeline.path, seconds)
    return [KeyMoment(*one, *shown) for one, shown in zip(chosen, zip(seconds, frames, strict=True), strict=True)]


def read_frames(path: str | os.PathLike[str], seconds: Sequence[float], rows: int = FRAME_ROWS) -> list[np.ndarray]:
    """Read the frames shown at some times, small ones to look at.

    Args:
        path: the video file.
        seconds: the times, since its first frame.
        rows: height H of the frames; the width keeps the aspect ratio.

    Returns:
        `uint8 (H, W, 3)` for each time; one that cannot be read is gray, and logged as a warning.

    Raises:
        VideoError: if the file is no video.

    Example:
        >>> first, second = read_frames("street.mp4", [1.0, 2.5])
    """
    info = probe(path)
    columns = min(max(1, round(rows * info.width / info.height)), _MOST_COLUMNS)
    clip_spec = ClipSpec(1, rows, columns, info.frames_per_second)
    half_frame_seconds = 0.5 / info.frames_per_second
    frames = []
    for wanted in seconds:
        start = max(0.0, min(wanted, info.duration_seconds) - half_frame_seconds)
        try:
            clip = read_clip(path, clip_spec, start_seconds=start, end_seconds=start + 2 * half_frame_seconds)
            frames.append(clip.frames[0])
        except VideoError as error:
            logging.getLogger(__name__).warning("no picture: %s", error)
            frames.append(np.full(clip_spec.shape[1:], 128, np.uint8))
    return frames


def _surest_seconds(timeline: Timeline, vocabulary: str, segment: Segment) -> float:
    """The middle of the times at which the segment's label is as probable as it gets."""
    scores = timeline.scores_of(vocabulary, segment.label)
    inside = (timeline.times >= segment.start_seconds) & (timeline.times <= segment.end_seconds)
    if not inside.any():  # a video so short that it ends before its one time
        return (segment.start_seconds + segment.end_seconds) / 2
    surest = np.flatnonzero(inside & (scores >= scores[inside].max() - _SCORES_ALIKE))
    return float(timeline.times[surest[len(surest) // 2]])

"""A real file and a timeline of it whose every number is known."""

from __future__ import annotations

import numpy as np

from sora_keras.apps.timeline import Timeline
from sora_keras.evaluation.segments import Segment
from sora_keras.video import write_video

RATE = 5.0
SECONDS = 20


def counted_video(path, height=48, width=64):
    """A gray level for each second of time: 10 times its number."""
    levels = np.repeat(10 * np.arange(SECONDS), 25).astype(np.uint8)
    write_video(path, (np.full((height, width, 3), level, np.uint8) for level in levels))
    return path


def timeline_with(path, segments, vocabularies=None, error=None):
    """A timeline whose labels are 0.1 probable outside their segments, and most probable in the middle of each."""
    vocabularies = vocabularies or {"event": ["walk", "fall"]}
    times = (np.arange(round(SECONDS * RATE)) + 0.5) / RATE
    scores = {name: np.full((len(times), len(labels)), 0.1, np.float32) for name, labels in vocabularies.items()}
    for name, of_name in segments.items():
        for segment in of_name:
            middle, half = (
                (segment.start_seconds + segment.end_seconds) / 2,
                segment.end_seconds - segment.start_seconds,
            )
            inside = (times >= segment.start_seconds) & (times < segment.end_seconds)
            column = scores[name][:, vocabularies[name].index(segment.label)]
            column[inside] = segment.score - 0.2 * np.abs(times[inside] - middle) / half
    return Timeline(
        str(path), float(SECONDS), times, scores, {name: of.max(axis=0) for name, of in scores.items()}, vocabularies,
        {name: [0.5] * len(labels) for name, labels in vocabularies.items()},
        {name: segments.get(name, []) for name in vocabularies}, error,
    )  # fmt: skip


SEGMENTS = {
    "event": [Segment("walk", 1.0, 9.0, 0.9), Segment("fall", 11.0, 12.0, 0.7), Segment("walk", 15.0, 18.0, 0.8)]
}

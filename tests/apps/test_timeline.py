from __future__ import annotations

import types

import numpy as np

from sora_keras.apps.frame_scores import FrameScores
from sora_keras.apps.timeline import timeline_of


def scores_at(columns, rate=2.0, duration_seconds=None, error=None):
    """Scores of the vocabulary `event`, a column for each label."""
    frames = np.array(columns, np.float32).T
    times = (np.arange(len(frames)) + 0.5) / rate
    duration_seconds = len(frames) / rate if duration_seconds is None else duration_seconds
    highest = {"event": frames.max(axis=0)}
    return FrameScores(times, 1 / rate, {"event": frames}, highest, highest, duration_seconds, error)


def model_of(thresholds, **others):
    labels = ["walk", "fall"][: len(thresholds)]
    return types.SimpleNamespace(
        vocabularies={"event": labels} | {name: labels for name in others}, thresholds={"event": thresholds} | others
    )


def spans(timeline):
    return [
        (segment.label, segment.start_seconds, segment.end_seconds, round(segment.score, 6))
        for segment in timeline.segments["event"]
    ]


def test_segments_by_each_labels_threshold_and_hysteresis():
    scores = scores_at([[0.1, 0.9, 0.9, 0.35, 0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.25, 0.1, 0.75, 0.85, 0.5]])
    timeline = timeline_of("a.mp4", scores, model_of([0.5, 0.8]))
    # "walk" begins at 0.5 and ends below 0.3; "fall" begins at 0.8 and ends below 0.48.
    assert spans(timeline) == [("walk", 0.5, 2.0, 0.9), ("fall", 2.5, 4.0, 0.85)]
    assert timeline.path == "a.mp4"
    assert timeline.thresholds == {"event": [0.5, 0.8]}
    np.testing.assert_array_equal(timeline.scores_of("event", "fall"), scores.frame_scores["event"][:, 1])


def test_segments_reach_to_both_ends_of_the_video_and_not_beyond():
    timeline = timeline_of("a.mp4", scores_at([[0.9, 0.1, 0.1, 0.9]], duration_seconds=1.9), model_of([0.5]), 0.0)
    assert spans(timeline) == [("walk", 0.0, 0.5, 0.9), ("walk", 1.5, 1.9, 0.9)]


def test_short_segments_are_left_out_unless_the_video_is_as_short():
    scores = scores_at([[0.1, 0.9, 0.1, 0.9, 0.9, 0.9, 0.1]])
    assert spans(timeline_of("a.mp4", scores, model_of([0.5]), 0.75)) == [("walk", 1.5, 3.0, 0.9)]
    assert len(spans(timeline_of("a.mp4", scores, model_of([0.5]), 0.25))) == 2
    three_frames = scores_at([[0.9]], rate=2.0, duration_seconds=0.12)
    assert spans(timeline_of("a.mp4", three_frames, model_of([0.5]), 3.0)) == [("walk", 0.0, 0.12, 0.9)]


def test_no_segment_reaches_into_what_could_not_be_read():
    scores = scores_at([[0.1, 0.9, 0.9]], duration_seconds=60.0, error="it is cut off")
    timeline = timeline_of("a.mp4", scores, model_of([0.5]))
    assert spans(timeline) == [("walk", 0.5, 1.5, 0.9)]
    assert timeline.duration_seconds == 60
    assert timeline.error == "it is cut off"


def test_all_segments_are_in_order_of_time_whatever_their_vocabulary():
    scores = scores_at([[0.1, 0.1, 0.9, 0.9], [0.9, 0.9, 0.1, 0.1]])
    scores.frame_scores["person"] = 1 - scores.frame_scores["event"]
    scores.clip_scores["person"] = scores.frame_scores["person"].max(axis=0)
    timeline = timeline_of("a.mp4", scores, model_of([0.5, 0.5], person=[0.5, 0.5]))
    named = [(name, segment.label, segment.start_seconds) for name, segment in timeline.all_segments]
    assert named == [("event", "fall", 0.0), ("person", "walk", 0.0), ("event", "walk", 1.0), ("person", "fall", 1.0)]

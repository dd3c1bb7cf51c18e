from __future__ import annotations

import numpy as np
import pytest

from sora_keras.data import Event
from sora_keras.evaluation.proposals import propose_segments
from sora_keras.evaluation.segments import segments_of_labels
from sora_keras.evaluation.temporal_detection import detection_metrics
from sora_keras.evaluation.temporal_iou import temporal_ious


def test_contrast_by_hand():
    scores = np.array([0.0, 0.0, 0.1, 0.8, 0.9, 0.8, 0.1, 0.0])[:, None]
    best, *others = propose_segments(scores, np.arange(8.0), ["fall"], thresholds=(0.05, 0.5, 0.85), most_overlap=0)
    # Frames 3 to 5, of which frames 2 and 6 are the borders.
    assert (best.start_seconds, best.end_seconds) == (2.5, 5.5)
    assert best.score == pytest.approx(2.5 / 3 - 0.1)
    assert others == []
    both = propose_segments(scores, np.arange(8.0), ["fall"], thresholds=(0.05, 0.5, 0.85), most_overlap=0.6)
    assert [(segment.start_seconds, segment.end_seconds) for segment in both] == [(2.5, 5.5), (1.5, 6.5)]
    assert propose_segments(scores, np.arange(8.0), ["fall"], (0.05, 0.5, 0.85), most_overlap=0.55) == [best]
    assert both[1].score == pytest.approx(2.7 / 5 - 0)


def test_where_the_video_ends_there_is_nothing_to_subtract():
    [segment] = propose_segments(np.array([[0.75], [0.25]]), np.arange(2.0), ["fall"], thresholds=(0.7,))
    assert segment.score == pytest.approx(0.75 - 0.25)
    [segment] = propose_segments(np.full((4, 1), 0.75), np.arange(4.0), ["fall"])
    assert segment.score == pytest.approx(0.75)


def test_kept_guesses_of_a_label_overlap_no_more_than_allowed():
    scores = np.random.default_rng(0).random((80, 2))
    scores = np.stack([np.convolve(column, np.ones(5) / 5, "same") for column in scores.T], axis=1)
    proposals = propose_segments(scores, np.arange(80) / 8, ["walk", "fall"], most_overlap=0.4)
    assert [segment.score for segment in proposals] == sorted((segment.score for segment in proposals), reverse=True)
    for label in ("walk", "fall"):
        own = [segment for segment in proposals if segment.label == label]
        assert len(own) > 3
        overlaps = temporal_ious(own, own)
        assert overlaps[~np.eye(len(own), dtype=bool)].max() <= 0.4


def test_guesses_at_several_thresholds_rank_better_than_segments_at_one():
    generator = np.random.default_rng(7)
    events, guessed, cut = [], [], []
    for _ in range(12):
        times, scores = np.arange(240) / 8, np.full(240, 0.05)
        starts = generator.uniform(1, 24, 2)
        events.append([Event("fall", float(start), float(start + 3)) for start in starts])
        for event in events[-1]:
            during = (event.start_seconds <= times) & (times < event.end_seconds)
            # Some events are seen faintly, and hide below any one threshold.
            scores[during] = generator.uniform(0.15, 0.9)
        scores = np.clip(scores + generator.normal(0, 0.02, 240), 0, 1)[:, None]
        guessed.append(propose_segments(scores, times, ["fall"]))
        cut.append(segments_of_labels(scores, times, ["fall"]))
    of_guessed, of_cut = (detection_metrics(events, found)["mean_average_precision"][0.5] for found in (guessed, cut))
    assert of_guessed > of_cut + 0.1


def test_bad_input():
    with pytest.raises(ValueError, match=r"most_overlap must lie in 0\.\.1, received 1\.5"):
        propose_segments(np.zeros((4, 1)), np.arange(4.0), ["fall"], most_overlap=1.5)
    with pytest.raises(ValueError, match=r"shape \(N, 2\) for 2 labels, received \(4, 3\)"):
        propose_segments(np.zeros((4, 3)), np.arange(4.0), ["fall", "walk"])
    with pytest.raises(ValueError, match="received inf at frame 2"):
        propose_segments(np.array([[0], [0], [np.inf], [0]]), np.arange(4.0), ["fall"])

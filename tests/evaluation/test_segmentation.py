from __future__ import annotations

import difflib
import json

import numpy as np
import pytest

from sora_keras.evaluation.segmentation import edit_score, segmentation_metrics


def frames(*runs):
    """`frames((0, 3), (1, 2))` is 0 0 0 1 1."""
    return np.concatenate([np.full(number, label) for label, number in runs])


def judged(true, predicted, **arguments):
    metrics = segmentation_metrics([true], [predicted], **arguments)
    return {name: metrics[name] for name in ("accuracy", "edit_score", "f1_at_10", "f1_at_25", "f1_at_50")}


def test_by_hand():
    true = frames((0, 10), (1, 10), (2, 10), (0, 10))
    predicted = frames((0, 4), (1, 12), (2, 2), (1, 2), (2, 10), (0, 10))
    # IoU with the true segment, of the predicted ones in order: 4/10, 6/16, none, 2/10 (found already), 10/10, 10/10.
    assert judged(true, predicted) == pytest.approx(
        {
            "accuracy": (4 + 6 + 0 + 2 + 10 + 10) / 40,
            "edit_score": 1 - 2 / 6,
            "f1_at_10": 2 * 4 / (4 + 6),
            "f1_at_25": 2 * 4 / (4 + 6),
            "f1_at_50": 2 * 2 / (4 + 6),
        }
    )


def test_an_overlap_just_reached_counts():
    scores = judged(frames((0, 20)), frames((0, 10), (1, 5), (0, 5)))
    assert scores["f1_at_50"] == pytest.approx(2 * 1 / (1 + 3))
    assert judged(frames((0, 20)), frames((0, 9), (1, 11)))["f1_at_50"] == 0


def test_right_and_wrong():
    true = frames((3, 4), (5, 4))
    assert set(judged(true, true).values()) == {1.0}
    assert set(judged(true, frames((5, 4), (3, 4))).values()) == {0.0}


def test_over_segmentation_hurts_all_but_the_accuracy():
    true, predicted = frames((0, 50), (1, 50)), frames((0, 50), (1, 50))
    predicted[10:50:10] = 1
    scores = judged(true, predicted)
    assert scores["accuracy"] == 0.96
    # 10 segments where 2 are; all but one of the first label too short.
    assert scores["edit_score"] == pytest.approx(2 / 10)
    assert scores["f1_at_50"] == pytest.approx(2 * 1 / 12)


def test_the_second_segment_of_an_event_is_wrong():
    true, predicted = frames((0, 20), (1, 5)), frames((0, 9), (1, 2), (0, 9), (1, 5))
    scores = judged(true, predicted)
    assert scores["f1_at_25"] == pytest.approx(2 * 2 / (2 + 4))


def test_background_counts_for_accuracy_only():
    true, predicted = frames((9, 4), (1, 4), (9, 2)), frames((9, 3), (1, 5), (9, 1), (2, 1))
    assert judged(true, predicted, background=9) == pytest.approx(
        {"accuracy": 0.8, "edit_score": 0.5, "f1_at_10": 2 / 3, "f1_at_25": 2 / 3, "f1_at_50": 2 / 3}
    )
    nothing = judged(frames((9, 4)), frames((9, 4)), background=9)
    assert nothing == {"accuracy": 1.0, "edit_score": 1.0, "f1_at_10": None, "f1_at_25": None, "f1_at_50": None}


def test_counts_are_added_up_over_videos_and_edit_scores_averaged():
    true = [frames((0, 4)), frames((0, 4), (1, 4), (0, 4))]
    predicted = [frames((1, 4)), frames((0, 4), (1, 4), (0, 4))]
    metrics = segmentation_metrics(true, predicted)
    assert (metrics["accuracy"], metrics["edit_score"]) == (12 / 16, 0.5)
    assert metrics["f1_at_50"] == pytest.approx(2 * 3 / (4 + 4))
    assert (metrics["num_videos"], metrics["num_frames"], metrics["num_groups"]) == (2, 16, 2)
    low, high = metrics["accuracy_interval"]
    assert (low, high) == (0, 1)


def test_groups_are_resampled_whole():
    true = [frames((0, 4))] * 20
    predicted = [frames((video % 2, 4)) for video in range(20)]
    of_videos, of_two = (
        segmentation_metrics(true, predicted, groups=groups)["accuracy_interval"]
        for groups in (None, [video % 2 for video in range(20)])
    )
    assert of_two == [0, 1]
    assert 0.2 < of_videos[0] < of_videos[1] < 0.8


def test_unknown_frames_are_cut_out():
    true, predicted = frames((0, 4), (-1, 6), (1, 4)), frames((0, 4), (2, 6), (1, 4))
    assert set(judged(true, predicted).values()) == {1.0}
    metrics = segmentation_metrics([true, np.full(5, -1)], [predicted, np.zeros(5, int)])
    assert (metrics["num_videos"], metrics["num_frames"]) == (1, 8)


def test_edit_score_agrees_with_a_recursive_distance():
    def distance(one, other):
        if not one or not other:
            return len(one) + len(other)
        changed = distance(one[1:], other[1:]) + (one[0] != other[0])
        return min(distance(one[1:], other) + 1, distance(one, other[1:]) + 1, changed)

    generator = np.random.default_rng(0)
    for _ in range(30):
        one, other = (generator.integers(0, 3, generator.integers(0, 6)).tolist() for _ in range(2))
        if one or other:
            assert edit_score(one, other) == pytest.approx(1 - distance(one, other) / max(len(one), len(other)))
    assert edit_score([], []) == 1


def test_edit_score_of_long_orders_is_bounded_by_common_subsequences():
    generator = np.random.default_rng(1)
    one, other = generator.integers(0, 4, 60).tolist(), generator.integers(0, 4, 50).tolist()
    common = sum(
        block.size for block in difflib.SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    )
    assert edit_score(one, other) >= 1 - (60 + 50 - 2 * common) / 60


def test_the_result_fits_in_json():
    metrics = segmentation_metrics([frames((0, 4))], [frames((0, 3), (1, 1))])
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([np.zeros(3, int)], [np.zeros(3, int)] * 4, "received 1 and 4 videos"),
        ([np.zeros(3, int), np.zeros(5, int)], [np.zeros(3, int), np.zeros(6, int)], r"\(5,\) and \(6,\) in video 1"),
        ([np.zeros((3, 2), int)], [np.zeros((3, 2), int)], r"\(3, 2\) and \(3, 2\) in video 0"),
        ([np.zeros(3, np.float32)], [np.zeros(3, int)], "labels must be whole numbers, received float32 in video 0"),
        ([np.zeros(3, int)], [np.zeros(3, np.float64)], "predictions .* received float64 in video 0"),
        ([np.array([0, -4])], [np.array([0, 1])], "labels must be at least -1, received -4 in video 0"),
        ([np.array([0, 1])], [np.array([0, -1])], "predictions must be at least 0, received -1 in video 0"),
        ([np.full(3, -1)] * 2, [np.zeros(3, int)] * 2, "received none in 2 videos"),
        ([], [], "received none in 0 videos"),
        ([np.zeros(0)], [np.zeros(0)], "received none in 1 videos"),
    ],
)
def test_bad_input(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        segmentation_metrics(labels, predictions)


def test_bad_groups():
    with pytest.raises(ValueError, match="each of the 1 videos, in their order, received 2"):
        segmentation_metrics([np.zeros(3, int)], [np.zeros(3, int)], groups=["a", "b"])

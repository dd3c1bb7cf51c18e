from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from sora_keras.evaluation.bootstrap import resample_groups
from sora_keras.evaluation.frame_level import frame_metrics

NAMES = ["sit", "walk", "fall"]


def sample(number=300, seed=0, num_groups=6):
    generator = np.random.default_rng(seed)
    labels = (generator.random((number, 3)) < (0.5, 0.3, 0.1)).astype(int)
    scores = np.clip(0.3 + 0.4 * labels + generator.normal(0, 0.25, labels.shape), 0, 1).round(2)
    return labels, scores, generator.integers(0, num_groups, number)


def test_several_labels_a_frame_agree_with_scikit_learn():
    labels, scores, groups = sample()
    metrics = frame_metrics(labels, scores, NAMES, groups, thresholds=[0.5, 0.6, 0.7])
    predicted = scores >= (0.5, 0.6, 0.7)
    assert metrics["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert metrics["mean_average_precision"] == pytest.approx(average_precision_score(labels, scores, average="macro"))
    assert metrics["mean_auc"] == pytest.approx(roc_auc_score(labels, scores, average="macro"))
    for column, row in enumerate(metrics["per_label"]):
        assert row["name"] == NAMES[column]
        assert row["f1"] == pytest.approx(f1_score(labels[:, column], predicted[:, column]))
        assert row["prevalence"] == pytest.approx(labels[:, column].mean())


def test_one_label_a_frame_agrees_with_scikit_learn():
    generator = np.random.default_rng(1)
    classes = generator.integers(0, 3, 200)
    scores = generator.dirichlet([1, 1, 1], 200) + 0.3 * np.eye(3)[classes]
    metrics = frame_metrics(np.eye(3)[classes], scores, NAMES, generator.integers(0, 5, 200), 0.0, exclusive=True)
    assert metrics["macro_f1"] == pytest.approx(f1_score(classes, scores.argmax(axis=1), average="macro"))
    most = np.bincount(classes).argmax()
    assert metrics["trivial"]["macro_f1"] == pytest.approx(
        f1_score(classes, np.full(200, most), average="macro", zero_division=0)
    )


def test_exclusive_labels_still_need_their_threshold():
    labels, scores = np.array([[1, 0], [0, 1], [0, 0]]), np.array([[0.9, 0.6], [0.3, 0.4], [0.55, 0.52]])
    metrics = frame_metrics(labels, scores, ["sit", "walk"], ["a", "b", "c"], exclusive=True)
    # Frame 0 is sit, rightly; frame 1 nothing; frame 2 sit, wrongly; walk is never predicted.
    assert [row["f1"] for row in metrics["per_label"]] == [pytest.approx(2 / 3), 0]
    assert metrics["per_label"][1]["precision"] is None
    assert frame_metrics(labels, scores, ["sit", "walk"], ["a", "b", "c"])["per_label"][1]["f1"] == 0
    of_all = frame_metrics(labels, scores, ["sit", "walk"], ["a", "b", "c"], thresholds=0.0, exclusive=True)
    assert [row["f1"] for row in of_all["per_label"]] == [pytest.approx(2 / 3), 1]


def test_unknown_labels_are_left_out():
    labels, scores, groups = sample()
    half = labels.copy()
    half[::2, 1] = -1
    metrics = frame_metrics(half, scores, NAMES, groups)
    row = metrics["per_label"][1]
    assert row["num_frames"] == 150
    assert row["average_precision"] == pytest.approx(average_precision_score(labels[1::2, 1], scores[1::2, 1]))
    assert row["f1"] == pytest.approx(f1_score(labels[1::2, 1], scores[1::2, 1] >= 0.5))
    scores[::2, 1] = 0.77
    assert frame_metrics(half, scores, NAMES, groups)["per_label"][1] == row


def test_labels_without_positives_or_without_anything_known():
    labels, scores, groups = sample()
    labels[:, 1], labels[:, 2] = 0, -1
    scores[:, 1] = 0.2
    metrics = frame_metrics(labels, scores, NAMES, groups)
    sit, walk, fall = metrics["per_label"]
    assert (walk["average_precision"], walk["auc"], walk["f1"], walk["prevalence"]) == (None, None, None, 0)
    assert (fall["num_frames"], fall["prevalence"], fall["f1_interval"]) == (0, None, [0.0, 1.0])
    assert metrics["macro_f1"] == sit["f1"]
    assert metrics["mean_average_precision"] == sit["average_precision"]
    # A label that does not occur and is predicted all the same counts as 0.
    scores[5, 1] = 0.9
    assert frame_metrics(labels, scores, NAMES, groups)["macro_f1"] == sit["f1"] / 2


def test_nothing_but_negatives():
    metrics = frame_metrics(np.zeros((4, 1)), np.zeros((4, 1)), ["fall"], ["a", "a", "b", "b"])
    assert metrics["macro_f1"] is None
    assert metrics["mean_auc_interval"] == [0.0, 1.0]
    assert metrics["trivial"] == {"macro_f1": None, "mean_average_precision": None, "mean_auc": None}


def test_trivial_scores_by_hand():
    labels = np.array([[1, 1], [1, 0], [1, 0], [0, 0]])
    scores = np.random.default_rng(0).random((4, 2))
    trivial = frame_metrics(labels, scores, ["sit", "walk"], list("aabb"))["trivial"]
    # Always answering yes: F1 is 6 / 7 for sit and 2 / 5 for walk.
    assert trivial == pytest.approx({"macro_f1": (6 / 7 + 2 / 5) / 2, "mean_average_precision": 0.5, "mean_auc": 0.5})
    trivial = frame_metrics(labels, scores, ["sit", "walk"], list("aabb"), exclusive=True)["trivial"]
    assert trivial["macro_f1"] == pytest.approx(3 / 7)


def test_intervals_are_those_of_resampled_groups():
    labels, scores, groups = sample(num_groups=8)
    metrics = frame_metrics(labels, scores, NAMES, groups, seed=9)
    draws = resample_groups(np.eye(8), seed=9)[:120].astype(int)
    frames_of_resamples = [np.repeat(np.arange(300), draw[groups]) for draw in draws]
    for score, function, values in (
        ("mean_average_precision", average_precision_score, scores),
        ("mean_auc", roc_auc_score, scores),
        ("macro_f1", f1_score, scores >= 0.5),
    ):
        resampled = [function(labels[frames], values[frames], average="macro") for frames in frames_of_resamples]
        low, high = metrics[f"{score}_interval"]
        assert low < metrics[score] < high
        assert [low, high] == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=0.03)


def test_frames_of_few_videos_say_less_than_many_independent_ones():
    labels, scores, _ = sample(number=40, num_groups=1)
    labels, scores = np.repeat(labels, 25, axis=0), np.repeat(scores, 25, axis=0)

    def width(groups):
        low, high = frame_metrics(labels, scores, NAMES, groups)["macro_f1_interval"]
        return high - low

    assert width(np.arange(1000) // 25) > 3 * width(np.arange(1000))
    assert width(np.zeros(1000)) > 0.5


def test_the_result_fits_in_json():
    labels, scores, groups = sample(50)
    metrics = frame_metrics(labels, scores, NAMES, groups)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_names": ["a", "b"]}, "must hold 3 names, one a column, received 2"),
        ({"groups": ["a"] * 7}, "each of the 300 frames, in their order, received 7"),
        ({"thresholds": [0.1, 0.2]}, "one number or 3, one a label, received 2"),
        ({"scores": np.zeros((300, 2))}, r"received \(300, 3\) and \(300, 2\)"),
        ({"scores": np.full((300, 3), np.nan)}, "received nan in row 0, column 0"),
    ],
)
def test_bad_input(changes, message):
    labels, scores, groups = sample()
    arguments = {"labels": labels, "scores": scores, "label_names": NAMES, "groups": groups} | changes
    with pytest.raises(ValueError, match=message):
        frame_metrics(**arguments)


def test_guessing_by_always_saying_everything_scores_as_such():
    labels = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    metrics = frame_metrics(labels, np.ones((4, 2)), ["walk", "fall"], groups=["a", "a", "b", "b"])
    assert metrics["macro_f1"] == pytest.approx(1 / 3)
    assert metrics["trivial"]["macro_f1"] == pytest.approx(1 / 3)

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_recall_fscore_support, top_k_accuracy_score

from sora_keras.evaluation import classification_metrics, wilson_interval

NAMES = ["rest", "wave", "jump"]


def predictions_as_probabilities(predictions, num_classes):
    return np.eye(num_classes)[predictions]


def random_case(num_clips, num_classes, seed=0, skill=2.0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_classes, num_clips)
    scores = np.exp(generator.normal(size=(num_clips, num_classes)))
    scores[np.arange(num_clips), labels] *= np.exp(skill)
    return labels, scores / scores.sum(axis=1, keepdims=True), [f"class {index}" for index in range(num_classes)]


def test_a_case_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    metrics = classification_metrics(labels, predictions_as_probabilities([0, 0, 1, 1, 1, 0], 3), NAMES, top_k=1)
    assert (metrics["num_clips"], metrics["num_groups"], metrics["top_k"]) == (6, None, 1)
    assert metrics["accuracy"] == metrics["top_k_accuracy"] == pytest.approx(4 / 6)
    assert metrics["chance"] == pytest.approx(3 / 6)
    assert metrics["macro_f1"] == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)
    assert metrics["confusion_matrix"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    rest, wave, jump = metrics["per_class"]
    assert [row["support"] for row in metrics["per_class"]] == [3, 2, 1]
    assert (rest["precision"], rest["recall"], rest["f1"]) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (wave["name"], wave["precision"], wave["recall"]) == ("wave", pytest.approx(2 / 3), 1.0)
    assert (jump["precision"], jump["recall"], jump["f1"]) == (None, 0.0, 0.0)
    assert jump["precision_interval"] == [0.0, 1.0]


def test_independent_clips_have_wilson_intervals():
    labels, probabilities, names = random_case(200, 4)
    metrics = classification_metrics(labels, probabilities, names, top_k=2)
    matrix = np.array(metrics["confusion_matrix"])
    for score, successes in (
        ("accuracy", np.trace(matrix)),
        ("top_k_accuracy", round(200 * metrics["top_k_accuracy"])),
    ):
        expected = binomtest(int(successes), 200).proportion_ci(0.95, method="wilson")
        assert metrics[f"{score}_interval"] == pytest.approx(list(expected))
    for index, row in enumerate(metrics["per_class"]):
        right, true, predicted = int(matrix[index, index]), int(matrix[index].sum()), int(matrix[:, index].sum())
        assert row["recall_interval"] == pytest.approx(list(wilson_interval(right, true)))
        assert row["precision_interval"] == pytest.approx(list(wilson_interval(right, predicted)))
        assert row["f1_interval"][0] < row["f1"] < row["f1_interval"][1]
    assert metrics["interval_methods"]["accuracy"] == "Wilson score"
    assert metrics["interval_methods"]["macro_f1"] == "percentile bootstrap over clips, 1000 resamples"


@pytest.mark.parametrize("num_classes", [3, 7, 101])
def test_scores_agree_with_scikit_learn(num_classes):
    labels, probabilities, names = random_case(300, num_classes, seed=num_classes)
    metrics = classification_metrics(labels, probabilities, names, top_k=2)
    predictions = probabilities.argmax(axis=1)
    assert metrics["top_k_accuracy"] == top_k_accuracy_score(labels, probabilities, k=2, labels=range(num_classes))
    assert metrics["macro_f1"] == pytest.approx(f1_score(labels, predictions, average="macro"))
    expected = precision_recall_fscore_support(labels, predictions, labels=range(num_classes), zero_division=0)
    for values, score in zip(expected, ("precision", "recall", "f1", "support"), strict=True):
        assert [row[score] or 0 for row in metrics["per_class"]] == pytest.approx(list(values))


def test_top_k_is_clipped_and_all_classes_are_certain():
    metrics = classification_metrics([0, 1, 0], predictions_as_probabilities([1, 1, 0], 2), NAMES[:2])
    assert (metrics["top_k"], metrics["top_k_accuracy"], metrics["top_k_accuracy_interval"]) == (2, 1.0, [1.0, 1.0])


def test_ties_count_for_the_first_class_in_accuracy_and_top_k_alike():
    metrics = classification_metrics([0, 1, 2], np.full((3, 3), 1 / 3), NAMES, top_k=1)
    assert metrics["accuracy"] == metrics["top_k_accuracy"] == pytest.approx(1 / 3)


def test_classes_that_never_occur_are_undefined_and_leave_macro_f1_alone():
    labels, predictions = np.array([0, 1, 1]), [0, 1, 0]
    few = classification_metrics(labels, predictions_as_probabilities(predictions, 2), NAMES[:2])
    many = classification_metrics(labels, predictions_as_probabilities(predictions, 9), list("abcdefghi"))
    assert few["macro_f1"] == many["macro_f1"]
    assert few["macro_f1_interval"] == many["macro_f1_interval"]
    absent = many["per_class"][5]
    assert (absent["support"], absent["precision"], absent["recall"], absent["f1"]) == (0, None, None, None)
    assert absent["f1_interval"] == absent["recall_interval"] == [0.0, 1.0]


def test_groups_widen_intervals_where_clips_repeat_each_other():
    labels, probabilities, names = random_case(20, 3)
    repeated = np.repeat(labels, 10), np.repeat(probabilities, 10, axis=0), names
    alone = classification_metrics(*repeated)
    grouped = classification_metrics(*repeated, groups=np.repeat([f"video {index}" for index in range(20)], 10))
    truth = classification_metrics(labels, probabilities, names)

    def width(metrics, score):
        return np.diff(metrics[f"{score}_interval"]).item()

    for score in ("accuracy", "macro_f1"):
        assert width(grouped, score) > 2 * width(alone, score)
        assert width(grouped, score) == pytest.approx(width(truth, score), abs=0.1)
    assert grouped["num_groups"] == 20
    assert grouped["interval_methods"]["accuracy"] == "percentile bootstrap over groups, 1000 resamples"


def test_group_bootstrap_agrees_with_resampling_clips_by_brute_force():
    labels, probabilities, names = random_case(40, 3, seed=4, skill=1.0)
    groups = np.random.default_rng(8).integers(0, 9, 40)
    metrics = classification_metrics(labels, probabilities, names, groups=groups)
    generator, predictions = np.random.default_rng(9), probabilities.argmax(axis=1)
    accuracies, macro_f1s = [], []
    for _ in range(500):
        clips = np.concatenate([np.flatnonzero(groups == group) for group in generator.integers(0, 9, 9)])
        accuracies.append(np.mean(labels[clips] == predictions[clips]))
        macro_f1s.append(f1_score(labels[clips], predictions[clips], average="macro"))
    assert metrics["accuracy_interval"] == pytest.approx(np.quantile(accuracies, [0.025, 0.975]), abs=0.05)
    assert metrics["macro_f1_interval"] == pytest.approx(np.quantile(macro_f1s, [0.025, 0.975]), abs=0.05)


def test_everything_right_and_a_single_group_claim_no_certainty():
    labels = np.array([0, 1] * 6)
    right = predictions_as_probabilities(labels, 2)
    by_three = classification_metrics(labels, right, NAMES[:2], groups=[0, 1, 2] * 4)
    assert by_three["accuracy_interval"] == list(wilson_interval(3, 3))
    assert by_three["per_class"][0]["recall_interval"] == list(wilson_interval(3, 3))
    only_one = classification_metrics(labels, right, NAMES[:2], groups=["home"] * 12)
    assert only_one["accuracy_interval"] == list(wilson_interval(1, 1))
    assert classification_metrics(labels, right, NAMES[:2])["macro_f1_interval"] == list(wilson_interval(12, 12))


def test_the_same_seed_repeats_and_json_holds_everything():
    labels, probabilities, names = random_case(50, 3)
    metrics = classification_metrics(labels, probabilities, names, groups=list(range(25)) * 2, seed=3)
    assert metrics == classification_metrics(labels, probabilities, names, groups=list(range(25)) * 2, seed=3)
    assert metrics != classification_metrics(labels, probabilities, names, groups=list(range(25)) * 2, seed=4)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_lower_precision_and_small_integers_are_taken(dtype):
    labels, probabilities, names = random_case(300, 101)
    metrics = classification_metrics(labels.astype(np.uint8), probabilities.astype(dtype), names)
    assert metrics["accuracy"] == pytest.approx(classification_metrics(labels, probabilities, names)["accuracy"])


GOOD = predictions_as_probabilities([0, 1, 2, 0, 1], 3)
LABELS = np.array([0, 1, 2, 0, 1])


def spoiled(row, values):
    probabilities = GOOD.copy()
    probabilities[row] = values
    return probabilities


@pytest.mark.parametrize(
    ("labels", "probabilities", "options", "message"),
    [
        (LABELS, GOOD[:, :2], {}, r"shape \(5, 3\), .* received shape \(5, 2\)"),
        (LABELS, GOOD[:4], {}, r"shape \(5, 3\), .* received shape \(4, 3\)"),
        (GOOD, GOOD, {}, r"received float64 of shape \(5, 3\)\. Of one-hot labels, take labels.argmax"),
        (np.array([0, 1, 7, 0, 1]), GOOD, {}, r"in 0\.\.2 for 3 class names, received 7 for clip 2"),
        (np.array([0, -4, 1, 0, 1]), GOOD, {}, r"received -4 for clip 1"),
        (LABELS[:0], GOOD[:0], {}, r"received 0 clips"),
        (LABELS, spoiled(3, np.nan), {}, r"NaN or infinity for 1 of 5 clips, first for clip 3"),
        (LABELS, spoiled(4, [2.5, -1.25, 0.5]), {}, r"value of -1\.25 and a sum of 1\.75 for clip 4. Apply softmax"),
        (LABELS, spoiled(1, [0.25, 0.5, 0.5]), {}, r"value of 0\.25 and a sum of 1\.25 for clip 1"),
        (LABELS, GOOD, {"top_k": -6}, r"at least 1, received -6"),
        (LABELS, GOOD, {"groups": ["a", "b"]}, r"each of the 5 clips, in their order, received 2"),
    ],
)
def test_refusals_say_what_was_received(labels, probabilities, options, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, probabilities, NAMES, **options)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 names, received 1"):
        classification_metrics(np.zeros(4, dtype=int), np.ones((4, 1)), ["all"])

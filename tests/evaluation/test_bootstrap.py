from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from sora_keras.evaluation import bootstrap
from sora_keras.evaluation.bootstrap import group_counts, resample_groups, scores_of_counts

LABELS = np.array([0, 0, 1, 1, 2, 2, 0, 1])
PREDICTIONS = np.array([0, 1, 1, 1, 0, 2, 0, 0])
HITS = np.array([1, 1, 1, 1, 0, 1, 1, 0], dtype=bool)
GROUPS = np.array([0, 0, 0, 1, 1, 2, 2, 2])


def test_group_counts_by_hand():
    counts = group_counts(LABELS, PREDICTIONS, HITS, GROUPS, num_classes=3)
    #        right      true       predicted  hits
    assert counts.tolist() == [
        [1, 1, 0, 2, 1, 0, 1, 2, 0, 3],
        [0, 1, 0, 0, 1, 1, 1, 1, 0, 1],
        [1, 0, 1, 1, 1, 1, 2, 0, 1, 2],
    ]


def test_scores_of_counts_agree_with_scikit_learn():
    one_group = np.zeros(len(LABELS), dtype=int)
    scores = scores_of_counts(group_counts(LABELS, PREDICTIONS, HITS, one_group, num_classes=4))
    assert scores["accuracy"] == pytest.approx(accuracy_score(LABELS, PREDICTIONS))
    assert scores["top_k_accuracy"] == pytest.approx(6 / 8)
    assert scores["macro_f1"] == pytest.approx(f1_score(LABELS, PREDICTIONS, average="macro"))
    for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        assert scores[name][0, :3] == pytest.approx(score(LABELS, PREDICTIONS, average=None))
        assert np.isnan(scores[name][0, 3])


def test_resampled_scores_are_those_of_the_resampled_clips():
    counts = group_counts(LABELS, PREDICTIONS, HITS, GROUPS, num_classes=3)
    scores = scores_of_counts(resample_groups(counts, seed=5))
    draws = np.random.default_rng(5).multinomial(3, np.full(3, 1 / 3), size=bootstrap.NUM_RESAMPLES)
    for index in range(40):
        clips = np.concatenate([np.flatnonzero(g == GROUPS) for g in range(3) for _ in range(draws[index, g])])
        labels, predictions = LABELS[clips], PREDICTIONS[clips]
        assert scores["accuracy"][index] == pytest.approx(accuracy_score(labels, predictions))
        assert scores["macro_f1"][index] == pytest.approx(f1_score(labels, predictions, average="macro"))


def test_resamples_are_as_spread_as_drawing_one_by_one():
    counts = group_counts(LABELS, PREDICTIONS, HITS, GROUPS, num_classes=3)
    accuracies = scores_of_counts(resample_groups(counts, seed=1))["accuracy"]
    generator = np.random.default_rng(2)
    one_by_one = []
    for _ in range(1500):
        clips = np.concatenate([np.flatnonzero(group == GROUPS) for group in generator.integers(0, 3, size=3)])
        one_by_one.append(np.mean(LABELS[clips] == PREDICTIONS[clips]))
    assert np.mean(accuracies) == pytest.approx(np.mean(one_by_one), abs=0.03)
    assert np.std(accuracies) == pytest.approx(np.std(one_by_one), abs=0.03)


def test_many_groups_are_drawn_in_chunks():
    counts = np.ones((9001, 1))
    resampled = resample_groups(counts, seed=0)
    assert resampled.shape == (bootstrap.NUM_RESAMPLES, 1)
    assert np.unique(resampled).tolist() == [9001]

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sora_keras.evaluation.bootstrap import resample_groups
from sora_keras.evaluation.ranking import ranking_counts, scores_of_ranking_counts


def sample(seed, number, num_scores):
    generator = np.random.default_rng(seed)
    labels = (generator.random(number) < 0.2).astype(int)
    scores = (generator.integers(0, num_scores, number) + num_scores // 6 * labels) / num_scores
    return labels, scores, generator.integers(0, 6, number)


@pytest.mark.parametrize("num_scores", [1, 4, 30, 10**9])
def test_figures_agree_with_scikit_learn(num_scores):
    labels, scores, groups = sample(0, 400, num_scores)
    figures = scores_of_ranking_counts(ranking_counts(labels, scores, groups).sum(axis=0, keepdims=True))
    assert figures["average_precision"][0] == pytest.approx(average_precision_score(labels, scores))
    assert figures["auc"][0] == pytest.approx(roc_auc_score(labels, scores))


def test_figures_of_resamples_are_those_of_the_resampled_frames():
    labels, scores, groups = sample(1, 200, 25)
    figures = scores_of_ranking_counts(resample_groups(ranking_counts(labels, scores, groups), seed=3))
    draws = resample_groups(np.eye(6), seed=3).astype(int)
    for index in range(30):
        frames = np.repeat(np.arange(200), draws[index, groups])
        assert figures["average_precision"][index] == pytest.approx(
            average_precision_score(labels[frames], scores[frames])
        )
        assert figures["auc"][index] == pytest.approx(roc_auc_score(labels[frames], scores[frames]))


def test_many_positives_are_put_into_quantiles():
    labels, scores, groups = sample(2, 60_000, 10**9)
    counts = ranking_counts(labels, scores, groups)
    assert counts.shape == (6, 2 * 1001)
    assert counts.sum() == 60_000
    figures = scores_of_ranking_counts(counts.sum(axis=0, keepdims=True))
    assert figures["average_precision"][0] == pytest.approx(average_precision_score(labels, scores), abs=1e-3)
    assert figures["auc"][0] == pytest.approx(roc_auc_score(labels, scores), abs=1e-3)


def test_without_positives_or_negatives():
    groups = np.zeros(3, int)
    none = scores_of_ranking_counts(ranking_counts(np.zeros(3, int), np.arange(3.0), groups))
    assert np.isnan([none["average_precision"][0], none["auc"][0]]).all()
    all_ = scores_of_ranking_counts(ranking_counts(np.ones(3, int), np.arange(3.0), groups))
    assert all_["average_precision"][0] == 1
    assert np.isnan(all_["auc"][0])

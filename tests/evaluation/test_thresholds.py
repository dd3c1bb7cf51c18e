from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from sora_keras.evaluation.thresholds import best_thresholds


def test_no_threshold_is_better():
    generator = np.random.default_rng(0)
    labels = (generator.random((150, 4)) < (0.5, 0.2, 0.05, 0.95)).astype(int)
    scores = (0.3 * labels + generator.random(labels.shape)).round(1) / 2
    thresholds = best_thresholds(labels, scores)
    for column, threshold in enumerate(thresholds):
        reached = f1_score(labels[:, column], scores[:, column] >= threshold)
        tried = [f1_score(labels[:, column], scores[:, column] >= other) for other in np.linspace(0, 1, 41)]
        assert reached == pytest.approx(max(tried))
        assert isinstance(threshold, float)


def test_in_the_middle_between_what_passes_and_what_does_not():
    assert best_thresholds([[1], [0], [1]], [[0.8], [0.2], [0.6]]) == [pytest.approx(0.4)]
    # Equal scores pass together.
    assert best_thresholds([[1], [0], [1], [0]], [[0.8], [0.6], [0.6], [0.1]]) == [pytest.approx(0.35)]
    # All pass where nothing is gained by holding any back.
    assert best_thresholds([[1], [1]], [[0.8], [0.25]]) == [0.25]


def test_of_equally_good_ones_the_nearest_to_a_half():
    # F1 is 2 / 3 with the first one passing, and with the first four.
    labels, scores = [[1], [0], [0], [1]], [[0.9], [0.5], [0.4], [0.3]]
    assert best_thresholds(labels, scores) == [pytest.approx(0.7)]
    assert best_thresholds(labels, np.array(scores) + 0.5) == [pytest.approx(0.8)]


def test_neighboring_floats_are_kept_apart():
    low = 0.75
    high = np.nextafter(low, 1)
    [threshold] = best_thresholds([[1], [0]], [[high], [low]])
    assert low < threshold <= high


def test_unknown_labels_are_left_out_and_labels_without_positives_keep_a_half():
    labels = [[1, 0, -1], [0, 0, -1], [-1, 0, -1]]
    scores = [[0.8, 0.1, 0.3], [0.4, 0.2, 0.3], [0.7, 0.9, 0.3]]
    assert best_thresholds(labels, scores) == [pytest.approx(0.6), 0.5, 0.5]


def test_bad_input():
    with pytest.raises(ValueError, match=r"received \(3, 2\) and \(2, 3\)"):
        best_thresholds(np.zeros((3, 2)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="received inf in row 1, column 0"):
        best_thresholds([[1], [0]], [[0.5], [np.inf]])

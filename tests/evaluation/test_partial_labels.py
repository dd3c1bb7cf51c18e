from __future__ import annotations

import numpy as np
import pytest

from sora_keras.evaluation.partial_labels import checked_labels_and_scores


def test_labels_and_scores_of_any_type_are_taken():
    labels, scores = checked_labels_and_scores(np.array([[1.0, -1.0]], np.float32), [[1, 0]])
    assert (labels.dtype, scores.dtype) == (np.int8, np.float64)
    assert labels.tolist() == [[1, -1]]


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        (np.zeros((4, 2)), np.zeros((4, 3)), r"received \(4, 2\) and \(4, 3\)"),
        (np.zeros(4), np.zeros(4), r"received \(4,\) and \(4,\)"),
        (np.zeros((2, 5, 3)), np.zeros((2, 5, 3)), r"received \(2, 5, 3\) .* take reshape\(-1, K\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), r"1 row and 1 column, received shape \(0, 3\)"),
        (np.zeros((5, 0)), np.zeros((5, 0)), r"1 row and 1 column, received shape \(5, 0\)"),
        ([[0, 1, 1], [0, 1, 7]], np.zeros((2, 3)), "received 7 in row 1, column 2"),
        ([[0.0, 0.25]], np.zeros((1, 2)), "received 0.25 in row 0, column 1"),
        ([[0, np.nan]], np.zeros((1, 2)), "received nan in row 0, column 1"),
        (np.zeros((3, 2)), [[0, 0], [0, 0], [np.nan, 0]], "received nan in row 2, column 0"),
        (np.full((3, 2), -1), np.zeros((3, 2)), r"received -1 \(unknown\) for all 6"),
    ],
)
def test_bad_input(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        checked_labels_and_scores(labels, scores)

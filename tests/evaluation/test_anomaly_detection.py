from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sora_keras.evaluation.anomaly_detection import anomaly_metrics


def test_three_conventions_by_hand():
    abnormal = [[False, True, True], [False, False, True], [True, True]]
    scores = [[1.0, 3.0, 2.0], [7.0, 8.0, 9.0], [5.0, 4.0]]
    metrics = anomaly_metrics(abnormal, scores)
    # Stretched: normal 0, 0, 0.5 and abnormal 1, 0.5, 1, 1, 0.
    assert metrics["auc"] == pytest.approx((4.5 + 4.5 + 3.5) / 15)
    assert metrics["auc_unnormalized"] == pytest.approx((5 + 1 + 1) / 15)
    assert metrics["mean_video_auc"] == 1.0
    counts = ("num_videos", "num_videos_of_both_kinds", "num_frames", "prevalence", "confidence")
    assert [metrics[name] for name in counts] == [3, 2, 8, 0.625, 0.95]


def test_against_scikit_learn_and_with_intervals():
    rng = np.random.default_rng(0)
    abnormal = [rng.random(60) < 0.4 for _ in range(5)]
    scores = [rng.normal(size=60) + labels + 3 * number for number, labels in enumerate(abnormal)]
    metrics = anomaly_metrics(abnormal, scores)
    stretched = [(score - score.min()) / (score.max() - score.min()) for score in scores]
    labels = np.concatenate(abnormal)
    assert metrics["auc"] == pytest.approx(roc_auc_score(labels, np.concatenate(stretched)))
    assert metrics["auc_unnormalized"] == pytest.approx(roc_auc_score(labels, np.concatenate(scores)))
    assert metrics["mean_video_auc"] == pytest.approx(
        np.mean([roc_auc_score(*pair) for pair in zip(abnormal, scores, strict=True)])
    )
    for name in ("auc", "auc_unnormalized"):
        low, high = metrics[f"{name}_interval"]
        assert low < metrics[name] < high
    assert metrics["auc"] > metrics["auc_unnormalized"]


def test_no_video_of_both_kinds():
    assert anomaly_metrics([[1, 1], [0, 0]], [[1.0, 2.0], [0.5, 0.0]])["mean_video_auc"] is None


@pytest.mark.parametrize(
    ("abnormal", "scores", "message"),
    [
        ([[0, 1]], [[1.0, 2.0], [1.0]], "received 2 and 1"),
        ([[0, 1], [0, 1, 0]], [[1.0, 2.0], [1.0, 2.0]], r"video 1 has labels of shape \(3,\), and scores of \(2,\)"),
        ([[0, 0, 0]], [[1.0, 2.0, 3.0]], "received 3 of one kind, 0"),
        ([[0, 1]], [[1.0, np.nan]], "received nan"),
    ],
)
def test_what_does_not_fit_together(abnormal, scores, message):
    with pytest.raises(ValueError, match=message):
        anomaly_metrics(abnormal, scores)

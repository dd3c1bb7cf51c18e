from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from sora_keras.evaluation.calibration import calibration_metrics, plot_calibration


def sample(number=4000, power=1.0):
    """Labels that hold as often as the probability to the power says."""
    generator = np.random.default_rng(0)
    probabilities = generator.random((number, 2))
    return (generator.random((number, 2)) < probabilities**power).astype(int), probabilities


def test_agrees_with_scikit_learn():
    labels, probabilities = sample(power=2)
    metrics = calibration_metrics(labels, probabilities, num_bins=8)
    shares, means = calibration_curve(labels.ravel(), probabilities.ravel(), n_bins=8)
    sizes = np.histogram(probabilities, 8, (0, 1))[0]
    assert [row["share_that_holds"] for row in metrics["bins"]] == pytest.approx(shares)
    assert [row["mean_probability"] for row in metrics["bins"]] == pytest.approx(means)
    assert [row["num_answers"] for row in metrics["bins"]] == sizes.tolist()
    assert metrics["expected_calibration_error"] == pytest.approx(np.average(abs(shares - means), weights=sizes))
    assert metrics["maximum_calibration_error"] == pytest.approx(abs(shares - means).max())
    assert metrics["brier_score"] == pytest.approx(brier_score_loss(labels.ravel(), probabilities.ravel()))


def test_by_hand():
    labels, probabilities = [[1, 0, 1], [0, 0, -1]], [[0.9, 0.1, 0.7], [0.2, 0.5, 0.99]]
    metrics = calibration_metrics(labels, probabilities, num_bins=2)
    # Up to 0.5: three answers, mean 0.8 / 3, none holds; above: two, mean 0.8, both hold.
    assert metrics["num_answers"] == 5
    assert metrics["expected_calibration_error"] == pytest.approx((0.8 + 2 * 0.2) / 5)
    assert metrics["maximum_calibration_error"] == pytest.approx(0.8 / 3)
    assert metrics["bins"][1] == pytest.approx(
        {"low": 0.5, "high": 1, "num_answers": 2, "mean_probability": 0.8, "share_that_holds": 1}
    )


def test_true_probabilities_have_no_error_and_exaggerated_ones_do():
    assert calibration_metrics(*sample(40_000))["expected_calibration_error"] < 0.01
    assert calibration_metrics(*sample(40_000, power=3))["expected_calibration_error"] > 0.2


def test_empty_bins_and_certainty(tmp_path):
    metrics = calibration_metrics([[0], [1]], [[0.0], [1.0]])
    assert metrics["expected_calibration_error"] == 0
    assert [row["num_answers"] for row in metrics["bins"]] == [1, *[0] * 8, 1]
    assert metrics["bins"][4]["share_that_holds"] is None
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    plot_calibration(metrics, tmp_path / "calibration.png")
    assert cv2.imread(str(tmp_path / "calibration.png")).std() > 5


def test_the_picture_shows_the_error(tmp_path):
    plot_calibration(calibration_metrics(*sample()), tmp_path / "good.png")
    plot_calibration(calibration_metrics(*sample(power=3)), tmp_path / "bad.png")
    good, bad = (cv2.imread(str(tmp_path / name)) for name in ("good.png", "bad.png"))
    assert good.shape[0] > 500
    assert good.shape != bad.shape or (good != bad).any()


@pytest.mark.parametrize(
    ("probabilities", "num_bins", "message"),
    [
        ([[0.5], [-2.25]], 10, r"lie in 0\.\.1, received -2\.25\. Apply the sigmoid"),
        ([[0.5], [1.125]], 10, r"lie in 0\.\.1, received 1\.125"),
        ([[0.5], [np.nan]], 10, "received nan in row 1"),
        ([[0.5]], 10, r"received \(2, 1\) and \(1, 1\)"),
        ([[0.5], [0.5]], 0, "num_bins must be at least 1, received 0"),
    ],
)
def test_bad_input(probabilities, num_bins, message):
    with pytest.raises(ValueError, match=message):
        calibration_metrics([[1], [0]], probabilities, num_bins)

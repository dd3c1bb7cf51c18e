from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from sora_keras.evaluation.anomaly_curve import normalize_scores, smooth_scores


@pytest.mark.parametrize("sigma_seconds", [0.05, 0.13, 0.6, 30.0])
def test_smoothing_is_scipys(sigma_seconds):
    scores = np.random.default_rng(0).random(200)
    expected = gaussian_filter1d(scores, sigma_seconds * 10.0, mode="nearest", truncate=4.0)
    np.testing.assert_allclose(smooth_scores(scores, 3.05 + np.arange(200) / 10, sigma_seconds), expected, atol=1e-12)


def test_smoothing_of_next_to_nothing():
    scores = np.array([3.0, 1.0, 2.0])
    np.testing.assert_array_equal(smooth_scores(scores, [0.0, 0.5, 1.0], 0.0), scores)
    np.testing.assert_array_equal(smooth_scores([7.0], [0.25], 2.0), [7.0])


def test_the_last_frame_may_come_sooner():
    smoothed = smooth_scores([0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 2.0, 3.0, 3.4], 0.5)
    weights = np.exp(-0.5 * (np.arange(-4, 5) / 0.5) ** 2)
    np.testing.assert_allclose(smoothed, (weights / weights.sum())[2:7])


def test_normalized_from_the_lowest_to_the_highest():
    np.testing.assert_allclose(normalize_scores([6.0, 10.0, 7.0]), [0.0, 1.0, 0.25])
    np.testing.assert_array_equal(normalize_scores([5.0, 5.0]), [0.0, 0.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [0.0, 1.0], -0.25), "at least 0, received -0.25"),
        (([1.0, 2.0], [0.0, 1.0], np.nan), "at least 0, received nan"),
        (([1.0, np.inf], [0.0, 1.0], 1.0), "received inf at frame 1"),
        (([1.0, 2.0], [4.0, 3.0], 1.0), "received 3.0 at frame 1"),
    ],
)
def test_what_cannot_be_smoothed(arguments, message):
    with pytest.raises(ValueError, match=message):
        smooth_scores(*arguments)


def test_what_cannot_be_normalized():
    with pytest.raises(ValueError, match="received 0"):
        normalize_scores([])
    with pytest.raises(ValueError, match="received nan at frame 2"):
        normalize_scores([0.0, 1.0, np.nan])

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from sora_keras.evaluation.frechet import frechet_video_distance


def gaussians(num_clips, num_features, shift=0.0, spread=1.0, seed=0):
    return shift + spread * np.random.default_rng(seed).standard_normal((num_clips, num_features))


def distance(a, b):
    return frechet_video_distance(a, b, num_resamples=0)["frechet_distance"]


def test_is_the_formula_with_scipys_root_of_the_product():
    mix = np.random.default_rng(1).normal(size=(5, 5))
    a, b = gaussians(40, 5, 0.3) @ mix, gaussians(60, 5, seed=2) + 1
    product = np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + a.var(0, ddof=1).sum() + b.var(0, ddof=1).sum()
    assert distance(a, b) == pytest.approx(expected - 2 * np.trace(sqrtm(product)).real, rel=1e-9)
    assert distance(b, a) == pytest.approx(distance(a, b))


def test_diagonal_gaussians_in_closed_form():
    """Uncorrelated columns: squared differences of means and of standard deviations add up."""
    columns = np.array([[1, 1, -1, -1], [1, -1, 1, -1]]).T
    a, b = columns * [1.0, 2.0] + [0.5, 0], columns * [3.0, 0.5] - [0, 2]
    deviation = np.sqrt(4 / 3)
    assert distance(a, b) == pytest.approx(0.25 + 4 + (2 * deviation) ** 2 + (1.5 * deviation) ** 2)


def test_same_clips_are_no_distance_apart_even_with_fewer_clips_than_features():
    few = gaussians(7, 30)
    assert distance(few, few) == pytest.approx(0, abs=1e-6)
    assert distance(few, few[::-1] + 2.0) == pytest.approx(30 * 4)


def test_the_bias_of_few_clips_and_its_correction():
    """Two draws of one distribution, whose distance is 0, and two whose distance is 16 times 0.25."""
    for shift, true in ((0.0, 0.0), (0.5, 4.0)):
        draws = [(gaussians(200, 16, seed=seed), gaussians(200, 16, shift, seed=99 + seed)) for seed in range(12)]
        measured = [frechet_video_distance(a, b, 60) for a, b in draws]
        biased = np.mean([metrics["frechet_distance"] for metrics in measured]) - true
        corrected = np.mean([metrics["unbiased_distance"] for metrics in measured]) - true
        assert biased > 2 * 16 / 200
        assert abs(corrected) < 0.4 * biased
        held = [m["frechet_distance_interval"][0] <= true <= m["frechet_distance_interval"][1] for m in measured]
        assert sum(held) >= 10


def test_interval_repeats_by_seed_and_narrows_with_clips():
    a, b = gaussians(800, 3), gaussians(800, 3, 1.0, seed=1)
    few, many = frechet_video_distance(a[:80], b[:80], seed=3), frechet_video_distance(a, b, seed=3)
    assert many == frechet_video_distance(a, b, seed=3)
    assert many["frechet_distance_interval"] != frechet_video_distance(a, b, seed=4)["frechet_distance_interval"]
    assert np.ptp(many["frechet_distance_interval"]) < 0.6 * np.ptp(few["frechet_distance_interval"])
    assert (few["num_a"], many["num_b"], many["num_features"]) == (80, 800, 3)


@pytest.mark.parametrize(
    ("a", "b", "received"),
    [
        (np.zeros(5), np.zeros((4, 3)), r"`features_a`.*\(5,\)"),
        (np.zeros((4, 3)), np.zeros((1, 3)), r"`features_b`.*\(1, 3\)"),
        (np.full((6, 3), np.nan), np.zeros((4, 3)), r"`features_a`.*\(6, 3\)"),
        (np.zeros((4, 3)), np.zeros((4, 7)), "3 and 7 columns"),
    ],
)
def test_what_cannot_be_compared(a, b, received):
    with pytest.raises(ValueError, match=received):
        frechet_video_distance(a, b)

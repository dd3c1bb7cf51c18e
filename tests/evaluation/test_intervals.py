from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from sora_keras.evaluation.intervals import f1_interval, percentile_interval, wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (50, 101), (9990, 10000)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_wilson_interval_agrees_with_scipy(successes, trials, confidence):
    expected = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, trials, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_interval_by_hand():
    # Newcombe (1998), table I: 81 of 263.
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_wilson_interval_without_trials_knows_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("successes", [-2, 12, float("nan")])
def test_wilson_interval_refuses_impossible_counts(successes):
    with pytest.raises(ValueError, match=rf"received {successes} successes in 11 trials"):
        wilson_interval(successes, 11)


def test_wilson_interval_refuses_percentages():
    with pytest.raises(ValueError, match=r"like 0\.95, received 95"):
        wilson_interval(3, 11, confidence=95)


@pytest.mark.parametrize("proportion", [0.1, 0.5, 0.97])
def test_wilson_interval_holds_the_truth_about_as_often_as_it_claims(proportion):
    holds = [low <= proportion <= high for low, high in (wilson_interval(successes, 60) for successes in range(61))]
    assert binom(60, proportion).pmf(range(61))[holds].sum() == pytest.approx(0.95, abs=0.03)


def test_f1_interval_is_wilson_of_the_overlap():
    low, high = binomtest(6, 10).proportion_ci(0.95, method="wilson")
    assert f1_interval(6, 10) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))
    assert f1_interval(6, 10)[0] < 2 * 6 / (6 + 10) < f1_interval(6, 10)[1]
    assert f1_interval(0, 0) == (0.0, 1.0)


def test_percentile_interval_is_the_middle_and_leaves_out_the_undefined():
    resampled = np.append(np.linspace(0, 1, 101), [math.nan] * 9)
    assert percentile_interval(resampled, 0.5, 8, confidence=0.9) == pytest.approx((0.05, 0.95))


def test_percentile_interval_holds_the_score():
    low, high = percentile_interval(np.linspace(0.1, 0.3, 101), 0.4, 8)
    assert (low, high) == pytest.approx((0.105, 0.4))


def test_percentile_interval_of_no_width_is_wilson_over_the_units():
    assert percentile_interval(np.ones(50), 1.0, 6) == wilson_interval(6, 6)


def test_percentile_interval_of_an_undefined_score_knows_nothing():
    assert percentile_interval(np.full(5, math.nan), math.nan, 0) == (0.0, 1.0)

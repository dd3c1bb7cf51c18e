"""Counts or resampled scores to an interval that says how far to trust a score."""

from __future__ import annotations

import math
import statistics

import numpy as np


def wilson_interval(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion, sound for few trials and for proportions of 0 and 1.

    Args:
        successes: how many trials went right; between 0 and `trials`.
        trials: how many independent trials there were. With 0 trials everything is possible: `(0.0, 1.0)`.
        confidence: how often such an interval holds the true proportion, between 0 and 1.

    Returns:
        The lowest and the highest plausible proportion.

    Raises:
        ValueError: if `successes` lies outside 0..`trials`, or `confidence` outside 0..1.

    Example:
        >>> low, high = wilson_interval(8, 10)
        >>> round(low, 3), round(high, 3)
        (0.49, 0.943)

    Reference:
        E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
        Statistical Association 22 (1927), 209-212.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie in 0..trials, received {successes} successes in {trials} trials.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, like 0.95, received {confidence}.")
    if trials == 0:
        return 0.0, 1.0
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    proportion = successes / trials
    center = proportion + z**2 / (2 * trials)
    margin = z * math.sqrt(proportion * (1 - proportion) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z**2 / trials
    low = 0.0 if successes == 0 else (center - margin) / scale
    high = 1.0 if successes == trials else (center + margin) / scale
    return low, high


def f1_interval(true_positives: float, misses_and_hits: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval carried over to an F1 score, which is `2 J / (1 + J)` of the proportion J.

    Args:
        true_positives: clips of the class that were predicted as such.
        misses_and_hits: clips that are of the class, are predicted as such, or both; J is the share of both.
        confidence: how often such an interval holds the true score.

    Returns:
        The lowest and the highest plausible F1 score.

    Reference:
        K. F. Y. Lam, V. Gopal, J. Qian, "Confidence intervals for the F1 score: a comparison of four methods" (2023),
        arXiv:2309.14621; the indirect Wilson method.
    """
    low, high = wilson_interval(true_positives, misses_and_hits, confidence)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def percentile_interval(
    resampled: np.ndarray, value: float, num_units: int, confidence: float = 0.95
) -> tuple[float, float]:
    """The middle of the resampled scores, or Wilson's interval where all of them agree.

    With everything right, everything wrong, or a single group, every resample scores the same. An interval of no width
    would claim certainty, so Wilson's interval over the units stands in. The interval always holds the score itself,
    though resampled scores over many rare classes tend to be lower.

    Args:
        resampled: `float64 (R,)`, the score of each resample; NaN where it is undefined.
        value: the score of the data themselves; NaN where it is undefined.
        num_units: the units behind the score that were drawn anew in every resample.
        confidence: the share of resamples inside the interval.

    Returns:
        The lowest and the highest plausible score.
    """
    if math.isnan(value):
        return 0.0, 1.0
    low, high = np.quantile(resampled[~np.isnan(resampled)], [(1 - confidence) / 2, (1 + confidence) / 2])
    if low == high:
        return wilson_interval(min(max(value, 0.0), 1.0) * num_units, num_units, confidence)  # 1 is off by rounding
    return min(float(low), value), max(float(high), value)

"""A score for each frame of a video in, the same without jitter, or from 0 to 1 over the video, out."""

from __future__ import annotations

from typing import Any

import numpy as np

from sora_keras.evaluation.frame_scores import checked_scores_and_times, spacing_of

_REACH = 4  # standard deviations, beyond which a Gaussian weighs next to nothing


def smooth_scores(scores: Any, times: Any, sigma_seconds: float) -> np.ndarray:
    """Average scores over time, with Gaussian weights: what is abnormal lasts, what flickers is noise.

    Beyond both ends of the video its first and last score go on. Frames after a moment count for it, too, so the
    smoothed score of a live picture is final only a few `sigma_seconds` later.

    Args:
        scores: `float (N,)`, one for each frame.
        times: `float (N,)`, seconds, evenly spaced.
        sigma_seconds: the Gaussian's standard deviation; 0 smooths nothing.

    Returns:
        `float64 (N,)`.

    Raises:
        ValueError: if `sigma_seconds` is negative, scores are not finite, or times do not increase.

    Example:
        >>> smooth_scores([0, 0, 1, 0, 0], [0.0, 0.1, 0.2, 0.3, 0.4], sigma_seconds=0.05).round(2)
        array([0.  , 0.11, 0.79, 0.11, 0.  ])
    """
    scores, times = checked_scores_and_times(scores, times)
    if not (np.isfinite(sigma_seconds) and sigma_seconds >= 0):
        raise ValueError(f"`sigma_seconds` must be a number of at least 0, received {sigma_seconds!r}.")
    if sigma_seconds == 0 or len(scores) == 1:
        return scores
    sigma = sigma_seconds / spacing_of(times, None)
    reach = max(1, round(_REACH * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(np.pad(scores, reach, mode="edge"), weights / weights.sum(), mode="valid")


def normalize_scores(scores: Any) -> np.ndarray:
    """Stretch a video's scores to 0 for its lowest and 1 for its highest: the field's min-max convention.

    It takes out how hard a video is to predict as a whole. It also takes for granted that something abnormal happens:
    the highest score of a video in which nothing does is 1 as well, and nobody knows it before the video is over.

    Args:
        scores: `float (N,)`, of one video.

    Returns:
        `float64 (N,)` in 0..1; zeros if all scores are the same.

    Raises:
        ValueError: if there are none, or they are not finite.

    Example:
        >>> normalize_scores([2.0, 4.0, 3.0])
        array([0. , 1. , 0.5])

    Reference:
        Liu et al., Future Frame Prediction for Anomaly Detection, 2018, https://arxiv.org/abs/1712.09867, equation 9.
    """
    scores, _ = checked_scores_and_times(scores, np.arange(len(scores)))
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros(len(scores))

"""Features of two sets of clips in, the Fréchet distance between their Gaussians out."""

from __future__ import annotations

from typing import Any

import numpy as np

CONFIDENCE = 0.95


def frechet_video_distance(
    features_a: np.ndarray, features_b: np.ndarray, num_resamples: int = 200, seed: int = 0
) -> dict[str, Any]:
    """Compares two sets of clips by the means and covariances of their features.

    This is FVD's formula on features of your own, such as a classifier's embedding of clips, not on those of I3D:
    figures compare only where the features are the same, never with published FVD. Measure every set against the same
    real clips, and beside it real clips that were held out: their distance is the floor, as it is not 0.

    It is biased: of few clips the distance comes out too high, by about the total variance times (1/A + 1/B) for the
    means alone and more for the covariances, so compare sets of one size, of many more clips than features. The
    bootstrap over clips says by how much: `unbiased_distance` is without what resampling adds, and the interval is the
    basic one, about it.

    Args:
        features_a: `float (A, F)`, a row a clip.
        features_b: `float (B, F)`.
        num_resamples: draws of clips for the interval; 0 leaves `unbiased_distance` and the interval out.
        seed: the same seed gives the same interval.

    Returns:
        `frechet_distance`, `unbiased_distance`, `frechet_distance_interval` (`[low, high]`), `num_a`, `num_b`,
        `num_features` and `confidence`.

    Raises:
        ValueError: if the features are not finite rows of the same length, two a set at least.

    Example:
        >>> frechet_video_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]), 0)["frechet_distance"]
        9.0

    Reference:
        Unterthiner et al., Towards Accurate Generative Models of Video, 2018, https://arxiv.org/abs/1812.01717:
        |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)); its bias: Chong and Forsyth, Effectively Unbiased FID, CVPR
        2020, https://arxiv.org/abs/1911.07023; basic interval 2 d - q: Davison and Hinkley, Bootstrap Methods and their
        Application, 1997, section 5.2.
    """
    a, b = (np.asarray(features, np.float64) for features in (features_a, features_b))
    _check(a, b)
    distance = _distance(a, b)
    metrics = {"frechet_distance": distance, "num_a": len(a), "num_b": len(b), "num_features": a.shape[1]}
    if not num_resamples:
        return metrics
    generator = np.random.default_rng(seed)
    resampled = np.array([_distance(_draw(a, generator), _draw(b, generator)) for _ in range(num_resamples)])
    high, low = 2 * distance - np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return metrics | {
        "unbiased_distance": max(0.0, float(2 * distance - resampled.mean())),
        "frechet_distance_interval": [max(0.0, float(low)), max(0.0, float(high))],
        "confidence": CONFIDENCE,
    }


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    means = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    covariance_a, covariance_b = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (a, b))
    root_a = _root(covariance_a)
    # The product's root has the trace of this symmetric one, which stays real where clips are fewer than features.
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(root_a @ covariance_b @ root_a), 0))
    return max(0.0, float(means + np.trace(covariance_a) + np.trace(covariance_b) - 2 * roots.sum()))


def _root(covariance: np.ndarray) -> np.ndarray:
    variances, directions = np.linalg.eigh(covariance)
    return (directions * np.sqrt(np.maximum(variances, 0))) @ directions.T


def _draw(features: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return features[generator.integers(len(features), size=len(features))]


def _check(a: np.ndarray, b: np.ndarray) -> None:
    for name, features in (("features_a", a), ("features_b", b)):
        if features.ndim != 2 or len(features) < 2 or not np.isfinite(features).all():
            raise ValueError(
                f"`{name}` must be finite numbers of shape (clips, features), at least 2 clips, received shape "
                f"{features.shape}."
            )
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"The two sets must have the same features, received {a.shape[1]} and {b.shape[1]} columns.")

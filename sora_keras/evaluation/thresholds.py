"""Labels and scores of validation data in, the threshold of each label with the best F1 there out."""

from __future__ import annotations

import numpy as np

from sora_keras.evaluation.partial_labels import checked_labels_and_scores

DEFAULT_THRESHOLD = 0.5


def best_thresholds(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    """Chooses for each label the threshold at which deciding "score >= threshold" has the highest F1.

    Choose on validation data only: on the data that the model is judged by, the choice flatters it. The threshold lies
    in the middle between the lowest score that is to pass and the highest that is not. Among equally good ones it is
    the one nearest to 0.5.

    Args:
        labels: `(N, K)`: 1 where a label holds, 0 where it does not, -1 where nobody knows, which is left out.
        scores: `float (N, K)`, probabilities.

    Returns:
        K thresholds; 0.5 for a label without positives, about which the data say nothing.

    Raises:
        ValueError: if the shapes differ, a label is not 1, 0 or -1, nothing is known or a score is not finite.

    Example:
        >>> best_thresholds(np.array([[1], [1], [0]]), np.array([[0.9], [0.3], [0.2]]))
        [0.25]
    """
    labels, scores = checked_labels_and_scores(labels, scores)
    return [_best_threshold(*pair) for pair in zip(labels.T, scores.T, strict=True)]


def _best_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    known = labels >= 0
    labels, scores = labels[known], scores[known]
    if not (labels == 1).any():
        return DEFAULT_THRESHOLD
    order = np.argsort(-scores)
    labels, scores = labels[order].astype(np.int64), scores[order]
    # Equal scores pass together, so a cut lies only after the last of them.
    lasts = np.flatnonzero(np.append(np.diff(scores) < 0, True))
    lowest_passing = scores[lasts]
    highest_failing = np.append(scores[lasts[:-1] + 1], scores[-1])
    middles = (lowest_passing + highest_failing) / 2
    # Rounding may put the middle of neighbors on the lower one, which would then pass.
    thresholds = np.where(middles > highest_failing, middles, lowest_passing)
    f1 = 2 * np.cumsum(labels)[lasts] / (lasts + 1 + labels.sum())
    best = thresholds[np.isclose(f1, f1.max(), rtol=1e-12, atol=0)]
    return float(best[np.abs(best - DEFAULT_THRESHOLD).argmin()])

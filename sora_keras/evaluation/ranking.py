"""Labels and scores in, average precision and area under the ROC curve out, also of other draws of groups."""

from __future__ import annotations

import numpy as np

MOST_EDGES = 500


def ranking_counts(labels: np.ndarray, scores: np.ndarray, group_numbers: np.ndarray) -> np.ndarray:
    """Counts what rankings are made of, so that counts of groups can be added up in any mixture.

    A ranking's figures hang on how many negatives lie above, at and below each positive. So the cells are: below the
    lowest score of a positive, at it, between it and the next one, and so on. Of over 500 such scores, 500 quantiles
    are taken, which moves the figures by less than the third digit.

    Args:
        labels: 1 or 0 `(N,)`.
        scores: `float (N,)`.
        group_numbers: whole numbers `(N,)` in 0..G-1.

    Returns:
        `float64 (G, 2 C)`: for each group, C counts of positives from the lowest cell to the highest, and C of
        negatives.
    """
    edges = np.unique(scores[labels == 1])
    if len(edges) > MOST_EDGES:
        edges = edges[np.linspace(0, len(edges) - 1, MOST_EDGES).astype(int)]
    # Odd cells are at an edge, even ones between two.
    cells = np.searchsorted(edges, scores, "left") + np.searchsorted(edges, scores, "right")
    num_groups, num_cells = int(group_numbers.max()) + 1, 2 * len(edges) + 1
    columns = group_numbers * 2 * num_cells + np.where(labels == 1, 0, num_cells) + cells
    counts = np.bincount(columns, minlength=num_groups * 2 * num_cells)
    return counts.reshape(num_groups, 2 * num_cells).astype(np.float64)


def scores_of_ranking_counts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """The figures of rankings from their counts.

    Args:
        counts: `float64 (R, 2 C)`, R sets of counts as `ranking_counts` lays them out.

    Returns:
        `average_precision` and `auc`, each `float64 (R,)`; NaN without positives, the AUC also without negatives.

    """
    positives, negatives = np.split(counts, 2, axis=1)
    num_positives, num_negatives = positives.sum(axis=1), negatives.sum(axis=1)
    hits = np.cumsum(positives[:, ::-1], axis=1)[:, ::-1]
    taken = hits + np.cumsum(negatives[:, ::-1], axis=1)[:, ::-1]
    areas = (positives * _ratio(hits, taken, empty=0.0)).sum(axis=1)
    negatives_below = np.cumsum(negatives, axis=1) - negatives / 2
    right_pairs = (positives * negatives_below).sum(axis=1)
    return {
        "average_precision": _ratio(areas, num_positives, empty=np.nan),
        "auc": _ratio(right_pairs, num_positives * num_negatives, empty=np.nan),
    }


def _ratio(numerator: np.ndarray, denominator: np.ndarray, empty: float) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(numerator.shape, empty), where=denominator > 0)

"""Labels of which some are unknown and their scores, as given, to arrays that can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np


def checked_labels_and_scores(labels: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    """Checks labels and scores of frames or clips.

    Args:
        labels: `(N, K)`: 1 where a label holds, 0 where it does not, -1 where nobody knows.
        scores: `float (N, K)`, the higher the surer that the label holds.

    Returns:
        Labels `int8 (N, K)` and scores `float64 (N, K)`.

    Raises:
        ValueError: if the shapes differ or are not `(N, K)`, there are no rows or no columns, a label is something
            else, nothing is known, or a score is not finite.

    Example:
        >>> labels, scores = checked_labels_and_scores([[1, -1]], [[0.9, 0.2]])
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.ndim != 2 or labels.shape != scores.shape:
        raise ValueError(
            f"labels and scores must have the same shape (N, K), received {labels.shape} and {scores.shape}. Of "
            "frames in batches (B, T, K), take reshape(-1, K)."
        )
    if not labels.size:
        raise ValueError(f"labels must hold at least 1 row and 1 column, received shape {labels.shape}.")
    strange = np.argwhere(~np.isin(labels, (-1, 0, 1)))
    if len(strange):
        row, column = strange[0]
        raise ValueError(
            f"labels must be 1 (holds), 0 (does not) or -1 (unknown), received {labels[row, column]} in row {row}, "
            f"column {column}."
        )
    not_finite = np.argwhere(~np.isfinite(scores))
    if len(not_finite):
        row, column = not_finite[0]
        raise ValueError(f"scores must be finite, received {scores[row, column]} in row {row}, column {column}.")
    if not (labels >= 0).any():
        raise ValueError(f"labels must hold something known, received -1 (unknown) for all {labels.size} of them.")
    return labels.astype(np.int8), scores

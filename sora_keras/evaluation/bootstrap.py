"""Labels and predictions to the scores that other draws of clips, or of groups of clips, would have had."""

from __future__ import annotations

import numpy as np

NUM_RESAMPLES = 1000


def group_counts(
    labels: np.ndarray, predictions: np.ndarray, hits: np.ndarray, group_numbers: np.ndarray, num_classes: int
) -> np.ndarray:
    """Counts what the scores are made of, so that counts of groups can be added up in any mixture.

    Args:
        labels: whole numbers `(N,)`, the true classes.
        predictions: whole numbers `(N,)`, the predicted classes.
        hits: `bool (N,)`, whether the true class is among the top k.
        group_numbers: whole numbers `(N,)` in 0..G-1, the group of each clip.
        num_classes: K.

    Returns:
        `float64 (G, 3 K + 1)`, for each group: K counts of clips rightly predicted, K of clips of the class, K of clips
        predicted as the class, and the hits.
    """
    num_groups, num_counts = int(group_numbers.max()) + 1, 3 * num_classes + 1
    right, first_of_group = predictions == labels, group_numbers * num_counts
    cells = [
        (first_of_group + labels)[right],
        first_of_group + num_classes + labels,
        first_of_group + 2 * num_classes + predictions,
        (first_of_group + 3 * num_classes)[hits],
    ]
    counts = np.bincount(np.concatenate(cells), minlength=num_groups * num_counts)
    return counts.reshape(num_groups, num_counts).astype(np.float64)


def scores_of_counts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """The scores of a set of clips from its counts.

    Args:
        counts: `float64 (R, 3 K + 1)`, R sets of counts as `group_counts` lays them out.

    Returns:
        `accuracy`, `top_k_accuracy` and `macro_f1` of shape `(R,)`; `precision`, `recall` and `f1` of shape `(R, K)`;
        NaN where a score is undefined. Macro F1 leaves out the classes whose F1 is undefined.
    """
    right, true, predicted = np.split(counts[:, :-1], 3, axis=1)
    num_clips = true.sum(axis=1)
    f1 = _ratio(2 * right, true + predicted)
    return {
        "accuracy": right.sum(axis=1) / num_clips,
        "top_k_accuracy": counts[:, -1] / num_clips,
        "macro_f1": np.nanmean(f1, axis=1),
        "precision": _ratio(right, predicted),
        "recall": _ratio(right, true),
        "f1": f1,
    }


def resample_groups(counts: np.ndarray, seed: int) -> np.ndarray:
    """Draws as many groups as there are, with replacement, and adds up their counts; again and again.

    Args:
        counts: `float64 (G, S)`, S counts of each of G groups.
        seed: the same seed gives the same draws.

    Returns:
        `float64 (NUM_RESAMPLES, S)`, the counts of each resample.

    Reference:
        C. A. Field, A. H. Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society, Series B 69
        (2007), 369-390.
    """
    generator, num_groups = np.random.default_rng(seed), len(counts)
    # Chunks bound the memory: the table of draws has a number for every group in every resample.
    resamples_per_chunk = max(1, min(NUM_RESAMPLES, 4_000_000 // num_groups))
    chunks = []
    for start in range(0, NUM_RESAMPLES, resamples_per_chunk):
        num_resamples = min(resamples_per_chunk, NUM_RESAMPLES - start)
        draws = generator.multinomial(num_groups, np.full(num_groups, 1 / num_groups), size=num_resamples)
        chunks.append(draws.astype(np.float64) @ counts)
    return np.concatenate(chunks)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)

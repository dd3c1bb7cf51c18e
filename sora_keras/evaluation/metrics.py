"""Labels and predicted probabilities of clips to plain numbers, each beside the interval it can be trusted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from sora_keras.evaluation.bootstrap import NUM_RESAMPLES, group_counts, resample_groups, scores_of_counts
from sora_keras.evaluation.intervals import f1_interval, percentile_interval, wilson_interval

CONFIDENCE = 0.95


def classification_metrics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    top_k: int = 5,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Judges a classifier by the probabilities it predicted.

    Every score has its 95 % interval `[low, high]` beside it, under `<score>_interval`. Clips of one source are not
    independent: give their `groups`, and whole groups are resampled, which widens the intervals to what the data can
    bear. An undefined score (the precision of a class never predicted, the recall of a class without clips) is `None`
    with the interval `[0, 1]`. Macro F1 is the mean over the classes that occur among the labels or the predictions.

    Args:
        labels: whole numbers `(N,)`, the true class of each clip.
        probabilities: `float (N, K)`, each row adding up to 1.
        class_names: K names.
        top_k: a clip counts for top-k accuracy if its true class is among the k most probable; at most K.
        groups: N names of the person, source video or camera each clip is of; `None` if the clips are independent.
        seed: the same seed gives the same intervals.

    Returns:
        Numbers, strings and lists that JSON can hold: `num_clips`, `num_groups`, `chance` (the accuracy of always
        answering the most frequent class), `accuracy`, `top_k`, `top_k_accuracy`, `macro_f1`, `per_class` (for each
        class `name`, `support`, `precision`, `recall`, `f1`), `confusion_matrix` (rows are true classes),
        `class_names`, `confidence`, `interval_methods`.

    Raises:
        ValueError: if shapes or ranges do not fit together, or a probability is NaN.

    Example:
        >>> metrics = classification_metrics(np.array([0, 1, 1]), np.eye(2)[[0, 1, 0]], ["rest", "wave"])
        >>> round(metrics["accuracy"], 2), round(metrics["chance"], 2)
        (0.67, 0.67)
    """
    labels, probabilities = _checked_arrays(labels, probabilities, len(class_names))
    predictions = probabilities.argmax(axis=1)
    top_k = min(top_k, len(class_names))
    hits = _true_class_is_among_top(top_k, labels, probabilities)
    counts = group_counts(labels, predictions, hits, _group_numbers(groups, len(labels)), len(class_names))
    intervals = _bootstrap_intervals(counts, seed)
    if groups is None:
        intervals |= _wilson_intervals(counts)
    if top_k == len(class_names):
        intervals["top_k_accuracy"] = [[1.0, 1.0]]  # certain by definition, however few the clips
    per_class = _per_class(labels, predictions, class_names, intervals)
    return {
        "num_clips": len(labels),
        "num_groups": None if groups is None else len(counts),
        "chance": float(np.bincount(labels).max() / len(labels)),
        "accuracy": float(np.mean(predictions == labels)),
        "accuracy_interval": intervals["accuracy"][0],
        "top_k": top_k,
        "top_k_accuracy": float(hits.mean()),
        "top_k_accuracy_interval": intervals["top_k_accuracy"][0],
        "macro_f1": float(np.mean([row["f1"] for row in per_class if row["f1"] is not None])),
        "macro_f1_interval": intervals["macro_f1"][0],
        "per_class": per_class,
        "confusion_matrix": confusion_matrix(labels, predictions, labels=range(len(class_names))).tolist(),
        "class_names": list(class_names),
        "confidence": CONFIDENCE,
        "interval_methods": _interval_methods(groups is not None),
    }


def _true_class_is_among_top(k: int, labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    # scikit-learn's top_k_accuracy_score breaks ties unlike argmax, refuses two classes and gives no answer per clip.
    if k < 1:
        raise ValueError(f"top_k must be at least 1, received {k}.")
    return (np.argsort(-probabilities, axis=1, kind="stable")[:, :k] == labels[:, None]).any(axis=1)


def _per_class(
    labels: np.ndarray, predictions: np.ndarray, class_names: Sequence[str], intervals: dict[str, list[list[float]]]
) -> list[dict[str, Any]]:
    *scores, support = precision_recall_fscore_support(
        labels, predictions, labels=range(len(class_names)), zero_division=np.nan
    )
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(class_names):
        row: dict[str, Any] = {"name": name, "support": int(support[index])}
        for score, values in zip(("precision", "recall", "f1"), scores, strict=True):
            row[score] = None if np.isnan(values[index]) else float(values[index])
            row[f"{score}_interval"] = intervals[score][index]
        rows.append(row)
    return rows


def _wilson_intervals(counts: np.ndarray) -> dict[str, list[list[float]]]:
    """Intervals of the scores that are proportions of independent clips."""
    totals = counts.sum(axis=0)
    right, true, predicted = np.split(totals[:-1], 3)
    num_clips = true.sum()
    return {
        "accuracy": [_plain(wilson_interval(right.sum(), num_clips, CONFIDENCE))],
        "top_k_accuracy": [_plain(wilson_interval(totals[-1], num_clips, CONFIDENCE))],
        "precision": [_plain(wilson_interval(*pair, CONFIDENCE)) for pair in zip(right, predicted, strict=True)],
        "recall": [_plain(wilson_interval(*pair, CONFIDENCE)) for pair in zip(right, true, strict=True)],
        "f1": [_plain(f1_interval(*pair, CONFIDENCE)) for pair in zip(right, true + predicted - right, strict=True)],
    }


def _bootstrap_intervals(counts: np.ndarray, seed: int) -> dict[str, list[list[float]]]:
    """Intervals of every score when whole groups, here rows of `counts`, are drawn anew."""
    resampled = scores_of_counts(resample_groups(counts, seed))
    of_groups = scores_of_counts(counts)
    of_all = scores_of_counts(counts.sum(axis=0, keepdims=True))
    intervals: dict[str, list[list[float]]] = {}
    for score, values in resampled.items():
        columns = np.atleast_2d(values.T)
        num_groups = np.atleast_1d((~np.isnan(of_groups[score])).sum(axis=0))
        values_of_all = of_all[score].reshape(-1)
        intervals[score] = [
            _plain(percentile_interval(column, value, groups, CONFIDENCE))
            for column, value, groups in zip(columns, values_of_all, num_groups, strict=True)
        ]
    return intervals


def _plain(interval: tuple[float, float]) -> list[float]:
    return [float(end) for end in interval]


def _interval_methods(grouped: bool) -> dict[str, str]:
    drawn = "groups" if grouped else "clips"
    bootstrap = f"percentile bootstrap over {drawn}, {NUM_RESAMPLES} resamples"
    return {
        "accuracy": bootstrap if grouped else "Wilson score",
        "per_class": bootstrap if grouped else "Wilson score",
        "macro_f1": bootstrap,
    }


def _group_numbers(groups: Sequence[Any] | None, num_clips: int) -> np.ndarray:
    if groups is None:
        return np.arange(num_clips)
    if len(groups) != num_clips:
        raise ValueError(
            f"groups must name one group for each of the {num_clips} clips, in their order, received {len(groups)}."
        )
    return np.unique([str(group) for group in groups], return_inverse=True)[1]


def _checked_arrays(labels: Any, probabilities: Any, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _check_labels(labels, num_classes)
    _check_probabilities(probabilities, len(labels), num_classes)
    return labels.astype(np.int64), probabilities.astype(np.float64)


def _check_labels(labels: np.ndarray, num_classes: int) -> None:
    if num_classes < 2:
        raise ValueError(f"class_names must hold at least 2 names, received {num_classes}.")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels must be whole numbers of shape (N,), received {labels.dtype} of shape {labels.shape}. "
            f"Of one-hot labels, take labels.argmax(axis=1)."
        )
    if not len(labels):
        raise ValueError("labels must hold at least 1 clip, received 0 clips: is the dataset empty?")
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        raise ValueError(
            f"labels must lie in 0..{num_classes - 1} for {num_classes} class names, received "
            f"{labels[outside[0]]} for clip {outside[0]}. Check that the names are those the labels were made with."
        )


def _check_probabilities(probabilities: np.ndarray, num_clips: int, num_classes: int) -> None:
    if probabilities.shape != (num_clips, num_classes):
        raise ValueError(
            f"probabilities must have shape ({num_clips}, {num_classes}), a row for each label and a column for each "
            f"class name, received shape {probabilities.shape}."
        )
    not_finite = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if len(not_finite):
        raise ValueError(
            f"probabilities must be finite, received NaN or infinity for {len(not_finite)} of {num_clips} clips, "
            f"first for clip {not_finite[0]}. The model has diverged: try a lower learning rate or clip its gradients."
        )
    sums = probabilities.sum(axis=1, dtype=np.float64)
    # Half precision leaves sums a little off 1.
    wrong = np.flatnonzero((probabilities.min(axis=1) < 0) | (abs(sums - 1) > 0.02))
    if len(wrong):
        clip = wrong[0]
        raise ValueError(
            f"probabilities must be at least 0 and add up to 1 for each clip, received a smallest value of "
            f"{probabilities[clip].min():.3g} and a sum of {sums[clip]:.3g} for clip {clip}. Apply softmax to logits."
        )

"""Labels and scores of frames in, macro F1, average precision and AUC out, each beside what guessing gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from sora_keras.evaluation.groups import draw_groups, group_numbers_of
from sora_keras.evaluation.intervals import percentile_interval
from sora_keras.evaluation.partial_labels import checked_labels_and_scores
from sora_keras.evaluation.ranking import ranking_counts, scores_of_ranking_counts

CONFIDENCE = 0.95
SCORES = ("average_precision", "auc", "precision", "recall", "f1")
MEANS = {"macro_f1": "f1", "mean_average_precision": "average_precision", "mean_auc": "auc"}


def frame_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    label_names: Sequence[str],
    groups: Sequence[Any],
    thresholds: float | Sequence[float] = 0.5,
    exclusive: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Judges scores of frames, label by label and by the means over labels.

    F1 judges decisions: a label is predicted where its score reaches its threshold, and if labels are `exclusive` only
    the one with the highest score of its frame (with thresholds of 0, always one). Average precision and AUC judge the
    ranking and need no threshold. A mean is over the labels that have the score: one without positives has no average
    precision, and no F1 unless it is predicted, wrongly, which scores 0.

    Every score has its 95 % interval `[low, high]` under `<score>_interval`. Frames of a video are anything but
    independent, so whole groups are resampled. An undefined score is `None` with the interval `[0, 1]`.

    Args:
        labels: `(N, K)`: 1 where a label holds, 0 where it does not, -1 where nobody knows, which is left out.
        scores: `float (N, K)`, probabilities, or anything that ranks if the thresholds suit it.
        label_names: K names.
        groups: the video, recording or person that each frame is of, N names.
        thresholds: one for all labels, or K of them, chosen on other data than these.
        exclusive: whether a frame has at most one label.
        seed: the same seed gives the same intervals.

    Returns:
        `macro_f1`, `mean_average_precision`, `mean_auc`; `trivial`, the same ones of guessing: scores without order,
        and for F1 the most frequent label always (exclusive) or each label always; `per_label` (for each `name`,
        `num_frames`, `num_positives`, `prevalence`, which is also the average precision of guessing,
        `average_precision`, `auc`, `precision`, `recall`, `f1`); `num_frames`, `num_groups`, `exclusive`,
        `confidence`.

    Raises:
        ValueError: if shapes do not fit together, a label is not 1, 0 or -1, nothing is known or a score is not finite.

    Example:
        >>> labels, scores = np.array([[1], [1], [0], [-1]]), np.array([[0.9], [0.4], [0.2], [0.7]])
        >>> metrics = frame_metrics(labels, scores, ["fall"], groups=["a", "a", "b", "b"])
        >>> round(metrics["macro_f1"], 2), metrics["mean_average_precision"], metrics["per_label"][0]["recall"]
        (0.67, 1.0, 0.5)
    """
    labels, scores = checked_labels_and_scores(labels, scores)
    if len(label_names) != labels.shape[1]:
        raise ValueError(f"label_names must hold {labels.shape[1]} names, one a column, received {len(label_names)}.")
    numbers = group_numbers_of(groups, len(labels), "frames")
    predicted = _decisions(scores, thresholds, exclusive)
    draws = draw_groups(int(numbers.max()) + 1, seed)
    rows, resampled = [], []
    for column, name in enumerate(label_names):
        known = labels[:, column] >= 0
        row, of_resamples = _judge_label(
            name, labels[known, column], scores[known, column], predicted[known, column], numbers[known], draws
        )
        rows.append(row)
        resampled.append(of_resamples)
    return {
        **_means(rows, resampled, draws.shape[1]),
        "trivial": _trivial(rows, exclusive),
        "per_label": rows,
        "num_frames": len(labels),
        "num_groups": draws.shape[1],
        "exclusive": exclusive,
        "confidence": CONFIDENCE,
    }


def _decisions(scores: np.ndarray, thresholds: float | Sequence[float], exclusive: bool) -> np.ndarray:
    given = np.asarray(thresholds, np.float64)
    if given.shape not in ((), scores.shape[1:]):
        raise ValueError(f"thresholds must be one number or {scores.shape[1]}, one a label, received {given.size}.")
    predicted = scores >= given
    if exclusive:
        predicted &= np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    return predicted


def _judge_label(
    name: str, labels: np.ndarray, scores: np.ndarray, predicted: np.ndarray, numbers: np.ndarray, draws: np.ndarray
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One label's row of the result, and each of its scores in every resample."""
    num_positives = int(labels.sum())
    row = {"name": name, "num_frames": len(labels), "num_positives": num_positives}
    row["prevalence"] = num_positives / len(labels) if len(labels) else None
    values: dict[str, float] = dict.fromkeys(SCORES, np.nan)
    resampled = {score: np.full(len(draws), np.nan) for score in SCORES}
    num_units = 0
    if len(labels):
        counts = _decision_counts(labels, predicted, numbers, draws.shape[1])
        values.update({score: float(value[0]) for score, value in _decision_scores(counts.sum(axis=0)[None]).items()})
        resampled.update(_decision_scores(draws @ counts))
        num_units = len(np.unique(numbers))
    if num_positives:
        cells = ranking_counts(labels, scores, numbers)
        resampled.update(scores_of_ranking_counts(draws[:, : len(cells)] @ cells))
        values["average_precision"] = float(average_precision_score(labels, scores))
    if 0 < num_positives < len(labels):
        values["auc"] = float(roc_auc_score(labels, scores))
    for score, value in values.items():
        row[score] = None if np.isnan(value) else value
        row[f"{score}_interval"] = list(percentile_interval(resampled[score], value, num_units, CONFIDENCE))
    return row, resampled


def _decision_counts(labels: np.ndarray, predicted: np.ndarray, numbers: np.ndarray, num_groups: int) -> np.ndarray:
    """`float64 (G, 3)`: frames rightly predicted, of the label, and predicted as it."""
    kinds = ((labels == 1) & predicted, labels == 1, predicted)
    return np.stack([np.bincount(numbers[kind], minlength=num_groups) for kind in kinds], axis=1).astype(np.float64)


def _decision_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    right, true, predicted = counts.T
    return {
        "precision": _ratio(right, predicted),
        "recall": _ratio(right, true),
        "f1": _ratio(2 * right, true + predicted),
    }


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)


def _means(
    rows: Sequence[dict[str, Any]], resampled: Sequence[dict[str, np.ndarray]], num_groups: int
) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for mean, score in MEANS.items():
        values = [row[score] for row in rows if row[score] is not None]
        table = np.array([of_label[score] for of_label in resampled])
        is_defined = ~np.isnan(table)
        means = _ratio(np.where(is_defined, table, 0).sum(axis=0), is_defined.sum(axis=0))
        value = float(np.mean(values)) if values else np.nan
        metrics[mean] = value if values else None
        metrics[f"{mean}_interval"] = list(percentile_interval(means, value, num_groups, CONFIDENCE))
    return metrics


def _trivial(rows: Sequence[dict[str, Any]], exclusive: bool) -> dict[str, float | None]:
    prevalences = [row["prevalence"] for row in rows if row["num_positives"]]
    if not prevalences:
        return dict.fromkeys(MEANS)
    always = [2 * prevalence / (1 + prevalence) for prevalence in prevalences]
    # A label that never holds counts 0 if it is always predicted, and is left out if it never is.
    num_predicted = len(prevalences) if exclusive else sum(row["prevalence"] is not None for row in rows)
    has_auc = any(row["auc"] is not None for row in rows)
    return {
        "macro_f1": float((max(always) if exclusive else sum(always)) / num_predicted),
        "mean_average_precision": float(np.mean(prevalences)),
        "mean_auc": 0.5 if has_auc else None,
    }

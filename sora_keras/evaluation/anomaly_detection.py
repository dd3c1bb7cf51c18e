"""Scores and labels of the frames of test videos in, the AUC by each of the field's conventions out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sora_keras.evaluation.anomaly_curve import normalize_scores
from sora_keras.evaluation.frame_level import CONFIDENCE, frame_metrics


def anomaly_metrics(abnormal: Sequence[Any], scores: Sequence[Any], seed: int = 0) -> dict[str, Any]:
    """Tell how well scores rank abnormal frames above normal ones, in the three ways that papers do.

    The three are not comparable with each other, and papers do not always say which one theirs is.

    Args:
        abnormal: for each video `bool (N,)`, which of its frames are abnormal.
        scores: for each video `float (N,)`, the higher the more abnormal, smoothed or not.
        seed: the same seed gives the same intervals.

    Returns:
        `auc`, over the frames of all videos together, each video's scores stretched to 0..1 before, as most papers do;
        `auc_unnormalized`, the same without stretching, as a threshold in use would meet them; `mean_video_auc`, the
        mean over the videos that have frames of both kinds, which asks nothing across videos, and `None` if no video
        has both. `auc_interval` and `auc_unnormalized_interval`, resampled by whole videos. `num_videos`,
        `num_videos_of_both_kinds`, `num_frames`, `prevalence` (share of abnormal frames) and `confidence`.

    Raises:
        ValueError: if shapes do not fit together, a score is not finite, or there are no frames of one kind.

    Example:
        >>> metrics = anomaly_metrics([[0, 1, 1], [0, 0, 1]], [[1.0, 3.0, 2.0], [7.0, 8.0, 9.0]])
        >>> round(metrics["auc"], 2), round(metrics["auc_unnormalized"], 2), metrics["mean_video_auc"]
        (0.94, 0.56, 1.0)
    """
    if len(abnormal) != len(scores) or not len(scores):
        raise ValueError(f"expected scores and labels of the same videos, received {len(scores)} and {len(abnormal)}.")
    labels = [np.asarray(of_video).astype(int) for of_video in abnormal]
    for number, (label, score) in enumerate(zip(labels, scores, strict=True)):
        if label.shape != np.shape(score):
            raise ValueError(f"video {number} has labels of shape {label.shape}, and scores of {np.shape(score)}.")
    pooled = np.concatenate(labels)
    if pooled.min() == pooled.max():
        raise ValueError(f"expected normal and abnormal frames, received {len(pooled)} of one kind, {pooled[0]}.")
    groups = np.repeat(np.arange(len(labels)), [len(label) for label in labels])
    metrics: dict[str, Any] = {}
    for name, of_videos in (("auc", [normalize_scores(of) for of in scores]), ("auc_unnormalized", scores)):
        found = _judge(pooled, np.concatenate(of_videos), groups, seed)
        metrics[name], metrics[f"{name}_interval"] = found["auc"], found["auc_interval"]
    each = [
        _judge(label, np.asarray(score), np.zeros(len(label)), seed)["auc"]
        for label, score in zip(labels, scores, strict=True)
        if 0 < label.mean() < 1
    ]
    return {
        **metrics,
        "mean_video_auc": float(np.mean(each)) if each else None,
        "num_videos": len(labels),
        "num_videos_of_both_kinds": len(each),
        "num_frames": len(pooled),
        "prevalence": float(pooled.mean()),
        "confidence": CONFIDENCE,
    }


def _judge(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, Any]:
    (found,) = frame_metrics(labels[:, None], scores[:, None], ["abnormal"], groups.tolist(), seed=seed)["per_label"]
    return dict(found)

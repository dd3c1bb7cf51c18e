"""Labels of every frame, true and predicted, in; frame accuracy, edit score and segmental F1 out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from sora_keras.evaluation.bootstrap import resample_groups
from sora_keras.evaluation.groups import group_numbers_of
from sora_keras.evaluation.intervals import percentile_interval

OVERLAPS = (0.1, 0.25, 0.5)
CONFIDENCE = 0.95

_Run = tuple[int, int, int]


def segmentation_metrics(
    labels: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    background: int | None = None,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Judges the segmentation of videos into one label a frame, as is usual for actions.

    Accuracy counts frames. The edit score compares the order of the segments and forgives shifted borders: 1 less the
    Levenshtein distance over the longer order, the mean over videos. F1@25 counts a predicted segment as right if its
    IoU with the true one of its label that it agrees with most is at least 0.25 and no earlier one had found that; the
    counts of all videos are added up. All are 0..1. Frames whose true label is -1 are cut out of both.

    Every score has its 95 % interval `[low, high]` under `<score>_interval`, by the bootstrap over groups of videos.

    Args:
        labels: for each video the true label of each frame, whole numbers `(T,)`, -1 where nobody knows.
        predictions: for each video the predicted one, whole numbers `(T,)` from 0.
        background: a label whose segments do not count for the edit score and F1; its frames do for the accuracy.
        groups: the person or source of each video; `None` if the videos are independent.
        seed: the same seed gives the same intervals.

    Returns:
        `accuracy`, `edit_score`, `f1_at_10`, `f1_at_25`, `f1_at_50` (`None` where undefined), `num_videos`,
        `num_frames`, `num_groups` and `confidence`; videos without a known frame do not count.

    Raises:
        ValueError: if videos or their frames do not match, labels are not whole numbers, a prediction is negative, or
            nothing is known.

    Example:
        >>> metrics = segmentation_metrics([np.array([0, 0, 0, 1, 1])], [np.array([0, 0, 1, 1, 1])])
        >>> metrics["accuracy"], metrics["edit_score"], metrics["f1_at_50"]
        (0.8, 1.0, 1.0)

    Reference:
        C. Lea et al., "Temporal convolutional networks for action segmentation and detection", CVPR 2017.
    """
    if len(labels) != len(predictions):
        raise ValueError(
            f"labels and predictions must be of the same videos in the same order, received {len(labels)} and "
            f"{len(predictions)} videos."
        )
    numbers = group_numbers_of(groups, len(labels), "videos")
    videos = [_known_frames(video, *pair) for video, pair in enumerate(zip(labels, predictions, strict=True))]
    known = [video for video, (true, _) in enumerate(videos) if len(true)]
    if not known:
        raise ValueError(f"labels must hold at least 1 known frame, received none in {len(videos)} videos.")
    numbers = np.unique(numbers[known], return_inverse=True)[1]
    counts = np.zeros((numbers.max() + 1, 4 + 3 * len(OVERLAPS)))
    np.add.at(counts, numbers, [_counts_of_video(*videos[video], background) for video in known])
    resampled = _scores_of_counts(resample_groups(counts, seed))
    metrics: dict[str, Any] = {}
    for score, values in _scores_of_counts(counts.sum(axis=0, keepdims=True)).items():
        value = float(values[0])
        metrics[score] = None if np.isnan(value) else value
        metrics[f"{score}_interval"] = list(percentile_interval(resampled[score], value, len(counts), CONFIDENCE))
    sizes = {"num_videos": len(known), "num_frames": int(counts[:, 1].sum()), "num_groups": len(counts)}
    return metrics | sizes | {"confidence": CONFIDENCE}


def edit_score(labels: Sequence[int], predictions: Sequence[int]) -> float:
    """How far two orders of segments agree: 1 less their Levenshtein distance over the length of the longer one.

    Args:
        labels: the label of each true segment, in the order of time.
        predictions: the label of each predicted segment.

    Returns:
        0 (nothing agrees) to 1 (the same order); 1 for two empty orders.

    Example:
        >>> edit_score([0, 1, 2], [0, 2])  # one is missing of three
        0.6666666666666667

    Reference:
        V. I. Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals", Soviet Physics
        Doklady 10 (1966), 707-710.
    """
    if not len(labels) and not len(predictions):
        return 1.0
    distances = list(range(len(predictions) + 1))
    for row, label in enumerate(labels, start=1):
        diagonal, distances[0] = distances[0], row
        for column, prediction in enumerate(predictions, start=1):
            changed = diagonal + (label != prediction)
            diagonal = distances[column]
            distances[column] = min(changed, diagonal + 1, distances[column - 1] + 1)
    return 1 - distances[-1] / max(len(labels), len(predictions))


def _counts_of_video(labels: np.ndarray, predictions: np.ndarray, background: int | None) -> list[float]:
    """Right frames, frames, edit score, 1, and for each overlap: segments found, true ones, predicted ones."""
    true, predicted = _runs(labels, background), _runs(predictions, background)
    edit = edit_score([run[0] for run in true], [run[0] for run in predicted])
    counts = [float(np.sum(labels == predictions)), len(labels), edit, 1.0]
    for overlap in OVERLAPS:
        counts += [_num_found(true, predicted, overlap), len(true), len(predicted)]
    return counts


def _scores_of_counts(counts: np.ndarray) -> dict[str, np.ndarray]:
    scores = {"accuracy": counts[:, 0] / counts[:, 1], "edit_score": counts[:, 2] / counts[:, 3]}
    for index, overlap in enumerate(OVERLAPS):
        found, true, predicted = counts[:, 4 + 3 * index : 7 + 3 * index].T
        segments = true + predicted
        f1 = np.divide(2 * found, segments, out=np.full(found.shape, np.nan), where=segments > 0)
        scores[f"f1_at_{round(100 * overlap)}"] = f1
    return scores


def _runs(labels: np.ndarray, background: int | None) -> list[_Run]:
    """Label, first frame and the frame after the last one of each segment."""
    borders = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    runs = [(int(labels[first]), first, end) for first, end in itertools.pairwise(borders)]
    return [run for run in runs if run[0] != background]


def _num_found(true: Sequence[_Run], predicted: Sequence[_Run], overlap: float) -> int:
    found: set[int] = set()
    for label, first, end in predicted:
        ious = [_iou(first, end, *run[1:]) if run[0] == label else 0.0 for run in true]
        best = int(np.argmax(ious)) if ious else -1
        if ious and ious[best] >= overlap:
            found.add(best)
    return len(found)


def _iou(first: int, end: int, other_first: int, other_end: int) -> float:
    shared = max(0, min(end, other_end) - max(first, other_first))
    return shared / (end - first + other_end - other_first - shared)


def _known_frames(video: int, labels: Any, predictions: Any) -> tuple[np.ndarray, np.ndarray]:
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.ndim != 1 or labels.shape != predictions.shape:
        raise ValueError(
            f"labels and predictions of a video must have the same shape (T,), received {labels.shape} and "
            f"{predictions.shape} in video {video}."
        )
    for name, array, lowest in (("labels", labels, -1), ("predictions", predictions, 0)):
        if not np.issubdtype(array.dtype, np.integer) and array.size:
            raise ValueError(f"{name} must be whole numbers, received {array.dtype} in video {video}.")
        if array.size and array.min() < lowest:
            raise ValueError(f"{name} must be at least {lowest}, received {array.min()} in video {video}.")
    known = labels >= 0
    return labels[known], predictions[known]

"""Batches of labels and probabilities of videos in, the four scores by which YouTube-8M is judged out."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable
from typing import Any

import numpy as np

NEGLIGIBLE = 1e-7  # what the order of equal scores may change unheeded: the last bit of 32-bit numbers


def youtube8m_metrics(
    batches: Iterable[tuple[Any, Any]],
    top_k: int = 20,
    top_n: int | None = None,
    skips_absent_labels: bool = True,
) -> dict[str, Any]:
    """Judge predictions as YouTube-8M's starter code does, batch by batch.

    Of each video only the `top_k` most probable labels are kept, some 180 MB a million videos, and 2 GB while they are
    sorted at the end; all but `perr` and `hit_at_1` know nothing of the others.

    - `gap`: the average precision of all kept predictions in one list, whatever their label, of all labels that hold.
    - `map`: the mean over labels of the average precision of the kept predictions of one label.
    - `perr`: of a video with n labels, how many of them are among the n most probable ones with a probability over 0;
      the mean over videos, 0 for one without labels.
    - `hit_at_1`: how often the most probable label holds; the first of several equal ones.

    Equal scores: which of several equal labels of a video are kept is up to `np.argpartition`, as there. Equal scores
    of a list are in the starter code's pseudo-random order, so a figure depends on the order of the videos and on the
    size of the batches, as there. That order is drawn only where it may change a score by more than 1e-7.

    Args:
        batches: labels `(B, K)` of 0 and 1, and probabilities `(B, K)`, of one batch after another.
        top_k: predictions of each video to keep.
        top_n: average precision of each label counts only so many of its most probable videos; `None` all of them, as
            published scores of whole videos do.
        skips_absent_labels: whether a label that no video has is left out of `map`, as the starter code does since
            2019, or counts as 0, as before.

    Returns:
        `gap`, `map`, `perr`, `hit_at_1`, `num_videos`, `average_precisions` `float64 (K,)`, NaN where no video has the
        label.

    Raises:
        ValueError: if there are no videos, shapes differ, a label is neither 0 nor 1, a probability is not from 0 to 1,
            or a number is less than 1.

    Example:
        >>> labels, probabilities = np.eye(3)[[0, 1]], np.array([[0.9, 0.1, 0.0], [0.3, 0.2, 0.1]])
        >>> scores = youtube8m_metrics([(labels, probabilities)])
        >>> round(scores["gap"], 3), scores["hit_at_1"]
        (0.833, 0.5)

    Reference:
        https://github.com/google/youtube-8m: eval_util.py, average_precision_calculator.py and
        mean_average_precision_calculator.py.
    """
    for name, number in (("top_k", top_k), ("top_n", top_n)):
        if number is not None and number < 1:
            raise ValueError(f"`{name}` must be at least 1, received {number!r}.")
    kept, positives, hits, recalled, num_videos = [], np.zeros(0), 0.0, 0.0, 0
    for labels, probabilities in batches:
        is_label, scores = _checked(labels, probabilities, len(positives))
        num_videos += len(scores)
        positives = is_label.sum(axis=0) + (positives if len(positives) else 0)
        hits += is_label[np.arange(len(scores)), scores.argmax(axis=1)].sum()
        recalled += _precision_at_equal_recall(is_label, scores)
        kept.append(_most_probable(is_label, scores, top_k))
    if not num_videos:
        raise ValueError("There are no videos to judge: expected at least one batch with one, received none.")
    scores, is_positive, places = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    gap = _average_precision(scores, is_positive, positives.sum(), None)
    precisions = _of_each_label(scores, is_positive, places, positives, top_n)
    counted = precisions[positives > 0] if skips_absent_labels else np.nan_to_num(precisions)
    return {
        "gap": gap,
        "map": float(counted.mean()) if len(counted) else 0.0,
        "perr": float(recalled / num_videos),
        "hit_at_1": float(hits / num_videos),
        "num_videos": num_videos,
        "average_precisions": precisions,
    }


def _checked(labels: Any, probabilities: Any, num_labels: int) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = np.asarray(labels), np.asarray(probabilities)
    if scores.ndim != 2 or labels.shape != scores.shape or num_labels not in (0, scores.shape[1]):
        raise ValueError(
            f"Labels and probabilities must both be (B, K), K the same in all batches, received {labels.shape} and "
            f"{scores.shape}" + (f" after batches of {num_labels} labels." if num_labels else ".")
        )
    strange = labels[(labels != 0) & (labels != 1)]
    if strange.size:
        raise ValueError(f"Labels must be 0 or 1, received {strange[0]}: unknown ones cannot be judged so.")
    wrong = scores[~((scores >= 0) & (scores <= 1))]
    if wrong.size:
        raise ValueError(f"Probabilities must be from 0 to 1, received {wrong[0]}: pass logits through a sigmoid.")
    return labels.astype(bool), scores


def _precision_at_equal_recall(is_label: np.ndarray, scores: np.ndarray) -> float:
    """Summed over videos; those of equally many labels together."""
    counts = is_label.sum(axis=1)
    total = 0.0
    for count in set(counts.tolist()) - {0}:
        rows = counts == count
        found = (is_label & (scores > 0))[rows]
        top = np.argpartition(scores[rows], -count, axis=1)[:, -count:]
        total += np.take_along_axis(found, top, axis=1).sum() / count
    return total


def _most_probable(is_label: np.ndarray, scores: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, whether they hold, and labels `(B * k,)`, label by label, which is the starter code's order."""
    top_k = min(top_k, scores.shape[1])
    top = np.argpartition(scores, -top_k, axis=1)[:, -top_k:]
    order = np.argsort(top, axis=None, kind="stable")
    kept, holds = (np.take_along_axis(array, top, axis=1).ravel()[order] for array in (scores, is_label))
    return kept, holds, top.ravel()[order].astype(np.int32)


def _of_each_label(
    scores: np.ndarray, is_positive: np.ndarray, places: np.ndarray, positives: np.ndarray, top_n: int | None
) -> np.ndarray:
    order = np.argsort(places, kind="stable")
    ends = np.searchsorted(places[order], np.arange(1, len(positives) + 1))
    precisions = np.full(len(positives), np.nan)
    for label, rows in enumerate(np.split(order, ends[:-1])):
        if positives[label]:
            precisions[label] = _average_precision(scores[rows], is_positive[rows], positives[label], top_n)
    return precisions


def _average_precision(scores: np.ndarray, is_positive: np.ndarray, num_positives: int, top_n: int | None) -> float:
    """Of a list in order of its scores; equal ones in the starter code's order, if that matters."""
    if not num_positives:
        return 0.0
    best, worst = (
        _of_order(is_positive[np.lexsort((tie, -scores))], num_positives, top_n) for tie in (~is_positive, is_positive)
    )
    if best - worst <= NEGLIGIBLE:
        return (best + worst) / 2
    return _of_order(_official_order(scores, is_positive, top_n), num_positives, top_n)


def _of_order(is_positive: np.ndarray, num_positives: int, top_n: int | None) -> float:
    ranks = np.flatnonzero(is_positive[:top_n]) + 1
    possible = num_positives if top_n is None else min(num_positives, top_n)
    return float((np.arange(1, len(ranks) + 1) / ranks).sum() / possible)


def _official_order(scores: np.ndarray, is_positive: np.ndarray, top_n: int | None) -> np.ndarray:
    """Whether each holds, by descending score, equal ones as they lie in a shuffled heap of scores and labels."""
    ranks = np.unique(scores, return_inverse=True)[1].astype(np.int64)
    heap: list[int] = []
    for key in (2 * ranks + is_positive).tolist():
        if top_n is None or len(heap) < top_n:
            heapq.heappush(heap, key)
        elif key // 2 > heap[0] // 2:
            heapq.heappop(heap)
            heapq.heappush(heap, key)
    shuffled = np.array(random.Random(0).sample(heap, len(heap)))
    return (shuffled % 2 == 1)[np.argsort(-(shuffled // 2), kind="stable")]

"""Rows in, what labels their clips in a `tf.data` pipeline out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sora_keras.data.manifest import Row
from sora_keras.data.timed_labels import FRAMES_SUFFIX, vocabulary_labels

LABEL_MODES = ("int", "categorical", "binary", "multi_label", None)
LabelOf = Callable[[Any, Any], Any]


def labels_of_rows(rows: Sequence[Row], label_mode: str | None, class_names: Sequence[str]) -> LabelOf | None:
    """Label each clip by its row.

    Args:
        rows: the rows.
        label_mode: one of `LABEL_MODES`.
        class_names: names of the classes, in the order of the labels.

    Returns:
        A function from row numbers `(B,)` and times to labels, `None` where `label_mode` wants none.

    Raises:
        ValueError: if there is no such mode, or a row has no label or one that is not in `class_names`.
    """
    labels = _row_labels(rows, label_mode, class_names)
    return None if label_mode is None else lambda indices, times: tf.gather(tf.constant(labels), indices)


def labels_at_times(
    rows: Sequence[Row], vocabularies: Mapping[str, Sequence[str]], frames_per_second: float | None
) -> LabelOf:
    """Label each clip and its frames by the events and labels of its row.

    Args:
        rows: the rows.
        vocabularies: name of each vocabulary -> names of its labels.
        frames_per_second: of the clips, `None` where they have no rate.

    Returns:
        A function from row numbers `(B,)` and times `(B, T)` to the arrays of `vocabulary_labels`, batched.
    """
    keys = [name + suffix for name in vocabularies for suffix in ("", FRAMES_SUFFIX)]

    def read(indices: np.ndarray, times: np.ndarray) -> list[np.ndarray]:
        if not indices.ndim:
            return list(vocabulary_labels(rows[int(indices)], vocabularies, times, frames_per_second).values())
        each = [
            vocabulary_labels(rows[index], vocabularies, times_of, frames_per_second)
            for index, times_of in zip(indices, times, strict=True)
        ]
        return [np.stack([labels[key] for labels in each]) for key in keys]

    def label(indices: Any, times: Any) -> dict[str, Any]:
        arrays = dict(zip(keys, tf.numpy_function(read, (indices, times), [tf.float32] * len(keys)), strict=True))
        for vocabulary, names in vocabularies.items():
            arrays[vocabulary].set_shape((*indices.shape, len(names)))
            arrays[vocabulary + FRAMES_SUFFIX].set_shape((*times.shape, len(names)))
        return arrays

    return label


def _row_labels(rows: Sequence[Row], label_mode: str | None, class_names: Sequence[str]) -> np.ndarray:
    """A label for each row, as `label_mode` wants it."""
    if label_mode not in LABEL_MODES:
        raise ValueError(f"`label_mode` must be one of {LABEL_MODES}, received {label_mode!r}.")
    if label_mode is None:
        return np.zeros(len(rows), np.int32)
    index_of = {name: index for index, name in enumerate(class_names)}
    for row in rows:
        if label_mode == "multi_label" and (unknown := sorted(set(row.labels) - set(class_names))):
            raise ValueError(f"{row.path} has the labels {unknown}, expected some of {list(class_names)}.")
        if label_mode != "multi_label" and row.label not in index_of:
            raise ValueError(f"{row.path} has the label {row.label!r}, expected one of {list(class_names)}.")
    if label_mode == "multi_label":
        return np.array([[name in row.labels for name in class_names] for row in rows], np.float32)
    labels = np.array([index_of[row.label] for row in rows], np.int32)  # type: ignore[index]
    if label_mode == "categorical":
        return np.eye(len(class_names), dtype=np.float32)[labels]
    if label_mode == "binary":
        if len(class_names) != 2:
            raise ValueError(f'`label_mode="binary"` needs exactly 2 classes, received {len(class_names)}.')
        return labels.astype(np.float32)[:, None]
    return labels

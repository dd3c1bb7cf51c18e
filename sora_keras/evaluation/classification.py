"""A classifier and labeled clips to an `Evaluation`: metrics, predictions and the worst mistakes."""

from __future__ import annotations

import dataclasses
import heapq
import warnings
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np

from sora_keras.evaluation.metrics import classification_metrics
from sora_keras.evaluation.mistake import Mistake
from sora_keras.progress import show_progress

# (probability, -index of the clip, predicted class, frames): a heap of them drops the least confident and latest first.
_Wrong = tuple[float, int, int, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What a classifier did on a dataset.

    Args:
        metrics: as `classification_metrics` returns them.
        labels: `int64 (N,)`, the true classes in the dataset's order.
        probabilities: `float64 (N, K)`, the predicted ones.
        mistakes: the worst ones, the most confident first.
    """

    metrics: dict[str, Any]
    labels: np.ndarray
    probabilities: np.ndarray
    mistakes: list[Mistake]


def evaluate_classifier(
    model: Any,
    dataset: Iterable[Any],
    class_names: Sequence[str] | None = None,
    groups: Sequence[Any] | None = None,
    num_mistakes: int = 8,
    from_logits: bool = True,
) -> Evaluation:
    """Runs a classifier over a dataset once, batch by batch, and judges it.

    Memory holds one batch, the predictions and the frames of the worst mistakes. A terminal shows the progress.

    Args:
        model: Keras model, frames `(B, T, H, W, 3)` -> `(B, K)`.
        dataset: batches of frames `uint8 (B, T, H, W, 3)` and labels, whole numbers `(B,)` or one-hot `(B, K)`. Its
            `file_paths`, less the files in its `faults`, name the mistakes, in the dataset's order.
        class_names: K names; by default those of the model, else of the dataset, else numbers.
        groups: the source of each clip, in the dataset's order; by default those of its rows, where clips share them;
            see `classification_metrics`.
        num_mistakes: how many mistakes to keep, those with the highest probability of a wrong class.
        from_logits: whether the model returns logits; `False` if it returns probabilities.

    Returns:
        The `Evaluation`.

    Raises:
        ValueError: if the dataset is empty or endless, the model returns something else, or names do not fit.

    Example:
        >>> evaluation = evaluate_classifier(model, validation_dataset)  # doctest: +SKIP
        >>> save_report(evaluation.metrics, "report", mistakes=evaluation.mistakes)  # doctest: +SKIP
    """
    names = _known_class_names(model, dataset, class_names)
    labels: list[np.ndarray] = []
    probabilities: list[np.ndarray] = []
    worst: list[_Wrong] = []
    num_clips = 0
    for frames, batch_labels in _batches(dataset):
        batch_probabilities = _predict(model, frames, names, from_logits)
        _keep_worst(worst, num_mistakes, num_clips, frames, batch_labels, batch_probabilities)
        labels.append(batch_labels)
        probabilities.append(batch_probabilities)
        num_clips += len(batch_labels)
    if not num_clips:
        raise ValueError("The dataset must hold at least 1 clip, received 0. Check its files, filters and splits.")
    all_labels, all_probabilities = np.concatenate(labels), np.concatenate(probabilities)
    names = names or [str(index) for index in range(all_probabilities.shape[1])]
    rows = _rows_read(dataset, num_clips)
    if groups is None and len({row.group for row in rows}) < len(rows):
        groups = [row.group for row in rows]
    metrics = classification_metrics(all_labels, all_probabilities, names, groups=groups)
    mistakes = _mistakes(worst, all_labels, names, [row.path for row in rows])
    return Evaluation(metrics, all_labels, all_probabilities, mistakes)


def _batches(dataset: Iterable[Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches as NumPy arrays, with the progress shown on a terminal."""
    for batch in show_progress(dataset, "Evaluating", _num_batches(dataset)):
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise ValueError(f"The dataset must yield (frames, labels), received {type(batch).__name__}.")
        frames, labels = np.asarray(batch[0]), np.asarray(batch[1])
        if frames.ndim != 5:
            raise ValueError(
                f"The dataset must yield frames of shape (B, T, H, W, 3), received {frames.shape}. Batch it first."
            )
        if labels.ndim == 2:
            labels = labels.argmax(axis=1) if labels.shape[1] > 1 else labels[:, 0]
        yield frames, labels


def _num_batches(dataset: Iterable[Any]) -> int | None:
    """Batches in a `tf.data.Dataset` or a sequence; `None` where nobody knows."""
    if not hasattr(dataset, "cardinality"):
        return len(dataset) if isinstance(dataset, Sized) else None
    cardinality = int(dataset.cardinality())
    if cardinality == -1:
        raise ValueError("The dataset never ends. Evaluate it without repeat(), or with take(number of batches).")
    return cardinality if cardinality >= 0 else None


def _predict(model: Any, frames: np.ndarray, names: Sequence[str] | None, from_logits: bool) -> np.ndarray:
    """Probabilities `float64 (B, K)` of one batch."""
    outputs = model.predict_on_batch(frames)
    shape = tuple(getattr(outputs, "shape", ()))
    if len(shape) != 2 or (names is not None and shape[1] != len(names)):
        expected = f"({len(frames)}, {'K' if names is None else len(names)})"
        raise ValueError(
            f"The model must return one array of shape {expected}, a number for each clip of the batch and each class "
            f"name, received {type(outputs).__name__} of shape {shape}."
        )
    outputs = np.asarray(outputs).astype(np.float64)
    if not from_logits:
        return outputs
    if outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        raise ValueError("The model returns probabilities, not logits. Evaluate it with from_logits=False.")
    with np.errstate(invalid="ignore"):  # the metrics refuse what is not finite, and say which clip it is
        exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _keep_worst(
    worst: list[_Wrong],
    num_mistakes: int,
    first_index: int,
    frames: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
) -> None:
    """Adds a batch's mistakes to the heap `worst`, and drops the least confident ones."""
    predictions = probabilities.argmax(axis=1)
    for row in np.flatnonzero(predictions != labels):
        probability = float(probabilities[row, predictions[row]])
        if len(worst) < num_mistakes or (worst and probability > worst[0][0]):
            # The copy lets go of the batch. Indices differ, so the heap never compares frames.
            heapq.heappush(worst, (probability, -first_index - int(row), int(predictions[row]), frames[row].copy()))
        if len(worst) > num_mistakes:
            heapq.heappop(worst)


def _mistakes(
    worst: list[_Wrong], labels: np.ndarray, names: Sequence[str], paths: Sequence[str] | None
) -> list[Mistake]:
    return [
        Mistake(frames, names[labels[-index]], names[predicted], probability, paths[-index] if paths else None)
        for probability, index, predicted, frames in sorted(worst, key=lambda wrong: wrong[:2], reverse=True)
    ]


def _known_class_names(model: Any, dataset: Any, class_names: Sequence[str] | None) -> list[str] | None:
    if class_names is not None:
        return list(class_names)
    of_model, of_dataset = getattr(model, "class_names", None), getattr(dataset, "class_names", None)
    if of_model and of_dataset and list(of_model) != list(of_dataset):
        raise ValueError(
            f"The model and the dataset must have the same class_names in the same order, received {list(of_model)} "
            f"and {list(of_dataset)}. Load the dataset with the model's names, or give class_names to trust neither."
        )
    return list(of_model or of_dataset or []) or None


def _rows_read(dataset: Any, num_clips: int) -> list[Any]:
    """The rows of the dataset that yielded a clip, in order; none where that is not known."""
    if getattr(dataset, "is_shuffled", False):
        warnings.warn(
            "The dataset is shuffled, so mistakes stay without names and clips count as independent: evaluate one made "
            "with shuffle=False.",
            stacklevel=3,
        )
        return []
    faults = getattr(dataset, "faults", ())
    rows = [row for row in getattr(dataset, "rows", ()) if row not in faults]
    if rows and len(rows) != num_clips:
        warnings.warn(
            f"The dataset has {len(rows)} readable rows but yielded {num_clips} clips, so mistakes stay without names "
            "and clips count as independent.",
            stacklevel=3,
        )
        return []
    return rows

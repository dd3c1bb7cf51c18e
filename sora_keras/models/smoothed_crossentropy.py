"""Whole-number labels and logits in, the cross-entropy with smoothed labels out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class SmoothedCrossentropy(keras.losses.Loss):
    """`keras.losses.SparseCategoricalCrossentropy` on logits, with the label smoothing that it lacks.

    Args:
        label_smoothing: share of each label that is spread evenly over all K classes, from 0 to below 1.

    Call arguments:
        y_true: whole numbers `(B,)` or `(B, 1)`.
        y_pred: logits `(B, K)`.

    Raises:
        ValueError: if the share is out of its range.

    Example:
        >>> model.compile("adam", SmoothedCrossentropy(0.1), metrics=["accuracy"])

    Reference:
        Szegedy et al.: Rethinking the Inception Architecture, 2016: `(1 - s) * one_hot + s / K`.
    """

    def __init__(
        self,
        label_smoothing: float = 0.1,
        reduction: str = "sum_over_batch_size",
        name: str | None = "smoothed_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must be a share from 0 to below 1, received {label_smoothing!r}.")
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each clip, `(B,)`."""
        labels = ops.one_hot(ops.reshape(y_true, (-1,)), y_pred.shape[-1], dtype=y_pred.dtype)
        return keras.losses.categorical_crossentropy(labels, y_pred, True, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}

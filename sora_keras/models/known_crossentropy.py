"""Labels of which some are unknown in, binary crossentropy over the known ones out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class KnownBinaryCrossentropy(keras.losses.Loss):
    """Binary crossentropy of logits, averaged over the labels that are known: 1 holds, 0 does not, -1 is unknown.

    The average is over what a batch knows, so a label weighs more in a batch that knows little: shuffle well, and
    compare losses of the same batch size.

    Args:
        positive_weight: how much a label that holds weighs beside one that does not.

    Call arguments:
        y_true: `(B, ..., K)`, of 1, 0 and -1.
        y_pred: logits of the same shape.

    Returns:
        The mean over the known labels of the batch; 0 where none is known.

    Raises:
        ValueError: if `positive_weight` is not positive.

    Example:
        >>> model.compile("adam", loss=KnownBinaryCrossentropy(positive_weight=3.0))
    """

    def __init__(self, positive_weight: float = 1.0, name: str = "known_binary_crossentropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not positive_weight > 0:
            raise ValueError(f"`positive_weight` must be positive, received {positive_weight!r}.")
        self.positive_weight = positive_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Losses `(B, ...)`, such that their mean is the mean over what is known."""
        y_true = ops.cast(y_true, y_pred.dtype)
        known = ops.cast(y_true >= 0, y_pred.dtype)
        losses = keras.losses.binary_crossentropy(y_true[..., None], y_pred[..., None], from_logits=True)
        weights = known * ops.where(y_true > 0.5, self.positive_weight, 1.0)
        share_known = ops.mean(known)
        return ops.mean(losses * weights, axis=-1) / ops.maximum(share_known, keras.config.epsilon())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "positive_weight": self.positive_weight}

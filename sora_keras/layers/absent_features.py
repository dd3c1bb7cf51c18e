"""Features and which of them mean anything in, the same with a learned vector in place of the others out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class AbsentFeatures(keras.layers.Layer):
    """Put one learned vector wherever a modality is missing, which says so to the layers that follow.

    What an encoder makes of nothing is no statement; a vector of its own is told from every real one.

    Call arguments:
        features: `(B, T, D)`.
        is_present: `bool (B, T)`, which of the vectors to keep.

    Returns:
        Features of the same shape and dtype.

    Example:
        >>> AbsentFeatures()(keras.Input((16, 64)), keras.Input((16,), dtype="bool")).shape
        (None, 16, 64)
    """

    def build(self, features_shape: tuple[int | None, ...], is_present_shape: Any = None) -> None:
        """Make the vector, zeros to begin with."""
        self.absent = self.add_weight((features_shape[-1],), "zeros", name="absent")
        self.built = True

    def call(self, features: Any, is_present: Any) -> Any:
        """Choose between the two."""
        absent = ops.cast(self.absent, features.dtype)
        return ops.where(ops.expand_dims(is_present, -1), features, absent)

    def compute_output_shape(
        self, features_shape: tuple[int | None, ...], is_present_shape: Any = None
    ) -> tuple[int | None, ...]:
        """As the features came in."""
        return features_shape

"""Put each frame beside its change since the frame before: appearance and motion as one input."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class TemporalDifference(keras.layers.Layer):
    """Append `frame[t] - frame[t - 1]` to each frame's channels; zeros for the first frame. Causal.

    A 2D network that then averages over space cannot tell in which direction something moves from single frames; the
    difference of two frames is the smallest input that shows it (temporal difference as in TSN, Wang et al. 2016,
    https://arxiv.org/abs/1608.00859).

    Call arguments:
        inputs: `(B, T, H, W, C)`, floating point.

    Returns:
        `(B, T, H, W, 2 * C)`: the frames, then the differences.

    Example:
        >>> TemporalDifference()(keras.Input((16, 64, 64, 3))).shape
        (None, 16, 64, 64, 6)
    """

    def call(self, inputs: Any) -> Any:
        """Concatenate frames and differences over the channels."""
        first = ops.zeros_like(inputs[:, :1])
        differences = ops.concatenate([first, inputs[:, 1:] - inputs[:, :-1]], axis=1)
        return ops.concatenate([inputs, differences], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Twice the channels."""
        return (*input_shape[:-1], None if input_shape[-1] is None else 2 * input_shape[-1])

"""Features of each frame in, the same out with the frame's place in the clip added."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

LONGEST_PERIOD = 10_000.0


@keras.saving.register_keras_serializable(package="sora_keras")
class PositionEmbedding(keras.layers.Layer):
    """Add sines and cosines of the frame's number, of periods from 6 frames to 60,000: no weights, so for any T.

    Call arguments:
        inputs: `(B, T, E)`, floating point.

    Returns:
        The same shape.

    Example:
        >>> PositionEmbedding()(keras.Input((None, 128))).shape
        (None, None, 128)

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, https://arxiv.org/abs/1706.03762
    """

    def call(self, inputs: Any) -> Any:
        """Half of the columns get sines, half cosines."""
        width = inputs.shape[-1]
        half = -(-width // 2)
        frequency = ops.exp(ops.arange(half, dtype="float32") * (-math.log(LONGEST_PERIOD) / half))
        angle = ops.expand_dims(ops.arange(ops.shape(inputs)[1], dtype="float32"), -1) * frequency
        positions = ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)[:, :width]
        return inputs + ops.cast(positions, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As came in."""
        return input_shape

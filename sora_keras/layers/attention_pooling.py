"""Features of each frame in, one weighted average of them a clip out; the weights are learned."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class AttentionPooling(keras.layers.Layer):
    """Average over frames, each weighted by how much its features matter: `softmax(tanh(x W + b) v)` over T.

    Args:
        units: columns of W, how finely features are judged.

    Call arguments:
        inputs: `(B, T, E)`, floating point.
        mask: bool `(B, T)`, true where a frame is real; the others get no weight. Each clip needs one real frame.

    Returns:
        `(B, E)`.

    Raises:
        ValueError: if `units` is less than 1.

    Example:
        >>> AttentionPooling(64)(keras.Input((None, 128))).shape
        (None, 128)

    Reference:
        Yang et al., Hierarchical Attention Networks for Document Classification, 2016,
        https://aclanthology.org/N16-1174
    """

    def __init__(self, units: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be at least 1, received {units!r}.")
        self.units = units
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """W, b and v."""
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.judge = self.add_weight(shape=(self.units, 1), name="judge")

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Weights that add up to 1 over the real frames."""
        scores = self.scores(inputs)
        if mask is not None:
            scores = ops.where(ops.expand_dims(mask, -1), scores, -1e9)
        # A softmax; Keras's own warns of clips of one frame.
        weights = ops.cast(ops.exp(scores - ops.logsumexp(scores, axis=1, keepdims=True)), inputs.dtype)
        return ops.sum(weights * inputs, axis=1)

    def scores(self, inputs: Any) -> Any:
        """How much each frame counts, before the softmax: `float32 (..., 1)`."""
        scores = ops.matmul(ops.tanh(ops.matmul(inputs, self.kernel) + self.bias), self.judge)
        return ops.cast(scores, "float32")

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """There are no frames any more."""

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Without the frames."""
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units}

"""Features in, the same out, each weakened by a gate that looks at all of them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

OPEN = 5.0  # a gate of 0.993


@keras.saving.register_keras_serializable(package="sora_keras")
class ContextGating(keras.layers.Layer):
    """Multiply each feature by a gate between 0 and 1 that is learned from all features: `sigmoid(x W + b) * x`.

    Behind a classifier it reads the probabilities of all labels and lowers those that do not go together. These may
    come as logits: the gated probability then leaves as a logit too, computed on logarithms, so that none of its
    precision is lost next to 0 and 1. All gates begin open, at 0.993, so that the layer first changes nothing.

    Args:
        from_logits: whether the inputs stand for the probabilities `sigmoid(inputs)`.
        l2: L2 penalty on the kernel.

    Call arguments:
        inputs: `(B, F)`, floating point.

    Returns:
        The same shape.

    Example:
        >>> gated = ContextGating(from_logits=True)(MixtureOfExperts(3862)(embedding))

    Reference:
        Miech, Laptev, Sivic, Learnable pooling with Context Gating for video classification, 2017,
        https://arxiv.org/abs/1706.06905
    """

    def __init__(self, from_logits: bool = False, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.from_logits = from_logits
        self.l2 = l2

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """W and b."""
        size = input_shape[-1]
        penalty = keras.regularizers.L2(self.l2) if self.l2 else None
        # A gate that begins half open bounds the probability of what is certain until it has learned to open.
        self.kernel = self.add_weight(shape=(size, size), initializer="zeros", regularizer=penalty, name="kernel")
        self.bias = self.add_weight(shape=(size,), initializer=keras.initializers.Constant(OPEN), name="bias")

    def call(self, inputs: Any) -> Any:
        """With probabilities p and q of the logits a and b, the logit of `p q` is `-log(e^-a + e^-b + e^-(a + b))`."""
        features = ops.sigmoid(inputs) if self.from_logits else inputs
        gates = ops.matmul(features, self.kernel) + self.bias
        if not self.from_logits:
            return ops.sigmoid(gates) * inputs
        return -ops.logsumexp(ops.stack([-inputs, -gates, -inputs - gates], axis=-1), axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As came in."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "from_logits": self.from_logits, "l2": self.l2}

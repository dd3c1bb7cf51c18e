"""Features of a clip in, a logit for each of many labels out: each label has experts of its own, and a gate."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class MixtureOfExperts(keras.layers.Layer):
    """Tell the probability of each label, as a logit, by a mixture of logistic experts.

    A softmax gate shares each label among its experts and one more that always answers no:
    `p = sum_e softmax(x W + b, 0)_e * sigmoid(x U + c)_e`, apart for each of the K labels. Computed on logarithms, so
    that probabilities next to 0 and 1 keep their order, and their gradient.

    Args:
        num_labels: labels K, any number of which may hold.
        num_experts: experts of each label, beside the one that answers no.
        l2: L2 penalty on the kernels.

    Call arguments:
        inputs: `(B, F)`, floating point.

    Returns:
        Logits `float32 (B, K)`.

    Raises:
        ValueError: if a number is less than 1.

    Example:
        >>> MixtureOfExperts(3862)(keras.Input((1024,))).shape
        (None, 3862)

    Reference:
        Abu-El-Haija et al., YouTube-8M: A Large-Scale Video Classification Benchmark, 2016, section 4.2,
        https://arxiv.org/abs/1609.08675; Jordan, Jacobs, Hierarchical Mixtures of Experts and the EM Algorithm, 1994.
    """

    def __init__(self, num_labels: int, num_experts: int = 2, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, number in (("num_labels", num_labels), ("num_experts", num_experts)):
            if number < 1:
                raise ValueError(f"`{name}` must be at least 1, received {number!r}.")
        self.num_labels = num_labels
        self.num_experts = num_experts
        self.l2 = l2

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Kernels and biases of gates and experts, those of one label side by side."""
        columns = self.num_labels * self.num_experts
        penalty = keras.regularizers.L2(self.l2) if self.l2 else None
        for name in ("gate", "expert"):
            kernel = self.add_weight(shape=(input_shape[-1], columns), regularizer=penalty, name=f"{name}_kernel")
            bias = self.add_weight(shape=(columns,), initializer="zeros", name=f"{name}_bias")
            setattr(self, f"{name}_kernel", kernel)
            setattr(self, f"{name}_bias", bias)

    def call(self, inputs: Any) -> Any:
        """`log p - log (1 - p)`, from which the gate's denominator cancels; 0 is the gate of the one that says no."""
        gates = self._of_each_label(ops.matmul(inputs, self.gate_kernel) + self.gate_bias)
        experts = self._of_each_label(ops.matmul(inputs, self.expert_kernel) + self.expert_bias)
        yes = ops.logsumexp(gates + ops.log_sigmoid(experts), axis=-1)
        no = ops.concatenate([gates + ops.log_sigmoid(-experts), ops.zeros_like(gates[..., :1])], axis=-1)
        return yes - ops.logsumexp(no, axis=-1)

    def _of_each_label(self, activations: Any) -> Any:
        """`(B, K * E)` to `(B, K, E)`, in full precision for the logarithms."""
        return ops.cast(ops.reshape(activations, (-1, self.num_labels, self.num_experts)), "float32")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """A logit for each label."""
        return (*input_shape[:-1], self.num_labels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_labels": self.num_labels,
            "num_experts": self.num_experts,
            "l2": self.l2,
        }

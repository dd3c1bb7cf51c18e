"""One step's maps and a state in, the next state out: a ConvLSTM whose four gates are one convolution."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class ConvLSTMCell(keras.layers.Layer):
    """A step of a convolutional LSTM.

    `keras.layers.ConvLSTM2D` has no cell of its own to put into others, and computes its gates by eight convolutions,
    which on a CPU takes longer than one.

    Args:
        filters: maps F of the state.
        kernel_size: rows and columns of the kernel.

    Call arguments:
        inputs: `(B, H, W, C)`.
        states: the output before and the memory, each `(B, H, W, F)`.

    Returns:
        The output `(B, H, W, F)`, and the new states.

    Raises:
        ValueError: if an argument is less than 1.

    Example:
        >>> output, states = ConvLSTMCell(8)(np.zeros((1, 4, 4, 3)), [np.zeros((1, 4, 4, 8))] * 2)

    Reference:
        Shi et al., Convolutional LSTM Network, 2015, https://arxiv.org/abs/1506.04214, without peepholes.
    """

    def __init__(self, filters: int, kernel_size: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, value in (("filters", filters), ("kernel_size", kernel_size)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, received {value!r}.")
        self.filters = filters
        self.kernel_size = kernel_size
        self.gates = keras.layers.Conv2D(4 * filters, kernel_size, padding="same", name="gates")

    def build(self, inputs_shape: Any, states_shape: Any = None) -> None:
        """One kernel reads the input and the output before."""
        self.gates.build((*inputs_shape[:3], inputs_shape[3] + self.filters))

    def call(self, inputs: Any, states: Any) -> Any:
        """Forget some of the memory, add what is new, show some of it."""
        output, memory = states
        keep, write, show, new = ops.split(self.gates(ops.concatenate([inputs, output], axis=-1)), 4, axis=-1)
        # Remembering is the better guess while nothing is learned.
        memory = ops.sigmoid(keep + 1.0) * memory + ops.sigmoid(write) * ops.tanh(new)
        output = ops.sigmoid(show) * ops.tanh(memory)
        return output, [output, memory]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size}

"""A sequence of pictures in, what a cell makes of each out: `keras.layers.RNN` for cells that return pictures."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="sora_keras")
class FrameRecurrence(keras.layers.RNN):
    """Run a cell over the frames in order. `keras.layers.RNN` does it, but knows only cells that return vectors.

    Args:
        cell: a layer `(inputs, states)` -> `(output, states)`, whose output has the shape of its first state; it has
            `state_size`, a list of shapes, once it is built.

    Call arguments:
        sequences: `(B, T, H, W, C)`.
        initial_state: states to begin with; by default the cell's.

    Returns:
        The outputs `(B, T, ...)`, then the states after the last frame.

    Example:
        >>> outputs, *states = FrameRecurrence(PredictionCell())(keras.Input((10, 64, 64, 2)))
    """

    def __init__(self, cell: keras.layers.Layer, **kwargs: Any) -> None:
        cell.state_size = getattr(cell, "state_size", [])  # known once it is built
        super().__init__(cell, **{**kwargs, "return_sequences": True, "return_state": True})

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """The cell's shapes."""
        batch_size, num_frames = sequences_shape[:2]
        shapes = [tuple(shape) for shape in self.cell.state_size]
        return (batch_size, num_frames, *shapes[0]), *[(batch_size, *shape) for shape in shapes]

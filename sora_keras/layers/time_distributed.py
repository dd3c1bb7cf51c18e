"""Apply one layer to every frame: time is folded into the batch, `(B, T, ...)` to `(B * T, ...)` and back."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class TimeDistributed(keras.layers.TimeDistributed):
    """Apply a layer to every temporal slice of an input, in one call of the layer.

    A drop-in for `keras.layers.TimeDistributed`, which calls the layer once for each of T slices (a graph that grows
    with T) and mistakes the batch for time when T is unknown. Here T may be unknown, the graph does not grow, the layer
    is called through `__call__` (its activity losses count), and batch statistics are updated once a step over all
    frames.

    Args:
        layer: the `keras.layers.Layer` (or model) to apply to each slice.
        frames_at_once: at inference, how many frames of the batch go through the layer at a time; `None` sends all
            `B * T` at once. A small number keeps a CPU's peak memory small and its activations in the cache. Training
            always sends all, since the backward pass needs every activation anyway. A layer that adds losses in its
            `call` needs `None`.

    Call arguments:
        inputs: `(B, T, ...)`.
        training: passed to the layer where it takes it.
        mask: `(B, T)`, the slices to take into account; passed to the layer where it takes it, and on to what follows.

    Raises:
        ValueError: if `frames_at_once` is less than 1, or the input has fewer than 3 dimensions.

    Example:
        >>> frames = keras.Input((None, 64, 64, 3))
        >>> TimeDistributed(keras.layers.Conv2D(8, 3))(frames).shape
        (None, None, 62, 62, 8)
    """

    def __init__(self, layer: keras.layers.Layer, frames_at_once: int | None = None, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        if frames_at_once is not None and frames_at_once < 1:
            raise ValueError(f"`frames_at_once` must be at least 1, or None for all, received {frames_at_once!r}.")
        self.frames_at_once = frames_at_once

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Fold time into the batch, call the layer, unfold."""
        batch_size, num_frames, *sizes = ops.shape(inputs)
        flat = ops.reshape(inputs, (-1, *sizes))
        kwargs: dict[str, Any] = {}
        if self.layer._call_has_training_arg:
            kwargs["training"] = training
        if mask is not None and self.layer._call_has_mask_arg:
            kwargs["mask"] = ops.reshape(mask, (-1, *mask.shape[2:]))
        if training or self.frames_at_once is None or "mask" in kwargs:
            outputs = self.layer(flat, **kwargs)
        else:
            outputs = self._call_in_chunks(flat, **kwargs)
        return ops.reshape(outputs, (batch_size, num_frames, *ops.shape(outputs)[1:]))

    def _call_in_chunks(self, flat: Any, **kwargs: Any) -> Any:
        """Call the layer on equal chunks of `(N, ...)`; the last chunk repeats the last frame to be full."""
        num_frames = ops.shape(flat)[0]
        num_chunks = -(-num_frames // self.frames_at_once)
        frames_a_chunk = -(-num_frames // num_chunks)
        indices = ops.minimum(ops.arange(num_chunks * frames_a_chunk), num_frames - 1)
        outputs = ops.map(
            lambda chunk: self.layer(ops.take(flat, chunk, axis=0), **kwargs),
            ops.reshape(indices, (num_chunks, frames_a_chunk)),
        )
        return ops.reshape(outputs, (-1, *ops.shape(outputs)[2:]))[:num_frames]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "frames_at_once": self.frames_at_once}

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
            sends all, since the backward pass needs every activation anyway. A layer that adds losses in its `call`
            needs `None`.
        rematerialize: whether training, too, sends only `frames_at_once` at a time, keeps no activations, and computes
            them again in the backward pass: a fraction of the memory for a third more arithmetic, the same gradients.
            For layers without state that training changes, such as batch statistics or Dropout's random numbers.

    Call arguments:
        inputs: `(B, T, ...)`.
        training: passed to the layer where it takes it.
        mask: `(B, T)`, the slices to take into account; passed to the layer where it takes it, and on to what follows.

    Raises:
        ValueError: if `frames_at_once` is less than 1, or missing with `rematerialize`; if the input has fewer than 3
            dimensions; if a layer to rematerialize changes its state in training.

    Example:
        >>> frames = keras.Input((None, 64, 64, 3))
        >>> TimeDistributed(keras.layers.Conv2D(8, 3))(frames).shape
        (None, None, 62, 62, 8)
        >>> TimeDistributed(encoder, frames_at_once=8, rematerialize=True)

    Reference:
        Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016, https://arxiv.org/abs/1604.06174
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        frames_at_once: int | None = None,
        rematerialize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(layer, **kwargs)
        if frames_at_once is not None and frames_at_once < 1:
            raise ValueError(f"`frames_at_once` must be at least 1, or None for all, received {frames_at_once!r}.")
        if rematerialize and frames_at_once is None:
            raise ValueError("`rematerialize=True` works in parts: give `frames_at_once`, such as 8, received None.")
        self.frames_at_once = frames_at_once
        self.rematerialize = rematerialize

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Fold time into the batch, call the layer, unfold."""
        batch_size, num_frames, *sizes = ops.shape(inputs)
        flat = ops.reshape(inputs, (-1, *sizes))
        kwargs: dict[str, Any] = {}
        if self.layer._call_has_training_arg:
            kwargs["training"] = training
        if mask is not None and self.layer._call_has_mask_arg:
            kwargs["mask"] = ops.reshape(mask, (-1, *mask.shape[2:]))
        if "mask" in kwargs or self.frames_at_once is None or (training and not self.rematerialize):
            outputs = self.layer(flat, **kwargs)
        elif training:
            outputs = self._call_rematerialized(flat, **kwargs)
        else:
            outputs = self._call_in_chunks(flat, **kwargs)
        return ops.reshape(outputs, (batch_size, num_frames, *ops.shape(outputs)[1:]))

    def _call_in_chunks(self, flat: Any, **kwargs: Any) -> Any:
        """Call the layer on chunks of `(N, ...)`."""
        indices, num_frames = self._chunk_indices(flat)
        outputs = ops.map(lambda chunk: self.layer(ops.take(flat, chunk, axis=0), **kwargs), indices)
        return ops.reshape(outputs, (-1, *ops.shape(outputs)[2:]))[:num_frames]

    def _call_rematerialized(self, flat: Any, **kwargs: Any) -> Any:
        """Call the layer on chunks of `(N, ...)`, keeping for the backward pass no more than its inputs."""
        indices, num_frames = self._chunk_indices(flat)
        # TensorFlow cannot rematerialize what reads a variable inside a loop: read outside, they are tensors.
        weights = [ops.cast(weight, weight.dtype) for weight in self.layer.trainable_variables]
        state = [ops.cast(weight, weight.dtype) for weight in self.layer.non_trainable_variables]

        def call(chunk: Any, *weights: Any) -> Any:
            outputs, new_state = self.layer.stateless_call(list(weights), state, chunk, **kwargs)
            self._check_unchanged(state, new_state)
            return outputs

        call_again = keras.remat(call)
        # A gather inside the loop would make the gradient of every chunk as large as all frames.
        outputs = ops.map(lambda chunk: call_again(chunk, *weights), ops.take(flat, indices, axis=0))
        return ops.reshape(outputs, (-1, *ops.shape(outputs)[2:]))[:num_frames]

    def _chunk_indices(self, flat: Any) -> tuple[Any, Any]:
        """Indices `(chunks, frames a chunk)` of equal chunks, the last frame repeated to fill them, and N."""
        num_frames = ops.shape(flat)[0]
        # Of whole numbers from 0 on: ONNX rounds quotients to zero, not down.
        num_chunks = (num_frames + self.frames_at_once - 1) // self.frames_at_once
        frames_a_chunk = (num_frames + num_chunks - 1) // num_chunks
        indices = ops.minimum(ops.arange(num_chunks * frames_a_chunk), num_frames - 1)
        return ops.reshape(indices, (num_chunks, frames_a_chunk)), num_frames

    def _check_unchanged(self, state: list[Any], new_state: list[Any]) -> None:
        pairs = zip(self.layer.non_trainable_variables, state, new_state, strict=True)
        changed = [variable.path for variable, old, new in pairs if new is not old]
        if changed:
            raise ValueError(
                f"`rematerialize=True` needs a layer without state that training changes, received {self.layer.name!r} "
                f"with {', '.join(changed)}: freeze it (`trainable = False`), or leave `rematerialize` off."
            )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "frames_at_once": self.frames_at_once, "rematerialize": self.rematerialize}

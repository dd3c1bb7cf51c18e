"""Clips in, the same clips with some frames lost and the frame before held in their place out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sora_keras.layers.frame_selection import clip_sizes, take_frames


@keras.saving.register_keras_serializable(package="sora_keras")
class RandomFrameDrop(keras.layers.Layer):
    """Lose frames at random, as bad cameras and connections do: the last frame before stays on display.

    Args:
        rate: share of the frames to lose, 0 to 1; the first is never lost.
        seed: for the same draws at each run.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype.
        labels: passed on.
        training: whether to lose any; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        Frames of the same shape and dtype, and labels if they came in.

    Raises:
        ValueError: if `rate` is not in 0..1.

    Example:
        >>> dataset = dataset.map(RandomFrameDrop(0.2))
    """

    def __init__(self, rate: float = 0.1, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if not 0 <= rate <= 1:
            raise ValueError(f"`rate` must be a share in 0..1, received {rate!r}.")
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames: Any, labels: Any = None, training: bool | None = True) -> Any:
        """Draw which frames are kept, and show the latest of those at each time."""
        num_clips, length = clip_sizes(frames)
        outputs = frames
        if training:
            drawn = keras.random.uniform((num_clips, length), dtype="float32", seed=self.seed_generator)
            numbers = ops.arange(length, dtype="int32")
            kept = ops.where(drawn >= self.rate, numbers, 0)
            is_past = ops.expand_dims(numbers, -1) >= numbers
            outputs = take_frames(frames, ops.max(ops.where(is_past, ops.expand_dims(kept, 1), 0), axis=-1))
        return outputs if labels is None else (outputs, labels)

    def compute_output_spec(self, frames: Any, labels: Any = None, training: bool | None = True) -> Any:
        """As came in."""
        outputs = keras.KerasTensor(frames.shape, dtype=frames.dtype)
        return outputs if labels is None else (outputs, labels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}

"""Clips in, a random run of consecutive frames of each out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sora_keras.layers.frame_selection import clip_sizes, take_frames


@keras.saving.register_keras_serializable(package="sora_keras")
class RandomWindow(keras.layers.Layer):
    """Cut `num_frames` consecutive frames out of each clip, at a place drawn for it; the middle ones at inference.

    Args:
        num_frames: frames N to keep.
        seed: for the same draws at each run.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype.
        labels: passed on.
        training: whether to draw; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        `(B, N, H, W, C)` or `(N, H, W, C)`, and labels if they came in.

    Raises:
        ValueError: if `num_frames` is less than 1, or more than a clip has.

    Example:
        >>> dataset = dataset.map(RandomWindow(16))  # clips of 24 frames
    """

    def __init__(self, num_frames: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if num_frames < 1:
            raise ValueError(f"`num_frames` must be at least 1, received {num_frames!r}.")
        self.num_frames = num_frames
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames: Any, labels: Any = None, training: bool | None = True) -> Any:
        """Draw where each window begins."""
        num_clips, length = clip_sizes(frames)
        if isinstance(length, int) and length < self.num_frames:
            raise ValueError(
                f"RandomWindow({self.num_frames}) needs clips of at least {self.num_frames} frames, received {length}."
            )
        spare = length - self.num_frames
        if training:
            start = keras.random.randint((num_clips, 1), 0, spare + 1, seed=self.seed_generator)
        else:
            start = ops.zeros((num_clips, 1), "int32") + spare // 2
        outputs = take_frames(frames, start + ops.arange(self.num_frames, dtype="int32"))
        return outputs if labels is None else (outputs, labels)

    def compute_output_spec(self, frames: Any, labels: Any = None, training: bool | None = True) -> Any:
        """N frames in place of T."""
        outputs = keras.KerasTensor((*frames.shape[:-4], self.num_frames, *frames.shape[-3:]), dtype=frames.dtype)
        return outputs if labels is None else (outputs, labels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "num_frames": self.num_frames, "seed": self.seed}

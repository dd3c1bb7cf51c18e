"""Clips in, the same clips played faster or slower out."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from sora_keras.layers.frame_selection import clip_sizes, take_frames


@keras.saving.register_keras_serializable(package="sora_keras")
class RandomSpeed(keras.layers.Layer):
    """Play each clip at a speed drawn for it, by repeating or leaving out frames; at speed 1 at inference.

    The part of the clip that is played is drawn, too. Where the clip is too short for the speed, its last frame is
    held: give clips of more frames than the model reads, and `num_frames`, and it need not be. Not for classes that
    only speed tells apart, such as walking and running.

    Args:
        slowest: lower end of the speeds; 0.5 shows each frame twice.
        fastest: upper end; 2 leaves out every other frame. As many draws are slower than their geometric mean as are
            faster.
        num_frames: frames N to give; `None` as many as came in.
        seed: for the same draws at each run.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype.
        labels: passed on.
        training: whether to draw; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        `(B, N, H, W, C)` or `(N, H, W, C)`, and labels if they came in.

    Raises:
        ValueError: if a speed is not positive, they are in the wrong order, or `num_frames` is less than 1.

    Example:
        >>> dataset = dataset.map(RandomSpeed(0.5, 2.0, num_frames=16))  # clips of 32 frames
    """

    def __init__(
        self,
        slowest: float = 0.5,
        fastest: float = 2.0,
        num_frames: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if not 0 < slowest <= fastest < math.inf:
            raise ValueError(
                f"`slowest` and `fastest` must be positive and in this order, received {slowest!r} and {fastest!r}."
            )
        if num_frames is not None and num_frames < 1:
            raise ValueError(f"`num_frames` must be at least 1, or None for all, received {num_frames!r}.")
        self.slowest, self.fastest = slowest, fastest
        self.num_frames = num_frames
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames: Any, labels: Any = None, training: bool | None = True) -> Any:
        """Draw a speed and a start for each clip, and show the frame nearest to each moment."""
        num_clips, length = clip_sizes(frames)
        num_frames = length if self.num_frames is None else self.num_frames
        last = ops.cast(length - 1, "float32")
        if training:
            bounds = math.log(self.slowest), math.log(self.fastest)
            speed = ops.exp(keras.random.uniform((num_clips, 1), *bounds, dtype="float32", seed=self.seed_generator))
            place = keras.random.uniform((num_clips, 1), dtype="float32", seed=self.seed_generator)
        else:
            speed, place = ops.ones((num_clips, 1)), ops.full((num_clips, 1), 0.5)
        moments = ops.cast(ops.arange(num_frames), "float32") * speed
        start = place * ops.maximum(last - ops.cast(num_frames - 1, "float32") * speed, 0)
        numbers = ops.cast(ops.minimum(ops.floor(start + moments + 0.5), last), "int32")
        outputs = take_frames(frames, numbers)
        return outputs if labels is None else (outputs, labels)

    def compute_output_spec(self, frames: Any, labels: Any = None, training: bool | None = True) -> Any:
        """N frames in place of T."""
        num_frames = frames.shape[-4] if self.num_frames is None else self.num_frames
        outputs = keras.KerasTensor((*frames.shape[:-4], num_frames, *frames.shape[-3:]), dtype=frames.dtype)
        return outputs if labels is None else (outputs, labels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "slowest": self.slowest,
            "fastest": self.fastest,
            "num_frames": self.num_frames,
            "seed": self.seed,
        }

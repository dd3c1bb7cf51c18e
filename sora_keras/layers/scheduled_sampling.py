"""Frames in, the same out with a plane that says which of them a recurrent cell is to read: scheduled sampling."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class ScheduledSampling(keras.layers.Layer):
    """Mark which frames are read, and which the cell is to replace by what it predicted itself.

    Predicting many frames ahead, a network reads its own predictions, which look unlike the frames it has learned from.
    So training takes true frames away behind the first ones, each with a probability that rises in a straight line from
    0 to 1 over `num_steps` batches and then stays: from there on training is what prediction is. The batches are
    counted in a weight, which is saved with the model, so training goes on where it stopped. Outside training every
    frame is read.

    Args:
        num_context_frames: the first frames, which are always read; `None` reads all.
        num_steps: training batches until no other frame is read; 0 begins so.
        seed: makes the choice the same at each run.

    Call arguments:
        frames: `(B, T, H, W, C)`.
        training: whether frames are taken away.

    Returns:
        `(B, T, H, W, C + 1)`, the frames, and 1 where they are read, else 0.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> ScheduledSampling(10, num_steps=5000)(np.zeros((2, 19, 64, 64, 1), "float32"), training=True).shape
        (2, 19, 64, 64, 2)

    Reference:
        Bengio et al., Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks, 2015,
        https://arxiv.org/abs/1506.03099, linear decay.
    """

    def __init__(
        self, num_context_frames: int | None = None, num_steps: int = 0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_context_frames is not None and num_context_frames < 1:
            raise ValueError(f"`num_context_frames` must be at least 1, or None, received {num_context_frames!r}.")
        if num_steps < 0:
            raise ValueError(f"`num_steps` must be at least 0, received {num_steps!r}.")
        self.num_context_frames = num_context_frames
        self.num_steps = num_steps
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, frames_shape: Any) -> None:
        """The count of batches."""
        self.steps_done = self.add_weight(
            (), "zeros", dtype="float32", trainable=False, autocast=False, name="steps_done"
        )

    def call(self, frames: Any, training: bool | None = None) -> Any:
        """Draw for each clip and frame; count."""
        batch_size, num_frames, height, width, _ = ops.shape(frames)
        is_read = ops.ones((batch_size, num_frames), frames.dtype)
        if training and self.num_context_frames is not None:
            share = self.steps_done / self.num_steps if self.num_steps else 1.0
            draws = keras.random.uniform((batch_size, num_frames), dtype="float32", seed=self.seed_generator)
            is_context = ops.arange(num_frames) < self.num_context_frames
            is_read = ops.cast(ops.logical_or(is_context, draws >= share), frames.dtype)
            self.steps_done.assign(self.steps_done + 1.0)
        plane = ops.broadcast_to(is_read[:, :, None, None, None], (batch_size, num_frames, height, width, 1))
        return ops.concatenate([frames, plane], axis=-1)

    def compute_output_shape(self, frames_shape: Any) -> Any:
        """One channel more."""
        return (*frames_shape[:-1], frames_shape[-1] + 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        arguments = {"num_context_frames": self.num_context_frames, "num_steps": self.num_steps, "seed": self.seed}
        return {**super().get_config(), **arguments}

"""Good frames in, the same frames with a sensor's noise out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class FrameNoise(keras.layers.Layer):
    """Add white Gaussian noise to each pixel and channel, of a strength drawn for each clip.

    The frames come out as a camera would have stored them: rounded to 256 levels, and clipped to them.

    Args:
        sigma: standard deviation of the noise in levels of 0..255, or the lowest and the highest, drawn evenly between.
        seed: for the same draws at each run.

    Call arguments:
        frames: `(B, T, H, W, C)` in 0..255, any dtype.
        training: whether to add noise; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        `uint8 (B, T, H, W, C)`.

    Raises:
        ValueError: if `sigma` is negative, or the lowest is above the highest.

    Example:
        >>> noise = FrameNoise(sigma=(5, 50))
        >>> pairs = good_clips.map(lambda good: (noise(good), {"frames": good}))
    """

    def __init__(self, sigma: float | tuple[float, float] = 30.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        lowest, highest = (sigma, sigma) if isinstance(sigma, (int, float)) else sigma
        if not 0 <= lowest <= highest:
            raise ValueError(
                f"`sigma` must be at least 0, or a lowest of at least 0 and a highest above, received {sigma!r}."
            )
        self.sigma = (float(lowest), float(highest))
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames: Any, training: bool | None = True) -> Any:
        """Draw and add."""
        frames = ops.cast(frames, "float32")
        if training:
            num_clips = ops.shape(frames)[0]
            sigma = keras.random.uniform((num_clips, 1, 1, 1, 1), *self.sigma, "float32", seed=self.seed_generator)
            frames += sigma * keras.random.normal(ops.shape(frames), dtype="float32", seed=self.seed_generator)
        return ops.cast(ops.clip(ops.round(frames), 0, 255), "uint8")

    def compute_output_spec(self, frames: Any, training: bool | None = True) -> Any:
        """Of the same shape."""
        return keras.KerasTensor(frames.shape, "uint8")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "sigma": list(self.sigma), "seed": self.seed}

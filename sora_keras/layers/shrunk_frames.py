"""Good frames in, smaller ones of which they would be the enlargement out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class ShrunkFrames(keras.layers.Layer):
    """Shrink frames by bicubic interpolation without aliases: the damage that super-resolution is measured on.

    Args:
        factor: how many times lower and narrower the frames become.

    Call arguments:
        frames: `(B, T, H, W, C)` in 0..255, any dtype; H and W multiples of `factor`.

    Returns:
        `uint8 (B, T, H // factor, W // factor, C)`.

    Raises:
        ValueError: if `factor` is less than 2, or does not divide H and W.

    Example:
        >>> shrink = ShrunkFrames(4)
        >>> pairs = good_clips.map(lambda good: (shrink(good), {"frames": good}))

    Reference:
        Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981, the kernel stretched by `factor`, as
        the "BI" degradation of the field does.
    """

    def __init__(self, factor: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        if factor < 2:
            raise ValueError(f"`factor` must be at least 2, received {factor!r}.")
        self.factor = factor

    def call(self, frames: Any) -> Any:
        """Time folded into the batch."""
        height, width, channels = frames.shape[2:]
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"Frames must have sides of multiples of {self.factor} pixels, received {height} x {width}."
            )
        size = (height // self.factor, width // self.factor)
        pictures = ops.reshape(ops.cast(frames, "float32"), (-1, height, width, channels))
        pictures = ops.image.resize(
            pictures, size, interpolation="bicubic", antialias=True, data_format="channels_last"
        )
        shrunk = ops.cast(ops.clip(ops.round(pictures), 0, 255), "uint8")
        return ops.reshape(shrunk, (*ops.shape(frames)[:2], *size, channels))

    def compute_output_spec(self, frames: Any) -> Any:
        """Lower and narrower."""
        num_clips, num_frames, height, width, channels = frames.shape
        shape = (num_clips, num_frames, height // self.factor, width // self.factor, channels)
        return keras.KerasTensor(shape, "uint8")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "factor": self.factor}

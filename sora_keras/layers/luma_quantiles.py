"""Frames in, how their gray values are spread out: the value that each of some shares of the pixels stays below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from sora_keras.layers.color_adjustment import LUMA_WEIGHTS


@keras.saving.register_keras_serializable(package="sora_keras")
class LumaQuantiles(keras.layers.Layer):
    """A short histogram of each frame: black and white point, what is clipped, where most of the picture lies.

    Args:
        shares: the quantiles Q, each in 0..1.

    Call arguments:
        frames: `(B, T, H, W, 3)`, RGB in 0..255, any dtype.

    Returns:
        `float32 (B, T, Q)`, luma in 0..255: of the pixels in order of luma, the one nearest to each share of the way.

    Raises:
        ValueError: if a share is not in 0..1, or there is none.

    Example:
        >>> LumaQuantiles((0.01, 0.5, 0.99))(keras.Input((16, 64, 64, 3), dtype="uint8")).shape
        (None, 16, 3)
    """

    def __init__(
        self,
        shares: Sequence[float] = (0.005, 0.02, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.98, 0.995),
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.shares = tuple(float(share) for share in shares)
        if not self.shares or not all(0 <= share <= 1 for share in self.shares):
            raise ValueError(f"`shares` must hold at least one number, all in 0..1, received {self.shares}.")

    def call(self, frames: Any) -> Any:
        """Sort and pick."""
        num_clips, num_frames, height, width = ops.shape(frames)[:4]
        weights = ops.convert_to_tensor(LUMA_WEIGHTS, self.compute_dtype)
        luma = ops.sum(ops.cast(frames, self.compute_dtype) * weights, axis=-1)
        ordered = ops.sort(ops.reshape(luma, (num_clips, num_frames, height * width)), axis=-1)
        places = ops.convert_to_tensor([round(share * (height * width - 1)) for share in self.shares], "int32")
        return ops.take(ordered, places, axis=-1)

    def compute_output_spec(self, frames: Any) -> Any:
        """Q numbers for each frame."""
        return keras.KerasTensor((*frames.shape[:2], len(self.shares)), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "shares": list(self.shares)}

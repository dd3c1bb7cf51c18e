"""Features of each frame in, the same out with a share of the channels taken from the frame before."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class TemporalShift(keras.layers.Layer):
    """Replace a share of each frame's channels by those of the frame before; zeros for the first frame. Causal.

    Between 2D convolutions this lets them see motion, and each later one a frame further back, at no multiplications.

    Args:
        share: of the channels that come from the frame before, above 0 and at most 1; at least one channel does.

    Call arguments:
        inputs: `(B, T, H, W, C)`, floating point.

    Returns:
        The same shape: the first channels from frame `t - 1`, the others from frame `t`.

    Raises:
        ValueError: if `share` is out of its range.

    Example:
        >>> TemporalShift()(keras.Input((16, 28, 28, 64))).shape
        (None, 16, 28, 28, 64)

    Reference:
        Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, 2019, https://arxiv.org/abs/1811.08383
        (its uni-directional form).
    """

    def __init__(self, share: float = 0.125, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < share <= 1:
            raise ValueError(f"`share` must be above 0 and at most 1, received {share!r}.")
        self.share = share

    def call(self, inputs: Any) -> Any:
        """Move the first channels on by one frame."""
        num_shifted = max(1, round(self.share * inputs.shape[-1]))
        earlier = inputs[:, :-1, ..., :num_shifted]
        earlier = ops.concatenate([ops.zeros_like(inputs[:, :1, ..., :num_shifted]), earlier], axis=1)
        return ops.concatenate([earlier, inputs[..., num_shifted:]], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As came in."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "share": self.share}

"""Two frames in, both moved to the time halfway between them out: optical flow both ways, without weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sora_keras.layers.optical_flow import OpticalFlow
from sora_keras.layers.warping import warp


@keras.saving.register_keras_serializable(package="sora_keras")
class HalfwayFrames(keras.layers.Layer):
    """Move the frame before onward and the frame after back, each by half of the flow between them.

    Call arguments:
        pairs: `(B, 2, H, W, C)` in 0..255.

    Returns:
        The frame before and the frame after, moved, `float32 (B, H, W, C)` each, and the flow from halfway to the frame
        after, `(B, H, W, 2)`, pixels to the right and downwards.

    Example:
        >>> before, after, flow = HalfwayFrames()(pairs)
        >>> halfway = (before + after) / 2

    Reference:
        Jiang et al., Super SloMo, 2018, https://arxiv.org/abs/1712.00080, equation 4 at t = 1/2, with
        `sora_keras.layers.OpticalFlow` in place of its network.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.flow = OpticalFlow(name="flow")

    def build(self, pairs_shape: Any) -> None:
        """The flow has no weights, but is asked without being called."""
        self.flow.build(pairs_shape)

    def call(self, pairs: Any) -> tuple[Any, Any, Any]:
        """Flow there and back, halved, and what it points to."""
        pairs = ops.cast(pairs, "float32")
        before, after = pairs[:, 0], pairs[:, 1]
        flow = (self.flow.between(before, after) - self.flow.between(after, before)) / 4
        flow = ops.image.resize(flow, pairs.shape[2:4], interpolation="bilinear", data_format="channels_last")
        return warp(before, -flow), warp(after, flow), flow

    def compute_output_spec(self, pairs: Any) -> Any:
        """Two frames and two numbers a pixel."""
        frame = (pairs.shape[0], *pairs.shape[2:])
        return tuple(keras.KerasTensor(shape, "float32") for shape in (frame, frame, (*frame[:-1], 2)))

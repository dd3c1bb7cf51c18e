"""Pictures and a flow in, the pictures as seen from where the flow starts out."""

from __future__ import annotations

from typing import Any

from keras import ops


def warp(pictures: Any, flow: Any) -> Any:
    """Fetch, for each pixel, what the flow points to in the picture, between the four pixels around that place.

    Args:
        pictures: `(N, H, W, C)`, float.
        flow: `(N, H, W, 2)`, pixels to the right and downwards; what points outside gets the border.

    Returns:
        `(N, H, W, C)`. Gradients reach the pictures and the flow.

    Example:
        >>> warp(before, flow_to_before)  # aligned with the frame after

    Reference:
        The bilinear sampler of Jaderberg et al., Spatial Transformer Networks, 2015, https://arxiv.org/abs/1506.02025
    """
    height, width, num_channels = pictures.shape[1:]
    columns = ops.arange(width, dtype="float32") + flow[..., 0]
    rows = ops.expand_dims(ops.arange(height, dtype="float32"), -1) + flow[..., 1]
    columns, rows = ops.clip(columns, 0, width - 1), ops.clip(rows, 0, height - 1)
    left, top = ops.floor(ops.minimum(columns, width - 2)), ops.floor(ops.minimum(rows, height - 2))
    right_share, lower_share = ops.expand_dims(columns - left, -1), ops.expand_dims(rows - top, -1)
    # One long list of pixels: taking whole rows of it is many times faster than along an axis.
    first_pixels = ops.expand_dims(ops.arange(ops.shape(pictures)[0], dtype="int32") * (height * width), (1, 2))
    corner = first_pixels + ops.cast(top * width + left, "int32")
    pixels = ops.reshape(pictures, (-1, num_channels))

    def look(offset: int) -> Any:
        return ops.take(pixels, corner + offset, axis=0)

    upper = _between(look(0), look(1), right_share)
    lower = _between(look(width), look(width + 1), right_share)
    return _between(upper, lower, lower_share)


def _between(one: Any, other: Any, share: Any) -> Any:
    """Of the other, that share. Two products and a sum would take a third longer."""
    return one + (other - one) * share

"""Patches and where they belong in, frames with the patches at those places out, differentiable in both."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class PatchPlacement(keras.layers.Layer):
    """Draw a patch onto an empty frame, at a place between pixels and at a size of its own.

    Rows and columns are interpolated linearly, by two products of matrices. A patch whose pixels fall exactly on those
    of the frame gets no gradient for its place: begin training off the grid.

    Args:
        height: rows H of the frames.
        width: columns W of the frames.

    Call arguments:
        patches: `(B, T, h, w, C)`, one for each frame.
        places: `(B, T, 3)`, row and column of the patch's middle, in pixels from the middle of the frame, and the
            natural logarithm of how many times larger it is drawn.

    Returns:
        `(B, T, H, W, C)`, 0 beyond the patch.

    Raises:
        ValueError: if `height` or `width` is less than 1.

    Example:
        >>> PatchPlacement(32, 32)(patches, ops.zeros((8, 16, 3)))  # in the middle, as large as they are

    Reference:
        Gregor et al., DRAW: A Recurrent Neural Network For Image Generation, 2015, https://arxiv.org/abs/1502.04623,
        section 3.2, with triangles for its Gaussians.
    """

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min(height, width) < 1:
            raise ValueError(f"`height` and `width` must be at least 1, received {height} and {width}.")
        self.height, self.width = height, width

    def call(self, patches: Any, places: Any) -> Any:
        """Interpolate rows and columns."""
        scale = ops.exp(places[..., 2])
        rows = _interpolation(self.height, patches.shape[2], places[..., 0], scale)
        columns = _interpolation(self.width, patches.shape[3], places[..., 1], scale)
        return ops.einsum("btyh,bthwc,btxw->btyxc", rows, patches, columns)

    def compute_output_shape(self, patches_shape: Any, places_shape: Any = None) -> tuple[int | None, ...]:
        """Patches become frames."""
        return (*patches_shape[:2], self.height, self.width, patches_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "height": self.height, "width": self.width}


def _interpolation(size: int, patch_size: int, middle: Any, scale: Any) -> Any:
    """How much of each pixel of a patch each pixel of a frame takes along one axis, `(B, T, size, patch_size)`."""
    middle, scale = middle[..., None, None], scale[..., None, None]
    places = middle + scale * (ops.arange(patch_size, dtype=scale.dtype) - (patch_size - 1) / 2)
    pixels = ops.arange(size, dtype=scale.dtype)[:, None] - (size - 1) / 2
    reach = ops.maximum(scale, 1)  # a smaller patch is averaged, not thinned out
    return ops.relu(1 - ops.abs(pixels - places) / reach) * scale / reach

"""A decoded frame in, how its video is turned and mirrored for display out."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type as SideDataType

# Not `frame.side_data`: it and the frame refer to each other, so that only the garbage collector frees the frame.
_side_data_of: Any = SideDataContainer


@dataclasses.dataclass(frozen=True)
class Orientation:
    """The way from pixels as stored to pixels as displayed, and back, in quarter turns and mirrorings.

    Args:
        display_matrix: FFmpeg's nine numbers, exactly as the file has them; `None` if it has none.
        is_transposed: whether rows and columns change places for display.
        flipped_axes: which of the axes are flipped after that.
    """

    display_matrix: tuple[int, ...] | None
    is_transposed: bool
    flipped_axes: tuple[int, ...]

    def upright(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels `(H, W, C)` as displayed, from those as stored."""
        turned = pixels.swapaxes(0, 1) if self.is_transposed else pixels
        return np.ascontiguousarray(np.flip(turned, self.flipped_axes))

    def stored(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels `(H, W, C)` as stored, from those as displayed."""
        flipped = np.flip(pixels, self.flipped_axes)
        return np.ascontiguousarray(flipped.swapaxes(0, 1) if self.is_transposed else flipped)


def orientation_of(frame: Any) -> Orientation:
    """Read a frame's display matrix; other turns than quarter ones count as the nearest of these.

    Args:
        frame: the decoded `av` frame.

    Returns:
        Its orientation.

    Example:
        >>> orientation_of(frame).is_transposed  # doctest: +SKIP
        True
    """
    side_data = _side_data_of(frame).get(SideDataType.DISPLAYMATRIX)
    if side_data is None:
        return Orientation(None, False, ())
    display_matrix = tuple(np.frombuffer(side_data, np.int32)[:9].tolist())
    x_to_x, x_to_y, _, y_to_x, y_to_y = display_matrix[:5]
    is_transposed = abs(x_to_y) > abs(x_to_x)
    to_rows, to_columns = (x_to_y, y_to_x) if is_transposed else (y_to_y, x_to_x)
    flipped_axes = tuple(axis for axis, direction in enumerate((to_rows, to_columns)) if direction < 0)
    return Orientation(display_matrix, is_transposed, flipped_axes)

"""Pictures in and how likely each small motion is at each of their cells, the pictures moved so out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class LocalMotion(keras.layers.Layer):
    """Move every cell of a picture by motions of its own: each pixel becomes an average of those around it.

    A cell is a square of `cell_size` pixels. Its kernel is the product of a softmax over the rows and one over the
    columns that a pixel can come from, at most `cell_size` away, so gray values stay within their range, and no motion
    is too far for a gradient. Beyond the border its cells are repeated.

    Args:
        cell_size: side of a cell in pixels, and the farthest motion; divides height and width.

    Call arguments:
        picture: `(B, H, W, C)`.
        row_scores: `(B, H / cell_size, W / cell_size, K, 2 * cell_size + 1)`, for each of K motions the logits of the
            rows that a pixel comes from, from above to below.
        column_scores: the same for columns, from left to right.

    Returns:
        The K moved pictures in cells, `(B, H / cell_size, W / cell_size, K, cell_size, C, cell_size)`: columns of a
        cell, channels, rows.

    Raises:
        ValueError: if `cell_size` is less than 1.

    Example:
        >>> scores = np.zeros((1, 16, 16, 2, 9), "float32")
        >>> LocalMotion(4)(np.zeros((1, 64, 64, 3), "float32"), scores, scores).shape
        (1, 16, 16, 2, 4, 3, 4)

    Reference:
        De Brabandere et al., Dynamic Filter Networks, 2016, https://arxiv.org/abs/1605.09673; separable as in Niklaus
        et al., Video Frame Interpolation via Adaptive Separable Convolution, 2017, https://arxiv.org/abs/1708.01692
    """

    def __init__(self, cell_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if cell_size < 1:
            raise ValueError(f"`cell_size` must be at least 1, received {cell_size!r}.")
        self.cell_size = cell_size

    def call(self, picture: Any, row_scores: Any, column_scores: Any) -> Any:
        """Columns first, then rows, each by a matrix for each cell."""
        size = self.cell_size
        _, height, width, channels = picture.shape
        num_motions = row_scores.shape[3]
        columns = ops.reshape(self._matrices(column_scores), (-1, num_motions * size, 3 * size))
        rows = ops.reshape(self._matrices(row_scores), (-1, size, 3 * size))
        moved = ops.reshape(ops.matmul(columns, self._windows(picture)), (-1, size * channels, 3 * size))
        moved = ops.matmul(moved, ops.transpose(rows, (0, 2, 1)))
        return ops.reshape(moved, (-1, height // size, width // size, num_motions, size, channels, size))

    def _matrices(self, scores: Any) -> Any:
        """Logits `(..., 2 * size + 1)` to matrices `(N, size * 3 * size)` that hold weights, moved on in each row."""
        size = self.cell_size
        # Flat, because TensorFlow's softmax on a CPU takes at most five dimensions; by a product, because the gradient
        # of slices costs many times as much.
        weights = ops.softmax(ops.reshape(scores, (-1, 2 * size + 1)))
        places = np.stack([np.eye(2 * size + 1, 3 * size, row) for row in range(size)], axis=1)
        return ops.matmul(weights, ops.convert_to_tensor(places.reshape(-1, 3 * size**2), weights.dtype))

    def _windows(self, picture: Any) -> Any:
        """Each cell with those around it: `(N, 3 * size, C * 3 * size)`, columns, channels, rows."""
        size = self.cell_size
        _, height, width, channels = picture.shape
        num_rows, num_columns = height // size, width // size
        strips = [ops.reshape(x, (-1, num_rows, size, width * channels)) for x in _neighbors(picture, 1, size)]
        strips = ops.transpose(ops.concatenate(strips, axis=2), (0, 1, 3, 2))
        strips = ops.reshape(strips, (-1, num_rows, width, channels * 3 * size))
        windows = [
            ops.reshape(x, (-1, num_rows, num_columns, size, channels * 3 * size)) for x in _neighbors(strips, 2, size)
        ]
        return ops.reshape(ops.concatenate(windows, axis=3), (-1, 3 * size, channels * 3 * size))

    def compute_output_spec(self, picture: Any, row_scores: Any, column_scores: Any) -> Any:
        """K pictures in cells."""
        size = self.cell_size
        return keras.KerasTensor((*row_scores.shape[:4], size, picture.shape[-1], size), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "cell_size": self.cell_size}


def _neighbors(maps: Any, axis: int, size: int) -> list[Any]:
    """What lies `size` before, at and `size` behind each place along an axis; by splits, whose gradients are cheap."""
    first, others = ops.split(maps, [size], axis=axis)
    most, last = ops.split(maps, [maps.shape[axis] - size], axis=axis)
    return [ops.concatenate([first, most], axis=axis), maps, ops.concatenate([others, last], axis=axis)]

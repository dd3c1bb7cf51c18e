"""Several pictures in cells and scores for each of their pixels in, one picture mixed of them out."""

from __future__ import annotations

from typing import Any

from keras import ops


def mix_cells(cells: Any, scores: Any) -> Any:
    """Average pictures pixel by pixel, with a softmax of scores as weights, and put the cells together.

    Args:
        cells: P pictures in cells of S x S pixels, `(B, h, w, P, S, C, S)`: columns of a cell, channels, rows, as
            `LocalMotion` returns them.
        scores: `(B, h, w, P * S * S)`, for each picture those of a cell's columns, for each column those of its rows.

    Returns:
        `(B, h * S, w * S, C)`.

    Example:
        >>> mix_cells(np.zeros((1, 16, 16, 2, 4, 3, 4), "float32"), np.zeros((1, 16, 16, 32), "float32")).shape
        (1, 64, 64, 3)
    """
    height, width, num_pictures, size, channels, _ = cells.shape[1:]
    # At most five dimensions at a time: with more, TensorFlow is slow on a CPU or refuses.
    # `ops.softmax` over an axis that is not the last, and is short, is eight times as slow with its gradient.
    scores = ops.reshape(scores, (-1, num_pictures, size, 1, size))
    weights = ops.exp(scores - ops.stop_gradient(ops.max(scores, axis=1, keepdims=True)))
    weights = weights / ops.sum(weights, axis=1, keepdims=True)
    mixed = ops.sum(weights * ops.reshape(cells, (-1, num_pictures, size, channels, size)), axis=1)
    mixed = ops.transpose(ops.reshape(mixed, (-1, height, width, size, channels, size)), (0, 1, 5, 2, 3, 4))
    return ops.reshape(mixed, (-1, height * size, width * size, channels))

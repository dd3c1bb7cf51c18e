"""Pixels folded into channels, and channels unfolded into pixels."""

from __future__ import annotations

from typing import Any

from keras import ops


def fold(pictures: Any, factor: int) -> Any:
    """Make each square of `factor` x `factor` pixels one cell with all their channels.

    Args:
        pictures: `(B, H, W, C)`, H and W multiples of `factor`.
        factor: side of the squares.

    Returns:
        `(B, H // factor, W // factor, factor * factor * C)`, the pixels of a square row by row.

    Example:
        >>> fold(keras.Input((64, 64, 3)), 2).shape
        (None, 32, 32, 12)

    Reference:
        Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
        Network, 2016, https://arxiv.org/abs/1609.05158
    """
    height, width, channels = pictures.shape[1:]
    rows, columns = height // factor, width // factor
    cells = ops.reshape(pictures, (-1, rows, factor, columns, factor, channels))
    return ops.reshape(ops.transpose(cells, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, factor * factor * channels))


def unfold(cells: Any, factor: int) -> Any:
    """The inverse of `fold`.

    Args:
        cells: `(B, h, w, factor * factor * C)`.
        factor: side of the squares.

    Returns:
        `(B, h * factor, w * factor, C)`.

    Example:
        >>> unfold(fold(pictures, 2), 2)  # the pictures
    """
    rows, columns, num_numbers = cells.shape[1:]
    channels = num_numbers // (factor * factor)
    pictures = ops.reshape(cells, (-1, rows, columns, factor, factor, channels))
    pictures = ops.transpose(pictures, (0, 1, 3, 2, 4, 5))
    return ops.reshape(pictures, (-1, rows * factor, columns * factor, channels))

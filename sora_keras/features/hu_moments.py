"""A gray picture to its seven Hu moments, each on a logarithmic scale that keeps its sign."""

from __future__ import annotations

import cv2
import numpy as np

SMALLEST = 1e-8  # the moments reach from 1 down to this before rounding decides them


def hu_moments(picture: np.ndarray) -> np.ndarray:
    """Describe the shape of what is bright, wherever it lies, however large and however turned it is.

    Args:
        picture: `(H, W)`, `uint8` or `float32`, not negative. An empty one, all zeros, has no shape: seven zeros.

    Returns:
        `float32 (7,)`, `sign(h) * log10(1 + |h| / 1e-8)` of Hu's moments h: decades above 1e-8. The sign of the seventh
        is that of the mirror image.

    Example:
        >>> hu_moments(np.ones((8, 8), np.float32)).round(1)
        array([7.2, 0. , 0. , 0. , 0. , 0. , 0. ], dtype=float32)

    Reference:
        Hu, Visual pattern recognition by moment invariants, IRE Transactions on Information Theory 8 (1962), 179-187.
    """
    brightest = picture.max()
    moments = cv2.HuMoments(cv2.moments(picture / brightest if brightest else picture)).ravel()
    return (np.sign(moments) * np.log10(1 + np.abs(moments) / SMALLEST)).astype(np.float32)

"""A clip to its gray frames."""

from __future__ import annotations

import cv2
import numpy as np

from sora_keras.video import Clip


def gray_frames(clip: Clip) -> np.ndarray:
    """Take the color out of every frame, `0.299 R + 0.587 G + 0.114 B`.

    Args:
        clip: T frames of H rows and W columns.

    Returns:
        `uint8 (T, H, W)`.

    Example:
        >>> gray_frames(clip).shape
        (16, 64, 64)
    """
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.frames])

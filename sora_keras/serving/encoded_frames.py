"""Frames in, JPEG or PNG pictures of them out: what a client sends in their place."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

Encoding = Literal["jpeg", "png"]


def encode_frames(frames: np.ndarray, encoding: Encoding = "jpeg", quality: int = 90) -> list[bytes]:
    """Encode each frame as a picture.

    Args:
        frames: `uint8 (T, H, W, C)`, RGB or, with C = 1, gray.
        encoding: `"jpeg"`, or `"png"`, which loses nothing and is several times larger.
        quality: of JPEG, from 1 to 100.

    Returns:
        T files.

    Raises:
        ValueError: if the frames are of another shape or type.

    Example:
        >>> pictures = encode_frames(clip.frames, quality=80)
    """
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.ndim != 4 or not frames.size:
        raise ValueError(f"A clip must be uint8 of shape (T, H, W, 3), received {_described(frames)}.")
    if frames.shape[-1] not in (1, 3):
        raise ValueError(f"A clip must have 3 channels, RGB, or 1, gray, received {_described(frames)}.")
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality] if encoding == "jpeg" else []
    suffix = ".jpg" if encoding == "jpeg" else ".png"
    # OpenCV takes blue first.
    return [cv2.imencode(suffix, np.ascontiguousarray(frame[..., ::-1]), parameters)[1].tobytes() for frame in frames]


def _described(frames: np.ndarray) -> str:
    return f"{frames.dtype} of shape {frames.shape}" if isinstance(frames, np.ndarray) else f"a {type(frames).__name__}"

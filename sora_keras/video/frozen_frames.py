"""A `Clip` in, the same clip without the frames that only repeat the one before out."""

from __future__ import annotations

import cv2
import numpy as np

from sora_keras.video.clip import Clip

BLOCK = 8  # pixels; differences are averaged over blocks so that noise of single pixels does not count as motion


def drop_frozen_frames(clip: Clip, tolerance: float = 3.0) -> Clip:
    """Keep the frames that `find_frozen_frames` does not name, each at its own time.

    Args:
        clip: the clip, its frames as close in time as the video's own.
        tolerance: see `find_frozen_frames`.

    Returns:
        A clip of fewer frames; the gap in its times is as long as the picture stood still. The clip itself if no frame
        is frozen.

    Raises:
        ValueError: if `tolerance` is negative.

    Example:
        >>> drop_frozen_frames(clip).times
        array([0.  , 0.04, 0.2 , 0.24])
    """
    is_frozen = find_frozen_frames(clip, tolerance)
    return Clip(clip.frames[~is_frozen], clip.times[~is_frozen]) if is_frozen.any() else clip


def find_frozen_frames(clip: Clip, tolerance: float = 3.0) -> np.ndarray:
    """Name the frames that show nothing new.

    A frame is frozen if in none of its blocks of 8 x 8 pixels the mean absolute difference exceeds `tolerance` against
    the frame before, nor twice the tolerance against the last frame that was not frozen: what a codec adds to repeats
    does not add up for long, slow changes do.

    Args:
        clip: the clip.
        tolerance: levels of 0..255. 0 asks for exact repeats, 3 takes most repeats that went through a good codec
            (H.264, CRF 18), 5 nearly all of them; of surveillance video, where little moves, 3 takes 2 % and 5 takes
            11 % of the frames. A scene in which nothing moves is not told from a frozen one.

    Returns:
        `bool (T,)`, true for frozen frames; the first is never one.

    Raises:
        ValueError: if `tolerance` is negative.

    Example:
        >>> find_frozen_frames(clip).mean()
        0.25
    """
    if not tolerance >= 0:
        raise ValueError(f"`tolerance` must be 0 or more levels, received {tolerance!r}.")
    is_frozen = np.zeros(len(clip.frames), bool)
    kept = before = np.ascontiguousarray(clip.frames[0])
    for index in range(1, len(clip.frames)):
        frame = np.ascontiguousarray(clip.frames[index])
        is_frozen[index] = _largest_change(frame, before) <= tolerance and _largest_change(frame, kept) <= 2 * tolerance
        before = frame
        if not is_frozen[index]:
            kept = frame
    return is_frozen


def _largest_change(frame: np.ndarray, other: np.ndarray) -> float:
    """The mean absolute difference in the block and channel where it is largest."""
    difference = cv2.absdiff(frame, other).astype(np.float32)
    height, width = difference.shape[:2]
    blocks = cv2.resize(difference, (-(-width // BLOCK), -(-height // BLOCK)), interpolation=cv2.INTER_AREA)
    return float(blocks.max())

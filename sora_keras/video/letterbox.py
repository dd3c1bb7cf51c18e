"""A `Clip` framed by flat bars in, the picture inside them out."""

from __future__ import annotations

import cv2
import numpy as np

from sora_keras.video.clip import Clip

BAR_LEVELS = 16  # between the brightest and the darkest pixel of a bar: what lossy codecs leave of one color
PICTURE_SHARE = 0.6  # of a line's pixels must leave the bar's color just inside it, or it was only a dark scene's edge


def remove_letterbox(clip: Clip, keep_size: bool = True) -> Clip:
    """Cut off the bars found by `find_picture`.

    Args:
        clip: the clip.
        keep_size: scale the picture up to the clip's height and width, as a model wants it; the aspect ratio gives
            way, as it does in `read_clip`. `False` gives the smaller picture as it is.

    Returns:
        The picture inside the bars; the clip itself if there are none.

    Example:
        >>> remove_letterbox(read_clip("film.mp4", ClipSpec(16, 112, 112)))
    """
    rows, columns = find_picture(clip)
    height, width = clip.frames.shape[1:3]
    picture = clip.frames[:, rows, columns]
    if picture.shape[1:3] == (height, width):
        return clip
    if not keep_size:
        return Clip(np.ascontiguousarray(picture), clip.times)
    scaled = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR) for frame in picture]
    return Clip(np.stack(scaled), clip.times)


def find_picture(clip: Clip) -> tuple[slice, slice]:
    """Find the rows and columns inside flat bars of any color, on any side, that stay through the whole clip.

    A bar is a run of lines from the frame's edge in which, over all frames, no more than one pixel in a hundred leaves
    a range of 16 levels. It ends in a straight edge: of the three lines behind it, six in ten pixels must leave that
    range at some time; what fades into the dark, as a night scene does, is no bar. A bar with text in it stays, and so
    does everything in a clip that is flat all over.

    Args:
        clip: the clip; the more of the video it covers, the surer.

    Returns:
        Slices of the rows and of the columns of the picture.

    Example:
        >>> find_picture(clip)
        (slice(45, 315), slice(0, 480))
    """
    # Two extremes a pixel instead of T values: a line is flat over time and space if these are.
    extremes = np.stack([clip.frames.min(axis=0), clip.frames.max(axis=0)])
    top, left = 0, 0
    bottom, right = extremes.shape[1:3]
    while True:
        inside = extremes[:, top:bottom, left:right]
        above, below, before, after = _bars(inside)
        if not any((above, below, before, after)):
            return slice(top, bottom), slice(left, right)
        top, bottom, left, right = top + above, bottom - below, left + before, right - after


def _bars(extremes: np.ndarray) -> list[int]:
    """How thick the bars at the top, bottom, left and right are; `extremes (2, H, W, 3)` over time, dark and bright."""
    height, width = extremes.shape[1:3]
    sides = [extremes, extremes[:, ::-1], extremes.swapaxes(1, 2), extremes[:, :, ::-1].swapaxes(1, 2)]
    flat = [_flat_lines(side) for side in sides]
    above, below, before, after = flat
    if above + below >= height or before + after >= width:
        return [0, 0, 0, 0]
    rows, columns = slice(above, height - below), slice(before, width - after)
    insides = [columns, columns, rows, rows]
    return [_bar_lines(*bar) for bar in zip(sides, flat, insides, strict=True)]


def _flat_lines(extremes: np.ndarray) -> int:
    """How many lines from the start have one color; `extremes (2, L, P, 3)` of L lines of P pixels."""
    low = np.percentile(extremes[0], 1, axis=1, method="lower")
    high = np.percentile(extremes[1], 99, axis=1, method="higher")
    spread = np.maximum.accumulate(high, axis=0).astype(int) - np.minimum.accumulate(low, axis=0)
    is_flat = np.all(spread <= BAR_LEVELS, axis=-1)
    return len(is_flat) if is_flat.all() else int(np.argmin(is_flat))


def _bar_lines(extremes: np.ndarray, num_lines: int, across: slice) -> int:
    """How many lines to cut: the flat ones and the seam behind them, or 0 if no straight edge ends them."""
    if num_lines == 0:
        return 0
    color = np.median(extremes[:, :num_lines], axis=(0, 1, 2))
    behind = np.abs(extremes[:, num_lines : num_lines + 3, across] - color).max(axis=(0, -1))
    if (behind.max(axis=0) > BAR_LEVELS).mean() < PICTURE_SHARE:
        return 0
    # Scaling mixes bar and picture in a line or two, which would stay as a seam.
    seam = np.median(behind, axis=1)
    while len(seam) > 1 and seam[0] < seam[1] / 2:
        num_lines, seam = num_lines + 1, seam[1:]
    return num_lines

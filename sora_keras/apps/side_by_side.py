"""A video before and after in, a video that shows both beside each other out."""

from __future__ import annotations

import os
from collections.abc import Iterator

import cv2
import numpy as np

from sora_keras.progress import show_progress
from sora_keras.video import stream_frames
from sora_keras.video.rewriting import rewrite_video

MOST_ROWS, MOST_COLUMNS = 1080, 1280  # of each of the two
LINE_COLUMNS = 2
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def write_side_by_side(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    to: str | os.PathLike[str],
    num_frames: int | None = None,
) -> None:
    """Write a video of two videos with the same number of frames, with the first one's times and sound.

    Args:
        before: the video on the left; its frames are scaled to the size of the other's.
        after: the video on the right; above 1280x1080 pixels both are shrunk.
        to: the file to write, see `sora_keras.video.rewriting.rewrite_video`.
        num_frames: how many frames there are, for the progress bar.

    Raises:
        ValueError: if `to` is of another kind, or `before` itself.
        VideoError: if a file cannot be read or written.

    Example:
        >>> write_side_by_side("dark.mp4", "bright.mp4", "compared.mp4")
    """

    def change(frames: Iterator[tuple[float, np.ndarray]]) -> Iterator[np.ndarray]:
        shown = show_progress(frames, f"Writing {os.path.basename(os.fsdecode(to))}", num_frames)
        for (_, frame), (_, changed) in zip(shown, stream_frames(after), strict=True):
            yield side_by_side(frame, changed)

    rewrite_video(before, to, change, is_quiet=True)  # what there is to warn of, making `after` told


def side_by_side(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Draw two frames beside each other, named, with a thin line between them.

    Args:
        before: `uint8 (H, W, 3)`.
        after: `uint8 (H2, W2, 3)`.

    Returns:
        `uint8 (H3, 2 W3 + 2, 3)`, all even, `H3 <= 1080` and `W3 <= 1280`.

    Example:
        >>> side_by_side(frame, np.repeat(np.repeat(frame, 2, 0), 2, 1)).shape  # a frame of 240x320
        (480, 1282, 3)
    """
    rows, columns = after.shape[:2]
    shrinkage = min(1.0, MOST_ROWS / rows, MOST_COLUMNS / columns)
    rows, columns = (max(2, 2 * int(shrinkage * side / 2)) for side in (rows, columns))
    halves = [_labeled(_resized(frame, rows, columns), name) for frame, name in ((before, "before"), (after, "after"))]
    line = np.full((rows, LINE_COLUMNS, 3), WHITE, np.uint8)
    return np.concatenate([halves[0], line, halves[1]], axis=1)


def _resized(frame: np.ndarray, rows: int, columns: int) -> np.ndarray:
    is_shrunk = rows < frame.shape[0] or columns < frame.shape[1]
    return cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA if is_shrunk else cv2.INTER_CUBIC)


def _labeled(frame: np.ndarray, name: str) -> np.ndarray:
    """The frame with its name in the upper left corner, where there is room for it."""
    size = max(0.4, frame.shape[0] / 720)
    (width, height), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    margin = height // 2
    if width + 2 * margin > frame.shape[1] or height + 2 * margin > frame.shape[0]:
        return frame
    labeled = np.ascontiguousarray(frame)
    cv2.rectangle(labeled, (0, 0), (width + 2 * margin, height + 2 * margin), BLACK, cv2.FILLED)
    place, thickness = (margin, height + margin), max(1, round(size))
    cv2.putText(labeled, name, place, cv2.FONT_HERSHEY_SIMPLEX, size, WHITE, thickness, cv2.LINE_AA)
    return labeled

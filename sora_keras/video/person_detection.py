"""A frame in, where people are in it out: a box and a score for each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

INPUT_SIDE = 300  # pixels; the network looks at squares of that size
NETWORK_PATH = Path(__file__).with_name("person_detector.onnx")
_TILE_OVERLAP = 1 / 3  # of a tile's side
_SMALLEST_TILE = 64  # pixels; smaller ones show nobody
_BORDER = 0.01  # of a tile's side
_SAME_PERSON = 0.65  # overlap of two boxes, as a share of the smaller one
_of_thread = threading.local()  # a network cannot run twice at the same time


def detect_people(frame: np.ndarray, minimum_score: float = 0.4, zoom: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Find the people in a frame.

    A small network trained on pedestrians, which comes with this package, looks at the whole frame and then at smaller
    and smaller tiles of it. What a tile cuts off is left to the others. Of boxes that overlap by 65 % of the smaller
    one the surest stays, so two people of whom one hides most of the other count as one.

    Args:
        frame: `uint8 (H, W, 3)`, RGB.
        minimum_score: how sure a detection must be, above 0 and up to 1.
        zoom: 1 looks at the whole frame only and finds people from about a fifth of its height; 2 looks at tiles of
            0.6 of the shorter side too (7 looks at a 4:3 frame in all), 3 also at tiles of 0.43 (22 looks), and so on
            down to tiles of 64 pixels. A look takes 20 to 30 ms on one core.

    Returns:
        Boxes `float32 (P, 4)`: left, top, right and bottom as shares of the frame's width and height. Scores
        `float32 (P,)`, from high to low.

    Raises:
        ValueError: if the frame has another shape or type, or a number is out of range.

    Example:
        >>> boxes, scores = detect_people(frame)
        >>> len(boxes)
        6

    Reference:
        Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, 2018 (SSDLite),
        https://arxiv.org/abs/1801.04381
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
        raise ValueError(f"`frame` must be uint8 (H, W, 3), received {frame.dtype} {frame.shape}.")
    if not 0 < minimum_score <= 1:
        raise ValueError(f"`minimum_score` must be above 0 and at most 1, received {minimum_score!r}.")
    if not isinstance(zoom, int) or zoom < 1:
        raise ValueError(f"`zoom` must be a whole number of at least 1, received {zoom!r}.")
    height, width = frame.shape[:2]
    found = [_look(frame, tile, minimum_score) for tile in _tiles(height, width, zoom)]
    boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    kept = _one_each(boxes, scores)
    boxes = np.clip(boxes[kept] / [width, height, width, height], 0.0, 1.0)
    return boxes.astype(np.float32), scores[kept]


def tile_share(zoom: int) -> float:
    """The side of the smallest tiles that `detect_people` looks at, as a share of the frame's shorter side."""
    return 1 / (1 + (zoom - 1) * (1 - _TILE_OVERLAP))


def _tiles(height: int, width: int, zoom: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right and bottom of the whole frame, then of 2 rows of squares, of 3 and so on."""
    yield 0, 0, width, height
    for rows in range(2, zoom + 1):
        side = round(min(height, width) * tile_share(rows))
        if side < _SMALLEST_TILE:
            return
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield left, top, left + side, top + side


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin, as few of them as cover the length with the wanted overlap."""
    num_tiles = 1 + int(np.ceil((length - side) / (side * (1 - _TILE_OVERLAP)) - 1e-2))
    return np.linspace(0, length - side, num_tiles).round().astype(int).tolist()


def _look(frame: np.ndarray, tile: tuple[int, int, int, int], minimum_score: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes in pixels of the frame and scores of what one tile shows whole."""
    left, top, right, bottom = tile
    pixels = np.ascontiguousarray(frame[top:bottom, left:right])
    is_shrunk = min(pixels.shape[:2]) > INPUT_SIDE
    interpolation = cv2.INTER_AREA if is_shrunk else cv2.INTER_LINEAR
    pixels = cv2.resize(pixels, (INPUT_SIDE, INPUT_SIDE), interpolation=interpolation)
    network = _network()
    network.setInput(cv2.dnn.blobFromImage(pixels, 1 / 127.5, (INPUT_SIDE, INPUT_SIDE), (127.5, 127.5, 127.5)))
    boxes, scores = (np.asarray(output)[0] for output in network.forward(["boxes", "scores"]))
    is_inside = np.array([left, top, -right, -bottom]) > [0, 0, -frame.shape[1], -frame.shape[0]]
    is_cut = (boxes * [1, 1, -1, -1] < np.array([_BORDER, _BORDER, _BORDER - 1, _BORDER - 1])) & is_inside
    kept = (scores[:, 0] >= minimum_score) & ~is_cut.any(axis=1)
    size = np.array([right - left, bottom - top] * 2)
    return boxes[kept] * size + [left, top, left, top], scores[kept, 0]


def _network() -> cv2.dnn.Net:
    if not hasattr(_of_thread, "network"):
        _of_thread.network = cv2.dnn.readNetFromONNX(str(NETWORK_PATH))
    return _of_thread.network


def _one_each(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The numbers of the boxes to keep, surest first."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        first = np.maximum(boxes[kept, :2], boxes[index, :2])
        last = np.minimum(boxes[kept, 2:], boxes[index, 2:])
        shared = np.maximum(last - first, 0).prod(axis=1)
        if not (shared > _SAME_PERSON * np.minimum(areas[kept], areas[index])).any():
            kept.append(index)
    return np.array(kept, np.intp)

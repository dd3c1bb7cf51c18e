"""Frames of any size in, the same frames restored in overlapping tiles, each with a memory of its own, out."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

# Sides and places of tiles are multiples of this. Models demand 4, but look for motion in pictures halved again and
# again: with 16 the first four halvings lose no row, and tiles shrink the same pixels together where they overlap.
GRID = 16


class TiledRestoration:
    """One frame after the other through a recurrent model, whole or in tiles, with the state carried on.

    A frame is padded by its mirror image to multiples of 16 and cut into equal tiles that overlap. Of a tile the outer
    quarter of the overlap, where the model sees its edge, is not used; over the next half it fades into its neighbor.
    So tiles show no seams, and are exactly what the whole frame would give where the model looks no farther around than
    a quarter of the overlap.

    Args:
        model: has `scale`, `step_model(height, width)` and `initial_state(batch_size, height, width)`, as
            `SoraEnhancer` with `mode="restore"`.
        height: rows H of the frames.
        width: columns W of the frames.
        tile_size: rows and columns of a tile, at most; a multiple of 16. A frame that is no larger is not cut.
        overlap: rows and columns that neighbors share, at least.
        tiles_at_once: how many tiles are computed together.

    Raises:
        ValueError: if `tile_size` is not a multiple of 16 above 2 x `overlap`, or a number is out of range.

    Example:
        >>> restoration = TiledRestoration(model, 720, 1280, tile_size=512)  # doctest: +SKIP
        >>> restored = [restoration.step(frame) for frame in frames]  # doctest: +SKIP
    """

    def __init__(
        self, model: Any, height: int, width: int, tile_size: int = 512, overlap: int = 64, tiles_at_once: int = 1
    ) -> None:
        check_tile(tile_size, overlap)
        if tiles_at_once < 1:
            raise ValueError(f"`tiles_at_once` must be at least 1, received {tiles_at_once!r}.")
        self._size, self._scale = (height, width), model.scale
        self._padded = (_up_to_multiple(height), _up_to_multiple(width))
        self._tile = tuple(even_tile(side, tile_size, overlap) for side in self._padded)
        starts = [tile_starts(side, tile, overlap) for side, tile in zip(self._padded, self._tile, strict=True)]
        weights = [
            blend_weights(
                [self._scale * start for start in places], self._scale * tile, self._scale * side, self._scale * overlap
            )
            for places, tile, side in zip(starts, self._tile, self._padded, strict=True)
        ]
        places = list(itertools.product(*(list(zip(*axis, strict=True)) for axis in zip(starts, weights, strict=True))))
        self._batches = [places[first : first + tiles_at_once] for first in range(0, len(places), tiles_at_once)]
        self._model = model.step_model(*self._tile)
        self._make_state = model.initial_state
        self.forget()

    @property
    def num_tiles(self) -> int:
        """Into how many tiles a frame is cut."""
        return sum(map(len, self._batches))

    def forget(self) -> None:
        """Begin a new video: all states are zero again."""
        self._states = [self._make_state(len(batch), *self._tile) for batch in self._batches]

    def step(self, frame: np.ndarray) -> np.ndarray:
        """The model's output for the next frame, `uint8 (H, W, 3)`: `float32 (scale H, scale W, 3)`."""
        padding = [(0, padded - side) for padded, side in zip(self._padded, self._size, strict=True)]
        frame = np.pad(frame, [*padding, (0, 0)], mode="symmetric") if any(map(sum, padding)) else frame
        rows, columns = self._tile
        blended = np.zeros([self._scale * side for side in self._padded] + [3], np.float32)
        for index, batch in enumerate(self._batches):
            tiles = np.stack([frame[top : top + rows, left : left + columns] for (top, _), (left, _) in batch])
            outputs = self._model.predict_on_batch({"frame": tiles, **self._states[index]})
            restored = outputs.pop("frame")
            self._states[index] = outputs
            for tile, ((top, down), (left, across)) in zip(restored, batch, strict=True):
                target = blended[self._scale * top :, self._scale * left :][: len(down), : len(across)]
                target += tile if len(self._batches) * len(batch) == 1 else down[:, None, None] * across[:, None] * tile
        return blended[: self._scale * self._size[0], : self._scale * self._size[1]]


def even_tile(side: int, largest: int, overlap: int) -> int:
    """The smallest tile with which a side takes no more tiles than with the largest.

    Args:
        side: pixels to cover, a multiple of 16.
        largest: pixels of a tile at most, a multiple of 16.
        overlap: pixels that neighbors share, at least.

    Returns:
        Pixels, a multiple of 16.

    Example:
        >>> even_tile(720, 512, 64)
        400
    """
    if largest >= side:
        return side
    num_tiles = math.ceil((side - overlap) / (largest - overlap))
    return _up_to_multiple(math.ceil((side + (num_tiles - 1) * overlap) / num_tiles))


def tile_starts(side: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin that cover a side and overlap by at least so much, at multiples of 16.

    Args:
        side: pixels to cover, a multiple of 16.
        tile: pixels of a tile, a multiple of 16.
        overlap: pixels that neighbors share, at least.

    Returns:
        Ascending, the first 0 and the last `side - tile`.

    Example:
        >>> tile_starts(720, 512, 64)
        [0, 208]
    """
    if tile >= side:
        return [0]
    num_tiles = math.ceil((side - overlap) / (tile - overlap))
    even = (index * (side - tile) / (num_tiles - 1) for index in range(num_tiles))
    return [GRID * math.floor(start / GRID) for start in even]


def blend_weights(starts: list[int], tile: int, side: int, overlap: int) -> list[np.ndarray]:
    """How much each tile counts at each of its pixels along one axis; at each pixel of the side the sum is one.

    Args:
        starts: where the tiles begin.
        tile: pixels of a tile.
        side: pixels they cover.
        overlap: pixels that neighbors share, at least.

    Returns:
        `float32 (tile,)` for each of `starts`.

    Example:
        >>> [weights.round(2).tolist() for weights in blend_weights([0, 4], 8, 12, 4)]
        [[1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.25, 0.0], [0.0, 0.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0]]
    """
    unused, faded = overlap / 4, overlap / 2
    raw = []
    for start in starts:
        inside = np.arange(tile) + 0.5
        to_edge = np.minimum(inside if start > 0 else np.inf, tile - inside if start + tile < side else np.inf)
        raw.append(np.clip((to_edge - unused) / faded, 0, 1) if overlap else np.ones(tile))
    total = np.zeros(side)
    for start, weights in zip(starts, raw, strict=True):
        total[start : start + tile] += weights
    return [
        (weights / total[start : start + tile]).astype(np.float32) for start, weights in zip(starts, raw, strict=True)
    ]


def _up_to_multiple(side: float) -> int:
    return GRID * math.ceil(side / GRID)


def check_tile(tile_size: int, overlap: int) -> None:
    """Raise a `ValueError` unless tiles of that size can be laid out with that overlap."""
    if overlap < 0 or tile_size % GRID or tile_size <= 2 * overlap:
        raise ValueError(
            f"`tile_size` must be a multiple of {GRID} above twice the overlap of {overlap}, received "
            f"{tile_size!r}; take {GRID * (2 * max(overlap, 0) // GRID + 1)} or more."
        )

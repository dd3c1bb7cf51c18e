"""A video's frames and a restoring model in, the restored frames out, each in its turn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from sora_keras.apps.tiles import GRID, TiledRestoration, check_tile

# What a step may take for a frame that is not cut, and for tiles that are computed together.
FRAME_BYTES, TILE_BYTES = 600 * 2**20, 128 * 2**20
STEP_TO_STATE = 25  # so many times the state at most, measured on restoring models of scale 1 and 4
# Pixels. Models that enlarge look at half the surroundings.
SMALLEST_TILE, OVERLAP, OVERLAP_ENLARGED = 144, 64, 32


def restored_frames(frames: Iterable[np.ndarray], model: Any, tile_size: int | None = None) -> Iterator[np.ndarray]:
    """Restore a video's frames one after the other, holding one of them and the model's state.

    Args:
        frames: `uint8 (H, W, 3)`, all of one shape.
        model: a `SoraEnhancer` with `mode="restore"`.
        tile_size: rows and columns of a tile at most; `None` takes the whole frame if a step then takes no more than
            600 MiB, as 1280x720 pixels of models that keep the size do, else tiles of which a step takes 128 MiB.

    Yields:
        `float32 (scale H, scale W, 3)`, as many as there are frames.

    Example:
        >>> for restored in restored_frames((frame for _, frame in stream_frames("night.mp4")), model): ...
    """
    restoration: TiledRestoration | None = None
    for frame in frames:
        if restoration is None:
            restoration = _restoration(model, frame.shape[0], frame.shape[1], tile_size)
        yield restoration.step(frame)  # without a name: it is large, and is not to be kept here


def _restoration(model: Any, height: int, width: int, tile_size: int | None) -> TiledRestoration:
    overlap = OVERLAP if model.scale == 1 else OVERLAP_ENLARGED
    sides = [GRID * math.ceil(side / GRID) for side in (height, width)]
    bytes_for_a_pixel = _bytes_for_a_pixel(model)
    pixels_at_once = TILE_BYTES // bytes_for_a_pixel
    if tile_size is not None:
        check_tile(tile_size, overlap)
    else:
        is_small = sides[0] * sides[1] * bytes_for_a_pixel <= FRAME_BYTES
        largest = GRID * (math.isqrt(pixels_at_once) // GRID)
        tile_size = max(SMALLEST_TILE, max(sides) if is_small else largest)
    tiles_at_once = max(1, pixels_at_once // (min(tile_size, sides[0]) * min(tile_size, sides[1])))
    return TiledRestoration(model, height, width, tile_size, overlap, tiles_at_once)


def _bytes_for_a_pixel(model: Any) -> int:
    """What a step takes for each pixel of a frame."""
    state = model.initial_state(1, GRID, GRID)
    return max(1, STEP_TO_STATE * sum(value.nbytes for value in state.values()) // GRID**2)

"""A video's frames and a restoring model in, the restored frames out, each in its turn."""

from __future__ import annotations

import copy
import itertools
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


def restored_frames(
    frames: Iterable[np.ndarray], model: Any, tile_size: int | None = None, look_ahead: int = 0
) -> Iterator[np.ndarray]:
    """Restore a video's frames one after the other, holding one of them and the model's state.

    With `look_ahead`, each frame is the mean of two: restored after the frames before it, and, going backwards, after
    those to come, from `look_ahead` of them up to twice as many. It takes three times as long, and holds `2 look_ahead`
    frames and `look_ahead` restored ones.

    Args:
        frames: `uint8 (H, W, 3)`, all of one shape.
        model: a `SoraEnhancer` with `mode="restore"`.
        tile_size: rows and columns of a tile at most; `None` takes the whole frame if a step then takes no more than
            600 MiB, as 1280x720 pixels of models that keep the size do, else tiles of which a step takes 128 MiB.
        look_ahead: how many of the frames to come, at least, each frame is restored by too, where so many do come.

    Yields:
        `float32 (scale H, scale W, 3)`, as many as there are frames.

    Raises:
        ValueError: if `tile_size` or `look_ahead` is out of its range.

    Example:
        >>> for restored in restored_frames((frame for _, frame in stream_frames("night.mp4")), model): ...
    """
    if isinstance(look_ahead, bool) or not isinstance(look_ahead, int) or look_ahead < 0:
        raise ValueError(f"`look_ahead` must be a number of frames of at least 0, received {look_ahead!r}.")
    return _restored(iter(frames), model, tile_size, look_ahead)


def _restored(frames: Iterator[np.ndarray], model: Any, tile_size: int | None, look_ahead: int) -> Iterator[np.ndarray]:
    first = next(frames, None)
    if first is None:
        return
    restoration = _restoration(model, first.shape[0], first.shape[1], tile_size)
    frames = itertools.chain([first], frames)
    del first  # it is large, and is not to be kept here
    if look_ahead:
        yield from _both_ways(frames, restoration, look_ahead)
    else:
        yield from map(restoration.step, frames)


def _both_ways(frames: Iterator[np.ndarray], forwards: TiledRestoration, look_ahead: int) -> Iterator[np.ndarray]:
    backwards = copy.copy(forwards)  # the same network; its memory is made anew for each group
    groups = iter(lambda: list(itertools.islice(frames, look_ahead)), [])
    group = next(groups, [])
    while group:
        following = next(groups, [])
        backwards.forget()
        for frame in reversed(following):
            backwards.step(frame)
        restored = [backwards.step(frame) for frame in reversed(group)]
        for frame in group:
            yield (forwards.step(frame) + restored.pop()) / 2
        group = following


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

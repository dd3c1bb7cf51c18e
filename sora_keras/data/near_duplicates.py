"""Fingerprints of videos in, the pairs of them that look alike across the sides of a split out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from sora_keras.data.fingerprint import HASH_BITS, Fingerprint
from sora_keras.progress import show_progress

VIDEOS_A_BLOCK = 64
_NEVER = np.float32(HASH_BITS + 1)


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """Two videos of different sides that look alike.

    Args:
        first: index of one video.
        second: index of the other one.
        distance: bits in which their most similar frames' hashes differ.
    """

    first: int
    second: int
    distance: int


def nearest_across(
    fingerprints: Mapping[int, Fingerprint], sides: Sequence[str], max_distance: int, most: int = 3
) -> list[Pair]:
    """Find the videos of other sides that each video resembles most.

    The distance of two videos is that of their most similar frames, in bits of the hash: 0 for the same picture, about
    128 for two that have nothing in common. One of the two frames may be cropped, mirrored or without its bars.

    Args:
        fingerprints: of the videos, by their index.
        sides: the side of each video.
        max_distance: the largest distance that counts.
        most: how many partners to keep for each video.

    Returns:
        The pairs, `first < second`, by distance.

    Example:
        >>> fingerprints = {index: fingerprint(row) for index, row in enumerate(rows)}
        >>> nearest_across(fingerprints, [row.split for row in rows], max_distance=48)
        [Pair(first=4, second=17, distance=12)]
    """

    def compare(blocks: tuple[list[int], list[int]]) -> list[tuple[int, int, int]]:
        distances = _distances(*([fingerprints[index] for index in block] for block in blocks))
        distances[np.equal.outer(*(np.array([sides[index] for index in block]) for block in blocks))] = _NEVER
        found = _closest_of_each(distances, *blocks) + _closest_of_each(distances.T, *blocks[::-1])
        return [each for each in found if each[2] <= max_distance]

    partners: dict[int, list[tuple[int, int]]] = {index: [] for index in fingerprints}
    pairs_of_blocks = _pairs_of_blocks(fingerprints, sides)
    # Blocks are small: BLAS would spend more on waiting for its own threads than these save.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(compare, pairs_of_blocks)
        for each in show_progress(found, "Comparing hashes", len(pairs_of_blocks)):
            for index, partner, distance in each:
                partners[index] = sorted({*partners[index], (distance, partner)})[:most]
    pairs = {
        Pair(min(row, other), max(row, other), distance)
        for row, kept in partners.items()
        for distance, other in kept
    }  # fmt: skip
    return sorted(pairs, key=lambda pair: (pair.distance, pair.first, pair.second))


def _pairs_of_blocks(indices: Iterable[int], sides: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    """Every two blocks of videos that are not all of one side, a block and itself included."""
    order = sorted(indices, key=sides.__getitem__)
    blocks = [order[start : start + VIDEOS_A_BLOCK] for start in range(0, len(order), VIDEOS_A_BLOCK)]
    return [
        (block, other)
        for number, block in enumerate(blocks)
        for other in blocks[number:]
        if sides[block[0]] != sides[other[-1]]
    ]


def _closest_of_each(distances: np.ndarray, rows: list[int], columns: list[int]) -> list[tuple[int, int, int]]:
    closest = distances.argmin(axis=1)
    nearest = distances[np.arange(len(rows)), closest].astype(int).tolist()
    return list(zip(rows, [columns[column] for column in closest], nearest, strict=True))


def _distances(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> np.ndarray:
    """Distance of each video to each other one, `float32 (len(first), len(second))`."""
    return np.minimum.reduce([
        _closest([f.hashes for f in first], [f.hashes for f in second]),
        _closest([f.altered for f in first], [f.hashes for f in second]),
        _closest([f.hashes for f in first], [f.altered for f in second]),
    ])  # fmt: skip


def _closest(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> np.ndarray:
    """Smallest Hamming distance of any hash of each video to any of each other one."""
    distances = np.full((len(first), len(second)), _NEVER)
    rows, columns = ([index for index, hashes in enumerate(side) if len(hashes)] for side in (first, second))
    if rows and columns:
        # Of bits written as -1 and 1, the product is the number of equal ones less that of the others: one product of
        # matrices, which BLAS computes faster than NumPy counts bits.
        products = _signs([first[row] for row in rows]) @ _signs([second[column] for column in columns]).T
        products = np.maximum.reduceat(products, _starts([first[row] for row in rows]), axis=0)
        products = np.maximum.reduceat(products, _starts([second[column] for column in columns]), axis=1)
        distances[np.ix_(rows, columns)] = (HASH_BITS - products) / 2
    return distances


def _signs(hashes: Sequence[np.ndarray]) -> np.ndarray:
    return np.unpackbits(np.concatenate(hashes), axis=1).astype(np.float32) * 2 - 1


def _starts(hashes: Sequence[np.ndarray]) -> np.ndarray:
    return np.cumsum([0, *(len(several) for several in hashes[:-1])])

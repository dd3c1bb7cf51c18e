from __future__ import annotations

import numpy as np
import pytest

from sora_keras.data.fingerprint import Fingerprint
from sora_keras.data.near_duplicates import VIDEOS_A_BLOCK, Pair, nearest_across


def random_prints(seed: int, count: int, num_near: int = 0) -> list[Fingerprint]:
    """Fingerprints of 0 to 6 random hashes, some of them copies of another one's with a few bits turned."""
    rng = np.random.default_rng(seed)
    prints = [
        Fingerprint(*(rng.integers(0, 256, (rng.integers(0, 7), 32)).astype(np.uint8) for _ in range(2)))
        for _ in range(count)
    ]
    for _ in range(num_near):
        source, target = (prints[index] for index in rng.choice(count, 2, replace=False))
        hashes = source.altered if rng.random() < 0.3 else source.hashes
        if len(hashes) and len(target.hashes):
            turned = rng.random(256) < rng.uniform(0, 0.25)
            target.hashes[rng.integers(len(target.hashes))] = hashes[rng.integers(len(hashes))] ^ np.packbits(turned)
    return prints


def brute_force(first: Fingerprint, second: Fingerprint) -> int:
    pairs = [(first.hashes, second.hashes), (first.altered, second.hashes), (first.hashes, second.altered)]
    return min(
        (
            (int.from_bytes(one.tobytes(), "big") ^ int.from_bytes(other.tobytes(), "big")).bit_count()
            for ones, others in pairs
            for one in ones
            for other in others
        ),
        default=999,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num_sides", [2, 5, 90])
def test_against_brute_force(seed, num_sides):
    count = VIDEOS_A_BLOCK + 40
    prints = random_prints(seed, count, num_near=60)
    sides = [str(index) for index in np.random.default_rng(seed).integers(0, num_sides, count)]
    expected = {}
    for index in range(count):
        others = [other for other in range(count) if sides[other] != sides[index]]
        distances = sorted((brute_force(prints[index], prints[other]), other) for other in others)
        if distances[0][0] <= 60:
            expected[index] = distances[0][0]
    found = nearest_across(dict(enumerate(prints)), sides, max_distance=60)
    assert len(expected) > 20
    nearest = {}
    for pair in found:
        assert sides[pair.first] != sides[pair.second]
        assert pair.first < pair.second
        assert pair.distance == brute_force(prints[pair.first], prints[pair.second])
        for index in (pair.first, pair.second):
            nearest[index] = min(nearest.get(index, 999), pair.distance)
    assert nearest == expected
    assert found == sorted(found, key=lambda pair: pair.distance)


def test_videos_that_are_missing_and_videos_without_hashes():
    prints = random_prints(5, 3)
    prints[0] = Fingerprint(prints[1].hashes, prints[1].altered)
    empty = Fingerprint(np.zeros((0, 32), np.uint8), np.zeros((0, 32), np.uint8))
    found = nearest_across({7: prints[0], 2: empty, 4: prints[1]}, list("abcdefgh"), max_distance=10)
    assert found == [Pair(4, 7, 0)]
    assert nearest_across({2: empty, 3: empty}, list("abcd"), max_distance=128) == []


def test_partners_a_video():
    hashes = np.zeros((1, 32), np.uint8)
    sides = ["a"] + ["b"] * 200
    found = nearest_across({index: Fingerprint(hashes, hashes) for index in range(201)}, sides, max_distance=0, most=3)
    assert {pair.first for pair in found} == {0}
    assert {pair.second for pair in found} == set(range(1, 201))

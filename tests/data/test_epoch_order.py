from __future__ import annotations

import keras

from sora_keras.data.epoch_order import EpochOrder


def passes(order, count):
    dataset = order.dataset()
    return [[(int(item), int(seed)) for item, seed in dataset] for _ in range(count)]


def test_any_pass_can_be_taken_again():
    order = EpochOrder(9, seed=3)
    first = passes(order, 4)
    assert all(sorted(item for item, _ in each) == list(range(9)) for each in first)
    assert len({tuple(item for item, _ in each) for each in first}) == 4
    assert len({seed for each in first for _, seed in each}) == 36
    order.epoch = 2
    assert passes(order, 2) == first[2:]
    assert passes(EpochOrder(9, seed=3), 4) == first
    assert passes(EpochOrder(9, seed=4), 1) != first[:1]


def test_without_shuffling_only_the_seeds_change():
    first, second = passes(EpochOrder(5, shuffle=False, seed=3), 2)
    assert [item for item, _ in first] == [item for item, _ in second] == list(range(5))
    assert {seed for _, seed in first}.isdisjoint(seed for _, seed in second)


def test_items_left_out_change_nothing_for_the_rest():
    [whole], [part] = passes(EpochOrder(9, seed=3), 1), passes(EpochOrder(9, seed=3, kept=[0, 1, 4, 8]), 1)
    assert part == [pair for pair in whole if pair[0] in (0, 1, 4, 8)]
    assert int(EpochOrder(9, kept=[0, 1, 4, 8]).dataset().cardinality()) == 4


def test_keras_seeds_it():
    keras.utils.set_random_seed(7)
    first = EpochOrder(9).seed
    assert EpochOrder(9).seed != first
    keras.utils.set_random_seed(7)
    assert EpochOrder(9).seed == first

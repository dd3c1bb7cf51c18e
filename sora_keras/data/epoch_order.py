"""A number of items in, the order in which one pass after another goes through them out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf


class EpochOrder:
    """Orders that follow from a seed and the number of the pass alone, so that any pass can be taken again.

    `tf.data.Dataset.shuffle` begins at its first order in every process: a training that goes on after a kill would
    see the orders of its first epochs once more.

    Args:
        num_items: how many items there are.
        shuffle: whether each pass has an order of its own.
        seed: makes the orders; by default drawn from Python's `random`, which `keras.utils.set_random_seed` seeds.
        kept: the items to pass through, by default all. The others keep their place, so that leaving an item out
            changes nothing for the rest.

    Attributes:
        epoch: the number of the pass that begins next; set it to take that one again.

    Example:
        >>> order = EpochOrder(len(images), shuffle=True, seed=0)
        >>> dataset = order.dataset().map(lambda item, item_seed: images[item])
    """

    def __init__(
        self, num_items: int, shuffle: bool = True, seed: int | None = None, kept: Sequence[int] | None = None
    ) -> None:
        self.num_items = num_items
        self.shuffle = shuffle
        self.seed = random.randrange(2**31) if seed is None else seed
        self.kept = np.arange(num_items) if kept is None else np.asarray(kept, np.int64)
        self.epoch = 0

    def draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The items in the order of a pass, `int64 (N,)`, and a seed for each one's random choices, `int64 (N,)`."""
        generator = np.random.default_rng((self.seed, epoch))
        seeds = generator.integers(2**31, size=self.num_items)
        items = generator.permutation(self.num_items) if self.shuffle else np.arange(self.num_items)
        items = items[np.isin(items, self.kept)]
        return items, seeds[items]

    def dataset(self) -> Any:
        """A `tf.data.Dataset` of `(item, seed)`, both `int64 ()`, each pass through it the next in number."""

        def begin() -> tuple[np.ndarray, np.ndarray]:
            epoch, self.epoch = self.epoch, self.epoch + 1
            return self.draw(epoch)

        def pairs(_: Any) -> Any:
            items, seeds = tf.numpy_function(begin, (), (tf.int64, tf.int64))
            items.set_shape((len(self.kept),))
            seeds.set_shape((len(self.kept),))
            return tf.data.Dataset.from_tensor_slices((items, seeds))

        passes = tf.data.Dataset.from_tensors(0).flat_map(pairs)
        return passes.apply(tf.data.experimental.assert_cardinality(len(self.kept)))

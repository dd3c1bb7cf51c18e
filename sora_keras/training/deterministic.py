"""A seed in, a process that computes the same at each run out."""

from __future__ import annotations

import keras
import tensorflow as tf


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy, Keras and TensorFlow, and have TensorFlow use only operations that repeat to the bit.

    Call it before anything is built; it holds until the process ends. It makes videos that are decoded while training
    be decoded one after the other, so give the dataset a `cache`.

    Args:
        seed: of everything, 0 to 2**32 - 1.

    Raises:
        ValueError: if the seed is out of that range.

    Example:
        >>> make_deterministic(seed=0)
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must be from 0 to {2**32 - 1}, received {seed!r}.")
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()

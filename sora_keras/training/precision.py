"""A name of a precision in, models that are built meanwhile computing in it out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


@contextlib.contextmanager
def layer_precision(policy: str) -> Iterator[None]:
    """Build models whose layers compute in half precision while their weights stay `float32`.

    `mixed_bfloat16` is for recent CPUs (AMX) and GPUs (compute capability 8) and needs no care; `mixed_float16` is for
    older GPUs, and Keras then scales the loss. A task model that is loaded computes in the precision in force then.

    Args:
        policy: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.

    Yields:
        Nothing; afterwards Keras's policy is what it was.

    Raises:
        ValueError: if there is no such policy.

    Example:
        >>> with layer_precision("mixed_bfloat16"):
        ...     model = SoraClassifier.from_preset("small", ["fight", "no_fight"])
    """
    if policy not in POLICIES:
        raise ValueError(f"`policy` must be one of {POLICIES}, received {policy!r}.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

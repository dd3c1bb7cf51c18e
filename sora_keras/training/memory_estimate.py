"""A model and a batch size in, the bytes that a training step will take out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import keras

BYTES_PER_VALUE = 4
COPIES_OF_WEIGHTS = 4  # the weights, their gradients and Adam's two moments
COPIES_OF_ACTIVATIONS = 2  # kept from the forward pass, and their gradients on the way back


def training_bytes(model: Any, batch_size: int) -> int:
    """Estimate the memory of a training step with Adam, before anything is computed.

    Counts each layer's output, for every frame where the layer sees frames one by one, and each weight, in float32.
    What a framework and its libraries take themselves (about 0.5 GiB) comes on top.

    Args:
        model: a functional model over clips `(B, T, ...)` with a `clip_spec`, such as `SoraClassifier`.
        batch_size: clips B in a batch.

    Returns:
        Bytes.

    Raises:
        ValueError: if the batch size is not positive.

    Example:
        >>> training_bytes(SoraClassifier.from_preset("base", ["fight", "no_fight"]), batch_size=16) / 2**30
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, received {batch_size!r}.")
    activations = _values(model.layers, batch_size, model.clip_spec.num_frames)
    return BYTES_PER_VALUE * (COPIES_OF_ACTIVATIONS * activations + COPIES_OF_WEIGHTS * model.count_params())


def _values(layers: Iterable[Any], batch_size: int, num_frames: int) -> int:
    """How many numbers the layers put out; the first dimension is the batch, any other unknown one is time."""
    total = 0
    for layer in layers:
        if isinstance(layer, keras.layers.TimeDistributed) and hasattr(layer.layer, "layers"):
            total += _values(layer.layer.layers, batch_size * num_frames, num_frames)
        elif hasattr(layer, "layers"):
            total += _values(layer.layers, batch_size, num_frames)
        for output in keras.tree.flatten(layer.output):
            total += batch_size * math.prod(num_frames if size is None else size for size in output.shape[1:])
    return total

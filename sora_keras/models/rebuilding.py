"""A model's class and its configuration in, the model out, frozen if it was."""

from __future__ import annotations

from typing import Any, TypeVar

import keras

ModelT = TypeVar("ModelT", bound=keras.Model)


def rebuild(cls: type[ModelT], config: dict[str, Any]) -> ModelT:
    """Build a model from its configuration, in which models and specs are already what they stand for.

    Args:
        cls: the model's class.
        config: the constructor's arguments, and `trainable`.

    Returns:
        The model.

    Example:
        >>> rebuild(SoraClassifier, {**config, "backbone": backbone})
    """
    model = cls(**{**config, "trainable": True})
    if not config.get("trainable", True):
        model.trainable = False  # only now does it reach the layers
    return model

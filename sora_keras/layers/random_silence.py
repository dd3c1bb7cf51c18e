"""Sounds in, the same with some of them silenced out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class RandomSilence(keras.layers.Layer):
    """Silence the whole sound of some clips while training, so that a model learns to do without it.

    Args:
        rate: share of the clips to silence, 0 to 1.
        seed: for the same draws at each run.

    Call arguments:
        sounds: `(B, ...)`, floating point, zero where there is no sound.
        training: whether to silence any.

    Returns:
        Sounds of the same shape and dtype.

    Raises:
        ValueError: if `rate` is not in 0..1.

    Example:
        >>> RandomSilence(0.2)(keras.Input((16, 4000))).shape
        (None, 16, 4000)

    Reference:
        Neverova et al., ModDrop: Adaptive Multi-modal Gesture Recognition, 2015, https://arxiv.org/abs/1501.00102
    """

    def __init__(self, rate: float = 0.2, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if not 0 <= rate <= 1:
            raise ValueError(f"`rate` must be a share in 0..1, received {rate!r}.")
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, sounds: Any, training: bool | None = None) -> Any:
        """Draw for each clip whether it is heard."""
        if not training:
            return sounds
        shape = (ops.shape(sounds)[0], *[1] * (len(sounds.shape) - 1))
        is_heard = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator) >= self.rate
        return ops.where(is_heard, sounds, ops.zeros_like(sounds))

    def compute_output_spec(self, sounds: Any, training: bool | None = None) -> Any:
        """As came in."""
        return keras.KerasTensor(sounds.shape, dtype=sounds.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}

"""Sound waves in, the same sound louder or softer, noisier, or earlier or later out."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class RandomGain(keras.layers.Layer):
    """Make each sound louder or softer by a factor drawn for it.

    Args:
        decibels: the largest change; every change from `-decibels` to `decibels` is equally likely.
        seed: for the same draws at each run.

    Call arguments:
        waveforms: `(B, S)` or `(S,)`, S samples, floating point, around 0. What leaves -1..1 is left to the caller.
        training: whether to draw; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        Waveforms of the same shape and dtype.

    Raises:
        ValueError: if `decibels` is negative.

    Example:
        >>> waveforms = RandomGain(6.0)(waveforms)
    """

    def __init__(self, decibels: float = 6.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= decibels < math.inf:
            raise ValueError(f"`decibels` must be 0 or more, received {decibels!r}.")
        self.decibels = decibels
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, waveforms: Any, training: bool | None = True) -> Any:
        """Twenty decibels are a factor of ten."""
        _check_waveforms(waveforms)
        if not training:
            return waveforms
        decibels = _draw_each(waveforms, -self.decibels, self.decibels, self.seed_generator)
        return waveforms * ops.cast(10 ** (decibels / 20), waveforms.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As came in."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "decibels": self.decibels, "seed": self.seed}


@keras.saving.register_keras_serializable(package="sora_keras")
class RandomNoise(keras.layers.Layer):
    """Add white noise to each sound, as loud against it as drawn for it. Silence stays silent.

    Args:
        faintest: how far at most the sound stands above the noise, in decibels of power.
        loudest: how far at least.
        seed: for the same draws at each run.

    Call arguments:
        waveforms: `(B, S)` or `(S,)`, S samples, floating point, around 0.
        training: whether to add any; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        Waveforms of the same shape and dtype.

    Raises:
        ValueError: if `faintest` is less than `loudest`.

    Example:
        >>> waveforms = RandomNoise(40.0, 10.0)(waveforms)
    """

    def __init__(self, faintest: float = 40.0, loudest: float = 10.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not faintest >= loudest:
            raise ValueError(
                f"`faintest` noise must be at least as many decibels below the sound as `loudest`, received "
                f"{faintest!r} and {loudest!r}."
            )
        self.faintest, self.loudest = faintest, loudest
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, waveforms: Any, training: bool | None = True) -> Any:
        """Ten decibels of power are a factor of ten."""
        _check_waveforms(waveforms)
        if not training:
            return waveforms
        decibels = _draw_each(waveforms, self.loudest, self.faintest, self.seed_generator)
        power = ops.mean(ops.square(ops.cast(waveforms, "float32")), axis=-1, keepdims=True)
        noise = keras.random.normal(ops.shape(waveforms), dtype="float32", seed=self.seed_generator)
        return waveforms + ops.cast(noise * ops.sqrt(power / 10 ** (decibels / 10)), waveforms.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As came in."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "faintest": self.faintest, "loudest": self.loudest, "seed": self.seed}


@keras.saving.register_keras_serializable(package="sora_keras")
class RandomTimeShift(keras.layers.Layer):
    """Let each sound begin earlier or later, by a time drawn for it; silence fills what becomes free.

    Args:
        factor: the longest shift, as a share of the sound's length, 0 to 1.
        seed: for the same draws at each run.

    Call arguments:
        waveforms: `(B, S)` or `(S,)`, S samples, any dtype.
        training: whether to draw; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        Waveforms of the same shape and dtype.

    Raises:
        ValueError: if `factor` is not in 0..1.

    Example:
        >>> waveforms = RandomTimeShift(0.1)(waveforms)
    """

    def __init__(self, factor: float = 0.1, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= factor <= 1:
            raise ValueError(f"`factor` must be a share in 0..1, received {factor!r}.")
        self.factor = factor
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, waveforms: Any, training: bool | None = True) -> Any:
        """Read each sample from where it was."""
        _check_waveforms(waveforms)
        if not training:
            return waveforms
        num_samples = ops.shape(waveforms)[-1]
        share = _draw_each(waveforms, -self.factor, self.factor, self.seed_generator)
        shift = ops.cast(ops.round(share * ops.cast(num_samples, "float32")), "int32")
        source = ops.arange(num_samples, dtype="int32") - shift
        is_inside = ops.logical_and(source >= 0, source < num_samples)
        moved = ops.take_along_axis(waveforms, ops.clip(source, 0, num_samples - 1), axis=-1)
        return ops.where(is_inside, moved, ops.zeros_like(moved))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As came in."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "factor": self.factor, "seed": self.seed}


def _draw_each(waveforms: Any, low: float, high: float, seed: keras.random.SeedGenerator) -> Any:
    """A number for each sound, `float32 (B, 1)` or `(1,)`."""
    return keras.random.uniform((*ops.shape(waveforms)[:-1], 1), low, high, dtype="float32", seed=seed)


def _check_waveforms(waveforms: Any) -> None:
    if len(waveforms.shape) not in (1, 2):
        raise ValueError(f"Waveforms must have the shape (B, S) or (S,), received {tuple(waveforms.shape)}.")

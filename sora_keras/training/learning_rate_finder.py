"""A compiled model with its data in, the loss at each of many learning rates and a rate to train with out."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

import keras
import numpy as np

_SMOOTHING = 0.9
_DIVERGED = 4.0  # times the least loss so far
_LEAST_STEPS = 10


@dataclasses.dataclass(frozen=True)
class LearningRates:
    """What `find_learning_rate` found.

    Args:
        learning_rates: the rates tried, rising, `float64 (N,)`.
        losses: the loss of the batch after which each was used, averaged with those before, `float64 (N,)`.
        suggestion: the rate where the loss falls fastest.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    suggestion: float

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the loss over the rates, and the suggestion.

        Args:
            path: picture file to write, such as `.png` or `.svg`.

        Example:
            >>> find_learning_rate(model, train).plot("learning_rates.png")
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.semilogx(self.learning_rates, self.losses, color="tab:blue")
        axes.axvline(self.suggestion, color="tab:orange", label=f"suggestion {self.suggestion:.2g}")
        axes.set(xlabel="learning rate", ylabel="loss", title="Loss while the learning rate rises")
        axes.legend()
        figure.savefig(path, dpi=120)


def find_learning_rate(
    model: keras.Model, dataset: Any, smallest: float = 1e-6, largest: float = 1.0, num_steps: int = 100
) -> LearningRates:
    """Train some batches while the learning rate rises from tiny to far too large, and put the model back as it was.

    Stops early where the loss has grown fourfold. The suggestion suits `warmup_cosine`'s peak; a constant rate may be
    up to ten times smaller.

    Args:
        model: a compiled model, its learning rate a number. Weights, random states and optimizer are restored.
        dataset: batches of clips and labels; it is begun again where it ends.
        smallest: the rate to begin with.
        largest: the rate to end with.
        num_steps: batches.

    Returns:
        The rates, the losses and the suggestion.

    Raises:
        ValueError: if an argument is out of its range, the optimizer has a schedule, or the loss is not finite from
            the first steps on.

    Example:
        >>> compile_for_training(model, find_learning_rate(model, train).suggestion)

    Reference:
        Smith: Cyclical Learning Rates for Training Neural Networks, 2017.
    """
    if not 0 < smallest < largest < float("inf"):
        raise ValueError(
            f"`smallest` and `largest` must be positive and rise, received smallest={smallest!r} and "
            f"largest={largest!r}."
        )
    if num_steps < _LEAST_STEPS:
        raise ValueError(f"`num_steps` must be at least {_LEAST_STEPS}, received {num_steps!r}.")
    if not isinstance(model.optimizer.learning_rate, keras.Variable):
        raise ValueError(
            "The optimizer has a learning-rate schedule, which cannot be set: compile with a number, such as "
            f"`learning_rate={smallest!r}`, to find one."
        )
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in variables]
    rising = _RisingRate(np.geomspace(smallest, largest, num_steps))
    try:
        model.fit(dataset.repeat(), steps_per_epoch=num_steps, callbacks=[rising], verbose=0, shuffle=False)
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    return _suggest(rising.learning_rates[: len(rising.losses)], np.array(rising.losses))


class _RisingRate(keras.callbacks.Callback):
    """Sets the rate of each step, and notes the loss."""

    def __init__(self, learning_rates: np.ndarray) -> None:
        super().__init__()
        self.learning_rates = learning_rates
        self.losses: list[float] = []
        self._average = 0.0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.reset_metrics()  # else the loss that Keras reports is the mean over all batches so far
        self.model.optimizer.learning_rate = self.learning_rates[batch]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            self.model.stop_training = True
            return
        self._average = _SMOOTHING * self._average + (1 - _SMOOTHING) * loss
        self.losses.append(self._average / (1 - _SMOOTHING ** (batch + 1)))
        if batch >= _LEAST_STEPS and self.losses[-1] > _DIVERGED * min(self.losses):
            self.model.stop_training = True


def _suggest(learning_rates: np.ndarray, losses: np.ndarray) -> LearningRates:
    if len(losses) < _LEAST_STEPS:
        raise ValueError(
            f"The loss was finite for {len(losses)} steps only, expected at least {_LEAST_STEPS}: begin with a "
            f"`smallest` below {learning_rates[0] if len(learning_rates) else 0:g}, and look for NaN in the data."
        )
    lowest = max(2, int(losses.argmin()))  # beyond the valley a fall means nothing
    slopes = np.gradient(losses[: lowest + 1], np.log(learning_rates[: lowest + 1]))
    return LearningRates(learning_rates, losses, float(learning_rates[slopes.argmin()]))

"""A training that was killed in, the same training from its last whole epoch on out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sora_keras.atomic import appearing_when_whole
from sora_keras.data.epoch_order import EpochOrder

_COUNTERS = ("best", "best_epoch", "wait", "cooldown_counter")  # of `EarlyStopping` and `ReduceLROnPlateau`


class ExactResume(keras.callbacks.Callback):
    """Saves everything a training depends on before each epoch, and goes on from there after a kill.

    `keras.callbacks.BackupAndRestore` keeps the weights and the optimizer. This keeps also the states of the random
    generators in the model (dropout, augmentation), what other callbacks count, their best weights, and the order of
    the data: the resumed training ends with the very weights of an unbroken one, to the bit where the machine computes
    the same twice (see `make_deterministic`). One file, which appears when it is whole, so a kill may hit the writing.

    Give it as the last callback. It is deleted at the end of training.

    Args:
        path: file for the state, `.npz`.
        callbacks: those that come before it and count epochs: `EarlyStopping`, `ReduceLROnPlateau`.
        epoch_order: of the training data: `dataset.epoch_order` of `video_dataset_from_directory`. Without it, data
            that `tf.data.Dataset.shuffle` or `fit` itself shuffles begin again at their first order.

    Raises:
        ValueError: on resuming, if the state is of another model or optimizer.

    Example:
        >>> stop = keras.callbacks.EarlyStopping(patience=8, restore_best_weights=True)
        >>> model.fit(train, callbacks=[stop, ExactResume("state.npz", [stop], train.epoch_order)])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        callbacks: Sequence[keras.callbacks.Callback] = (),
        epoch_order: EpochOrder | None = None,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self.callbacks = list(callbacks)
        self.epoch_order = epoch_order

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Take up what a killed training left."""
        model = self.model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        if not self.path.is_file():
            return
        with np.load(self.path) as state:
            shapes = [state[f"variable_{index}"].shape for index in range(int(state["num_variables"]))]
            if shapes != [tuple(variable.shape) for variable in self._variables()]:
                raise ValueError(
                    f"{self.path} holds a training of another model or optimizer, with {len(shapes)} variables of "
                    f"{sum(map(np.prod, shapes)):.0f} numbers: go on with the same, or remove that file to start anew."
                )
            for index, variable in enumerate(self._variables()):
                variable.assign(state[f"variable_{index}"])
            for number, (callback, counters) in enumerate(
                zip(self.callbacks, json.loads(str(state["counters"])), strict=True)
            ):
                vars(callback).update(counters)
                if f"best_{number}_0" in state:
                    callback.best_weights = [state[f"best_{number}_{index}"] for index in range(len(model.weights))]
            model._initial_epoch = int(state["epoch"])  # where Keras's `BackupAndRestore` puts it, too

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save the state, and set the order of the data."""
        if self.epoch_order is not None:
            self.epoch_order.epoch = epoch
        arrays = {
            f"variable_{index}": keras.ops.convert_to_numpy(variable)
            for index, variable in enumerate(self._variables())
        }
        counters = []
        for number, callback in enumerate(self.callbacks):
            counters.append({name: getattr(callback, name) for name in _COUNTERS if hasattr(callback, name)})
            for index, weight in enumerate(getattr(callback, "best_weights", None) or ()):
                arrays[f"best_{number}_{index}"] = weight
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with appearing_when_whole(self.path) as unfinished:
            np.savez(
                unfinished,
                epoch=epoch,
                num_variables=len(self._variables()),
                counters=json.dumps(counters, default=float),
                **arrays,
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Forget it all."""
        self.path.unlink(missing_ok=True)

    def _variables(self) -> list[keras.Variable]:
        """Of the model, its random generators among them, and of the optimizer."""
        return [*self.model.variables, *self.model.optimizer.variables]


def epochs_before(path: str | os.PathLike[str]) -> int:
    """How many whole epochs a killed training has behind it.

    Args:
        path: the file of `ExactResume`.

    Returns:
        Their number; 0 if there is no such file.

    Example:
        >>> epochs_before("saved_models/fights/training/state.npz")
        0
    """
    if not Path(path).is_file():
        return 0
    with np.load(path) as state:
        return int(state["epoch"])

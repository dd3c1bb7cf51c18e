"""Early stopping that remembers, over a kill, which epoch was best and what its weights were."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np


class ResumableEarlyStopping(keras.callbacks.EarlyStopping):
    """`keras.callbacks.EarlyStopping` whose best weights outlive the process.

    Keras's own forgets them when training is killed, and a resumed training then goes back to the best of the later
    epochs only. This one keeps them in a file until training ends, as `keras.callbacks.BackupAndRestore` does the rest.

    Args:
        path: file for the best weights, `.npz`.
        monitor: the figure to watch.
        patience: epochs without improvement before training stops.

    Example:
        >>> model.fit(train, validation_data=validation, callbacks=[ResumableEarlyStopping("best.npz", patience=8)])
    """

    def __init__(self, path: str | os.PathLike[str], monitor: str = "val_loss", patience: int = 0) -> None:
        super().__init__(monitor, patience=patience, restore_best_weights=True)
        self.path = Path(path)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Take up what a killed training left."""
        super().on_train_begin(logs)
        if self.path.is_file():
            with np.load(self.path) as kept:
                self.best, self.best_epoch, self.wait = float(kept["best"]), int(kept["best_epoch"]), int(kept["wait"])
                self.best_weights = [kept[f"weight_{index}"] for index in range(len(self.model.weights))]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the best so far."""
        super().on_epoch_end(epoch, logs)
        if self.best is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        weights = {f"weight_{index}": weight for index, weight in enumerate(self.best_weights)}
        unfinished = self.path.with_name(f".{self.path.name}")
        with open(unfinished, "wb") as file:
            np.savez(file, best=self.best, best_epoch=self.best_epoch, wait=self.wait, **weights)
        unfinished.replace(self.path)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Go back to the best weights, and forget them."""
        super().on_train_end(logs)
        self.path.unlink(missing_ok=True)

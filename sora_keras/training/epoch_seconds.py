"""An epoch in, the seconds it took out."""

from __future__ import annotations

import time
from typing import Any

import keras


class EpochSeconds(keras.callbacks.Callback):
    """Reports `seconds` beside the other metrics of each epoch, validation included.

    Example:
        >>> history = model.fit(train, callbacks=[EpochSeconds()])
        >>> sum(history.history["seconds"])
    """

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the watch."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report."""
        if logs is not None:
            logs["seconds"] = time.perf_counter() - self._began

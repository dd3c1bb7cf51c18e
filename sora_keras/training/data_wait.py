"""A dataset in, the share of each epoch that training spends waiting for it out."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_LOGGER = logging.getLogger(__name__)


class DataWait(keras.callbacks.Callback):
    """Measures how much of a training step is spent waiting for data, the first step aside, which builds the graph.

    Reports `data_wait`, the share of the time from the first batch's end to the epoch's last batch, beside the other
    metrics of each epoch (0: the data is always there; 1: nothing but waiting). Train on what `watch` returns.

    Args:
        warn_above: share above which a warning says what to do, once; `None` never warns.

    Raises:
        ValueError: if `warn_above` is no share.

    Example:
        >>> data_wait = DataWait()
        >>> history = model.fit(data_wait.watch(train), callbacks=[data_wait])
        >>> history.history["data_wait"]
    """

    def __init__(self, warn_above: float | None = 0.2) -> None:
        super().__init__()
        if warn_above is not None and not 0 <= warn_above <= 1:
            raise ValueError(f"`warn_above` must be a share from 0 to 1, or None, received {warn_above!r}.")
        self.warn_above = warn_above
        self._lock = threading.Lock()
        self._waits: list[float] = []
        self._began = self._ended = 0.0

    def watch(self, dataset: Any) -> Any:
        """Note how long each element of a `tf.data.Dataset` is waited for.

        Args:
            dataset: any dataset.

        Returns:
            A dataset of the same elements.
        """

        def note(before: Any, element: Any) -> Any:
            # The time after is taken once the element is there, which is why it has to depend on it.
            with tf.control_dependencies(tf.nest.flatten(element)):
                noted = tf.numpy_function(self._note, (before,), tf.bool)
            with tf.control_dependencies([noted]):
                return tf.nest.map_structure(tf.identity, element)

        # Not `tf.timestamp`, which TensorFlow refuses where it is to compute the same at each run.
        clock = tf.data.Dataset.counter().map(lambda _: tf.numpy_function(time.perf_counter, (), tf.float64))
        watched = tf.data.Dataset.zip(clock, dataset).map(note)  # `zip` asks the clock first, then the dataset
        options = tf.data.Options()
        # Else tf.data prefetches behind the watch, which would then see the prefetching thread wait.
        options.experimental_optimization.inject_prefetch = False
        watched = watched.with_options(options)
        watched.cardinality = dataset.cardinality
        return watched

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start counting."""
        with self._lock:
            self._waits = []
        self._began = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Take the time."""
        self._ended = time.perf_counter()
        if not self._began:
            self._began = self._ended
            with self._lock:
                self._waits = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the share."""
        seconds = self._ended - self._began
        with self._lock:
            share = min(1.0, sum(self._waits) / seconds) if seconds > 0 else 0.0
        if logs is not None:
            logs["data_wait"] = share
        if self.warn_above is not None and share > self.warn_above:
            self._warn(share)

    def _warn(self, share: float) -> None:
        _LOGGER.warning(
            "%.0f %% of the training time is spent waiting for data: pass `cache` to the dataset, use smaller or fewer "
            "frames, or decode on more cores",
            100 * share,
        )
        self.warn_above = None

    def _note(self, before: np.float64) -> bool:
        seconds = time.perf_counter() - float(before)
        with self._lock:
            self._waits.append(seconds)
        return True

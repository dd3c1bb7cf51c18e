"""Requests that arrive together to one larger run of the model, and its outputs back to each of them."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_keras.serving.development.json_tensors import invalid_argument

Tensors = dict[str, np.ndarray]
OPTIONS = ("max_batch_size", "batch_timeout_micros", "num_batch_threads", "max_enqueued_batches")


def batching_options(batching: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Any]:
    """What a `batching.config` says.

    Args:
        batching: the file, in TensorFlow Serving's text form, or its fields by name.

    Returns:
        `max_batch_size`, `batch_timeout_micros`, `num_batch_threads`, `max_enqueued_batches` and
        `allowed_batch_sizes`, those that are given.

    Raises:
        ValueError: if a field is unknown or no whole number, or the last allowed size is not the largest.
    """
    if isinstance(batching, Mapping):
        options = dict(batching)
    else:
        text = re.sub(r"#.*", "", Path(batching).read_text(encoding="utf-8"))
        fields = re.findall(r"(\w+)\s*:?\s*(?:\{\s*value\s*:|\[)?\s*(\d[\d,\s]*)", text)
        options = {name: int(value) for name, value in fields if name in OPTIONS}
        values = [value for name, value in fields if name == "allowed_batch_sizes"]
        if values:
            options["allowed_batch_sizes"] = [int(size) for size in re.findall(r"\d+", " ".join(values))]
    if unknown := sorted(set(options) - {*OPTIONS, "allowed_batch_sizes"}):
        raise ValueError(f"Batching has no field `{unknown[0]}`: expected {', '.join(OPTIONS)} or allowed_batch_sizes.")
    for name in OPTIONS:
        value = options.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < (name != "batch_timeout_micros"):
            raise ValueError(f"`{name}` must be a positive whole number, received {value!r}.")
    allowed, largest = options.get("allowed_batch_sizes"), options.get("max_batch_size", 1000)
    if allowed and (list(allowed) != sorted(set(allowed)) or allowed[-1] != largest):
        raise ValueError(
            f"`allowed_batch_sizes` must rise and end with `max_batch_size`, {largest}, received {list(allowed)}."
        )
    return options


class BatchingQueue:
    """Joins requests whose tensors agree in all but dimension 0.

    The first request of a batch waits for others, runs it, and hands each its part; no thread is kept for that.

    Args:
        run: the model: tensors by name and a time limit in seconds to tensors by name.
        max_batch_size: most rows of a run.
        batch_timeout_micros: how long the first request waits for others, in microseconds.
        allowed_batch_sizes: sizes that a run may have, to which it is filled up; by default any.
        num_batch_threads: most runs at a time; by default one a processor.
        max_enqueued_batches: most batches that wait; past it requests are refused.

    Example:
        >>> queue = BatchingQueue(servable.run_alone, max_batch_size=8, batch_timeout_micros=1000)
        >>> queue.run({"frames": frames}, timeout_seconds=30.0)
    """

    def __init__(
        self,
        run: Callable[[Tensors, float], Tensors],
        max_batch_size: int = 1000,
        batch_timeout_micros: int = 0,
        allowed_batch_sizes: list[int] | None = None,
        num_batch_threads: int | None = None,
        max_enqueued_batches: int = 10,
    ) -> None:
        self._run = run
        self._max_batch_size = max_batch_size
        self._timeout_seconds = batch_timeout_micros / 1e6
        self._sizes = allowed_batch_sizes or []
        self._slots = threading.BoundedSemaphore(num_batch_threads or os.cpu_count() or 1)
        self._max_enqueued_batches = max_enqueued_batches
        self._lock = threading.Lock()
        self._open: dict[tuple[object, ...], _Batch] = {}
        self._waiting = 0

    def run(self, tensors: Tensors, timeout_seconds: float) -> Tensors:
        """The outputs for these rows, computed with those of others.

        Raises:
            tf.errors.InvalidArgumentError: if inputs share no dimension 0, or have more rows than a batch may.
            tf.errors.UnavailableError: if too many batches wait already.
            tf.errors.DeadlineExceededError: if the time limit passes.
        """
        deadline = time.monotonic() + timeout_seconds
        size = _rows(tensors)
        if size > self._max_batch_size:
            raise invalid_argument(f"Task size {size} is larger than maximum input batch size {self._max_batch_size}")
        batch, place = self._join(tensors, size, deadline)
        if place == 0:
            self._lead(batch)
        elif not batch.done.wait(max(0.0, deadline - time.monotonic())):
            raise tf.errors.DeadlineExceededError(None, None, "Timed out waiting for the batch of this request")
        if batch.outcomes is None:
            raise tf.errors.InternalError(None, None, "The batch of this request was given up")
        outcome = batch.outcomes[place]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _join(self, tensors: Tensors, size: int, deadline: float) -> tuple[_Batch, int]:
        key = tuple((name, tensor.dtype, tensor.shape[1:]) for name, tensor in sorted(tensors.items()))
        with self._lock:
            batch = self._open.get(key)
            if batch is None or batch.size + size > self._max_batch_size:
                if self._waiting >= self._max_enqueued_batches:
                    raise tf.errors.UnavailableError(
                        None, None, "The batch scheduling queue to which this task was submitted is full"
                    )
                if batch is not None:
                    batch.full.set()
                self._waiting += 1
                batch = self._open[key] = _Batch(key)
            batch.tasks.append(tensors)
            batch.size += size
            batch.deadline = max(batch.deadline, deadline)
            if batch.size == self._max_batch_size:
                del self._open[key]
                batch.full.set()
            return batch, len(batch.tasks) - 1

    def _lead(self, batch: _Batch) -> None:
        batch.full.wait(self._timeout_seconds)
        has_slot = self._slots.acquire(timeout=max(0.0, batch.deadline - time.monotonic()))
        try:
            with self._lock:
                self._waiting -= 1
                if self._open.get(batch.key) is batch:
                    del self._open[batch.key]
            if has_slot:
                batch.outcomes = self._outcomes(batch)
            else:
                late = tf.errors.DeadlineExceededError(None, None, "Timed out waiting for the batches before this one")
                batch.outcomes = [late] * len(batch.tasks)
        finally:
            if has_slot:
                self._slots.release()
            batch.done.set()

    def _outcomes(self, batch: _Batch) -> list[Tensors | Exception]:
        try:
            return list(self._together(batch, max(1e-3, batch.deadline - time.monotonic())))
        except tf.errors.OpError as error:
            if len(batch.tasks) == 1 or isinstance(error, tf.errors.DeadlineExceededError):
                return [error] * len(batch.tasks)
        # One request that the model refuses must not fail those that happened to arrive beside it.
        alone = [_Batch(batch.key, [task], _rows(task), batch.deadline) for task in batch.tasks]
        return [outcome for one in alone for outcome in self._outcomes(one)]

    def _together(self, batch: _Batch, timeout_seconds: float) -> list[Tensors]:
        padded = next((size for size in self._sizes if size >= batch.size), batch.size)
        tensors = {}
        for name in batch.tasks[0]:
            parts = [task[name] for task in batch.tasks]
            parts += [parts[0][:1]] * (padded - batch.size)
            tensors[name] = np.concatenate(parts) if len(parts) > 1 else parts[0]
        outputs = self._run(tensors, timeout_seconds)
        for output in outputs.values():
            if output.ndim == 0:
                raise tf.errors.FailedPreconditionError(None, None, "Batched output tensor has 0 dimensions")
            if len(output) != padded:
                raise tf.errors.FailedPreconditionError(
                    None,
                    None,
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
                    "input tensors",
                )
        ends = np.cumsum([_rows(task) for task in batch.tasks])
        return [
            {name: output[end - _rows(task) : end] for name, output in outputs.items()}
            for task, end in zip(batch.tasks, ends, strict=True)
        ]


class _Batch:
    def __init__(
        self, key: tuple[object, ...], tasks: list[Tensors] | None = None, size: int = 0, deadline: float = 0.0
    ) -> None:
        self.key = key
        self.tasks = tasks or []
        self.size = size
        self.deadline = deadline
        self.full = threading.Event()
        self.done = threading.Event()
        self.outcomes: list[Tensors | Exception] | None = None


def _rows(tensors: Tensors) -> int:
    if any(tensor.ndim == 0 for tensor in tensors.values()):
        raise invalid_argument("Batching session Run() input tensors must have at least one dimension")
    sizes = {len(tensor) for tensor in tensors.values()}
    if len(sizes) != 1:
        raise invalid_argument("Batching session Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()

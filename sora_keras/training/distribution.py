"""Training on several devices: a context in which a model is built and fitted, and the rows each process reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TypeVar

import keras

ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
NUM_PROCESSES = "KERAS_DISTRIBUTION_NUM_PROCESSES"
PROCESS_ID = "KERAS_DISTRIBUTION_PROCESS_ID"

AnyRow = TypeVar("AnyRow")


@contextlib.contextmanager
def distributed(devices: Sequence[str] | None = None) -> Iterator[int]:
    """Build and fit the model inside; every batch is then shared among all devices, and all hold the same weights.

    With one process, all GPUs of the host work through `tf.distribute.MirroredStrategy` (TensorFlow backend) or
    `keras.distribution.DataParallel` (JAX backend); with one device or none, nothing changes. With several processes,
    on one host or many, each starts the same command on the JAX backend with three environment variables of Keras:
    `KERAS_DISTRIBUTION_JOB_ADDRESSES` (host:port of the first process), `KERAS_DISTRIBUTION_NUM_PROCESSES` and
    `KERAS_DISTRIBUTION_PROCESS_ID` (0, 1, ...), and reads its share of the rows, as `share_of_process` gives it.
    Nothing may have run on JAX before.

    Args:
        devices: of this host, such as `["gpu:0", "gpu:1"]`; by default all GPUs. Several processes use all devices.

    Yields:
        How many devices share a batch, in all processes.

    Raises:
        ValueError: if several processes are asked for on another backend than JAX, or together with `devices`.

    Example:
        >>> with distributed():
        ...     model = SoraClassifier(SoraBackbone(clip_spec), class_names)
        ...     model.fit(train)

    Reference:
        https://keras.io/guides/distribution
    """
    if ADDRESSES in os.environ:
        with _several_processes(devices) as num_devices:
            yield num_devices
        return
    if devices is None:
        devices = [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]
    if len(devices) < 2:
        yield 1
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(list(devices)).scope():
            yield len(devices)
    else:
        with _data_parallel(keras.distribution.DataParallel(devices=list(devices))):
            yield len(devices)


def share_of_process(rows: Sequence[AnyRow], batch_size: int) -> tuple[list[AnyRow], int]:
    """The rows, and the batch size, of this process among the several that `distributed` names; all of them for one.

    In the order of the rows, the batches of all processes together are the batches of one process. Every process gets
    as many rows as any other, since all must take the same number of steps; the last few are left out for that.

    Args:
        rows: of the whole dataset, the same in every process.
        batch_size: of all processes together.

    Returns:
        The rows to read here, and how many of them make a batch here.

    Raises:
        ValueError: if the processes cannot share a batch evenly.

    Example:
        >>> rows, batch_size = share_of_process(train_rows, 32)
        >>> train = video_dataset_from_manifest(rows, clip_spec, batch_size=batch_size)
    """
    num_processes = int(os.environ.get(NUM_PROCESSES, 1)) if ADDRESSES in os.environ else 1
    if batch_size % num_processes:
        raise ValueError(
            f"A batch of {batch_size} cannot be shared evenly by {num_processes} processes: use a multiple of "
            f"{num_processes}."
        )
    if num_processes == 1:
        return list(rows), batch_size
    even = len(rows) - len(rows) % num_processes
    return list(rows[int(os.environ[PROCESS_ID]) : even : num_processes]), batch_size // num_processes


@contextlib.contextmanager
def _several_processes(devices: Sequence[str] | None) -> Iterator[int]:
    backend = keras.backend.backend()
    if backend != "jax":
        raise ValueError(
            f"{ADDRESSES} asks for several processes, which need the JAX backend, received {backend!r}: set "
            "KERAS_BACKEND=jax, or unset that variable."
        )
    if devices is not None:
        raise ValueError(f"Several processes use all devices each: leave out `devices`, received {list(devices)!r}.")
    import jax

    if not jax.distributed.is_initialized():
        keras.distribution.initialize()
    # Each process reads its own share: Keras must not cut it again.
    with _data_parallel(keras.distribution.DataParallel(auto_shard_dataset=False)):
        yield jax.device_count()


@contextlib.contextmanager
def _data_parallel(distribution: keras.distribution.DataParallel) -> Iterator[None]:
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(distribution)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)

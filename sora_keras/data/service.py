"""Rows in, their clips out, decoded by the worker processes of a tf.data service on any number of machines."""

from __future__ import annotations

import functools
import itertools
import json
import os
import socket
from typing import Any

import numpy as np
import tensorflow as tf

from sora_keras.data.clip_reader import ClipReader
from sora_keras.data.faults import Faults
from sora_keras.data.manifest import Row
from sora_keras.version import __version__
from sora_keras.video import ClipSpec, VideoError

DEFAULT_PORT = 5050

_SECONDS_TO_ANSWER = 10.0

# TensorFlow sends graphs to workers, and a graph names a Python function by a token that its process hands out in
# order. The first function of each worker's process is the one that reads clips, so its token is known everywhere.
_READER_TOKEN = "pyfunc_0"
_kept_alive: list[Any] = []


def start_dispatcher(port: int = DEFAULT_PORT, work_dir: str | os.PathLike[str] | None = None) -> Any:
    """Start the one process of a tf.data service that hands out the work, in this process.

    Whoever can reach it can have its workers read any file that they can read: keep it inside a trusted network.

    Args:
        port: where it listens; 0 takes a free port.
        work_dir: a folder, local or remote, for its journal; started again with the same one, it goes on where it was.
            It grows by about 100 bytes for each row and epoch, as does the memory of a dispatcher without one.

    Returns:
        A `tf.data.experimental.service.DispatchServer`; its `target` is what `service` takes, its end is that of the
        process.

    Example:
        >>> dispatcher = start_dispatcher(port=5050)
        >>> dispatcher.target
        'grpc://localhost:5050'
    """
    folder = None if work_dir is None else os.fspath(work_dir)
    return tf.data.experimental.service.DispatchServer(
        tf.data.experimental.service.DispatcherConfig(
            port=port, work_dir=folder, fault_tolerant_mode=folder is not None
        )
    )


def start_worker(dispatcher: str, port: int = 0, address: str | None = None) -> Any:
    """Start a worker of a tf.data service, which decodes videos, in this process.

    It must be a process of its own, in which nothing called `tf.numpy_function` before. Videos are read by the paths
    that the client names, so they must be found there on every worker's machine.

    Args:
        dispatcher: address of the dispatcher, `"host:port"` or `"grpc://host:port"`.
        port: where it listens; 0 takes a free port.
        address: `"host:port"` at which clients reach this worker; by default the machine's `localhost`, which holds
            only where client, dispatcher and workers share one machine.

    Returns:
        A `tf.data.experimental.service.WorkerServer`.

    Raises:
        ValueError: if the dispatcher's address is none.
        RuntimeError: if it is not the first in the process to call `tf.numpy_function`.

    Example:
        >>> worker = start_worker("trainer:5050", port=5051, address="decoder7:5051")
    """
    address_of_dispatcher = _host_and_port(dispatcher)
    tf.config.set_visible_devices([], "GPU")
    _register_reader()
    return tf.data.experimental.service.WorkerServer(
        tf.data.experimental.service.WorkerConfig(
            dispatcher_address=address_of_dispatcher,
            worker_address=address,
            port=port,
        )
    )


def clips_from_service(
    reader: ClipReader, order: np.ndarray, service: str, shuffle: bool, seed: int | None = None
) -> Any:
    """Have the workers of a tf.data service read clips: each exactly once an epoch, in the order they are ready.

    The rows are handed out one by one, whichever worker asks for the next (dynamic sharding), and workers may join at
    any time. If one dies in the middle of an epoch, the clips it was at work on are missing from that epoch, none is
    given twice, and the next epoch is whole again. To end, that one epoch waits for a worker under the same address,
    which is why `sora-keras data-service worker` starts a dead one again; later ones do without it.

    Args:
        reader: the clips. Its faults are recorded here, whoever met them; substitutes are read here.
        order: the numbers of the rows to read, `int64 (N,)`.
        service: `"grpc://host:port"` of the dispatcher.
        shuffle: whether to hand out the rows in a new order at each epoch.
        seed: makes orders and random choices of the clips the same at each run.

    Returns:
        A `tf.data.Dataset` of records `uint8 (record_bytes,)` and row numbers `int64 ()`.

    Raises:
        ValueError: if the service's address is none.
        ConnectionError: if nobody answers there.

    Example:
        >>> reader = ClipReader(rows, ClipSpec())
        >>> records = clips_from_service(reader, np.arange(len(rows)), "grpc://trainer:5050", shuffle=True)
    """
    address = f"grpc://{_host_and_port(service)}"
    _check_dispatcher(address)
    numbers = itertools.count()
    seeds = np.random.SeedSequence(seed)
    spec = (
        tf.TensorSpec((reader.record_bytes,), tf.uint8), tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int64),
        tf.TensorSpec((), tf.int64),
    )  # fmt: skip

    def register() -> bytes:
        seeds_of_epoch = np.random.SeedSequence(seeds.entropy, spawn_key=(next(numbers),))
        epoch = _epoch(reader, order, shuffle, np.random.default_rng(seeds_of_epoch))
        identity: bytes = tf.data.experimental.service.register_dataset(address, epoch).numpy()
        return identity

    def iterate(_: Any) -> Any:
        identity = tf.ensure_shape(tf.numpy_function(register, (), tf.string), ())
        sharding = tf.data.experimental.service.ShardingPolicy.DYNAMIC
        return tf.data.experimental.service.from_dataset_id(sharding, address, identity, element_spec=spec)

    # A service gives the same dataset in the same order and with the same random choices each time it is asked, so
    # every epoch is a dataset of its own, made when the epoch begins.
    clips = tf.data.Dataset.range(1).flat_map(iterate)
    # The service ends an epoch when every worker that it ever knew says so, those included that are gone for good.
    clips = clips.take(len(order))
    clips = clips.map(_receiver(reader), tf.data.AUTOTUNE, deterministic=True)
    return clips.filter(_is_readable).map(_without_flag)


def _is_readable(record: Any, index: Any, readable: Any) -> Any:
    return readable


def _without_flag(record: Any, index: Any, readable: Any) -> tuple[Any, Any]:
    return record, index


def _epoch(reader: ClipReader, order: np.ndarray, shuffle: bool, rng: np.random.Generator) -> Any:
    """One epoch as the workers run it: records, what was wrong with each, row numbers and seeds."""
    indices = np.asarray(rng.permutation(order) if shuffle else order, np.int64)
    rows = [reader.rows[index] for index in indices.tolist()]
    columns = (
        np.array([os.path.abspath(os.fsencode(row.path)) for row in rows], object),
        np.array([[row.start_seconds, np.inf if row.end_seconds is None else row.end_seconds] for row in rows]),
        indices,
        rng.integers(2**62, size=len(rows)),
    )
    way = json.dumps([
        __version__, reader.clip_spec.get_config(), reader.sampling, reader.short_video, reader.features,
        reader.sound_samples, reader.with_times,
    ])  # fmt: skip

    def read(path: Any, part: Any, index: Any, clip_seed: Any) -> tuple[Any, Any, Any, Any]:
        inputs = (tf.constant(way), path, part, clip_seed)
        record, reason = tf.raw_ops.PyFunc(input=inputs, token=_READER_TOKEN, Tout=(tf.uint8, tf.string))
        return tf.ensure_shape(record, (reader.record_bytes,)), tf.ensure_shape(reason, ()), index, clip_seed

    return tf.data.Dataset.from_tensor_slices(columns).map(read, tf.data.AUTOTUNE, deterministic=False)


def _receiver(reader: ClipReader) -> Any:
    """What the client does with a clip: usually nothing."""

    def replace(reason: bytes, index: np.int64, clip_seed: np.int64) -> tuple[np.ndarray, bool]:
        row = reader.rows[int(index)]
        reader.faults.record(VideoError(row.path, reason.decode()), row.start_seconds)
        record = reader.read(int(index), int(clip_seed)) if reader.faults.policy == "substitute" else None
        return (np.zeros(reader.record_bytes, np.uint8), False) if record is None else (record, True)

    def receive(record: Any, reason: Any, index: Any, clip_seed: Any) -> tuple[Any, Any, Any]:
        record, readable = tf.cond(
            tf.equal(reason, ""),
            lambda: (record, True),
            lambda: tuple(tf.numpy_function(replace, (reason, index, clip_seed), (tf.uint8, tf.bool))),
        )
        return tf.ensure_shape(record, (reader.record_bytes,)), index, tf.ensure_shape(readable, ())

    return receive


def _register_reader() -> None:
    """Make `_read_record` the function that graphs of this process call by `_READER_TOKEN`."""
    if _kept_alive:
        return
    with tf.Graph().as_default() as graph:
        arguments = [tf.constant(""), tf.constant(""), tf.constant([0.0, 0.0], tf.float64), tf.constant(0, tf.int64)]
        tf.numpy_function(_read_record, arguments, (tf.uint8, tf.string))
    tokens = [operation.get_attr("token") for operation in graph.get_operations() if operation.type == "PyFunc"]
    if tokens != [_READER_TOKEN.encode()]:
        raise RuntimeError(
            f"A worker must be the first in its process to call tf.numpy_function, expected the token {_READER_TOKEN}, "
            f"received {tokens}: start it in a process of its own, by `sora-keras data-service worker`."
        )
    _kept_alive.append(graph)  # TensorFlow holds the function only as long as its graph


def _read_record(way: bytes, path: bytes, part: np.ndarray, clip_seed: np.int64) -> tuple[np.ndarray, bytes]:
    """The record of a clip and an empty reason, or zeros and what is wrong with the video."""
    clip_spec, sampling, short_video, features, sound_samples, with_times = _parsed(way)
    end_seconds = None if np.isinf(part[1]) else float(part[1])
    row = Row(os.fsdecode(path), start_seconds=float(part[0]), end_seconds=end_seconds)
    faults = Faults(max_failures=1.0)
    reader = ClipReader([row], clip_spec, sampling, short_video, features, faults, sound_samples, with_times)
    record = reader.read(0, int(clip_seed))
    if record is None:
        return np.zeros(reader.record_bytes, np.uint8), next(iter(reader.faults)).reason.encode()
    return record, b""


@functools.lru_cache(maxsize=64)
def _parsed(way: bytes) -> tuple[ClipSpec, str, str, tuple[str, ...], int, bool]:
    version, clip_spec, sampling, short_video, features, sound_samples, with_times = json.loads(way)
    if version != __version__:
        raise RuntimeError(
            f"The client runs sora_keras {version}, this worker {__version__}: start workers of the client's version."
        )
    return ClipSpec.from_config(clip_spec), sampling, short_video, tuple(features), sound_samples, with_times


def _check_dispatcher(address: str) -> None:
    """Raise a `ConnectionError` where TensorFlow would wait without end."""
    host, _, port = _host_and_port(address).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise ConnectionError(
            f"No dispatcher of a tf.data service answers at {address} ({error}): start one by `sora-keras data-service "
            "dispatcher`, and see that this machine may reach its port."
        ) from error


def _host_and_port(address: str) -> str:
    """`host:port` of `host:port` or `grpc://host:port`."""
    host, _, port = address.removeprefix("grpc://").rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise ValueError(f"The address of a tf.data service must be 'grpc://host:port', received {address!r}.")
    return f"{host}:{port}"

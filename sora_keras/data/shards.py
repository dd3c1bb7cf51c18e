"""Records to files that hold many of them, and which of those files were written to their end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from sora_keras.atomic import appearing_when_whole


def finished_shards(folder: str, extension: str) -> Iterator[tuple[str, list[str]]]:
    """List the shards of a folder, but for those whose writer was killed.

    Args:
        folder: the folder, or a remote one such as `s3://bucket/folder`.
        extension: `".npy"` or `".tfrecord"`.

    Yields:
        Path of a shard and the keys of its records, in order.
    """
    for index_path in sorted(tf.io.gfile.glob(f"{folder}/*{extension}.json")):
        shard_path = index_path.removesuffix(".json")
        with tf.io.gfile.GFile(index_path) as file:
            index = json.loads(file.read())
        if tf.io.gfile.exists(shard_path) and tf.io.gfile.stat(shard_path).length == index["bytes"]:
            yield shard_path, index["keys"]


def write_shard(folder: str, extension: str, records: Sequence[np.ndarray], keys: Sequence[str]) -> str:
    """Write a shard, then the JSON file beside it that makes it count.

    Args:
        folder: the folder to write to, local or remote.
        extension: `".npy"` for one array `uint8 (clips, record_bytes)`, `".tfrecord"` for TFRecords.
        records: `uint8 (record_bytes,)` each.
        keys: what each record is known by.

    Returns:
        The shard's path; the same keys give the same one.

    Raises:
        OSError: if it cannot be written.
    """
    path = f"{folder}/clips-{hashlib.sha256(''.join(keys).encode()).hexdigest()[:16]}{extension}"
    with _written(path) as unfinished:
        if extension == ".tfrecord":
            with tf.io.TFRecordWriter(unfinished) as writer:
                for record in records:
                    writer.write(record.tobytes())
        else:
            with open(unfinished, "wb") as file:
                np.save(file, np.stack(records))
                file.flush()
                os.fsync(file.fileno())
    index = {"bytes": tf.io.gfile.stat(path).length, "keys": list(keys)}
    with _written(f"{path}.json") as unfinished, tf.io.gfile.GFile(unfinished, "w") as file:
        file.write(json.dumps(index))
    return path


@contextlib.contextmanager
def _written(path: str) -> Iterator[str]:
    """A name to write to; an object store shows an object only once it is whole."""
    if "://" in path:
        yield path
        return
    with appearing_when_whole(Path(path)) as unfinished:
        yield str(unfinished)

"""A path in; out comes nothing, but TensorFlow can reach the file system or object store that it lies on."""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import re

import tensorflow as tf


def connect(path: str | os.PathLike[str]) -> None:
    """Make `tf.io.gfile` and `tf.data` know the protocol of a path, such as `s3://`.

    TensorFlow itself knows local files and `gs://`; the others come with tensorflow-io, the extra `io`, which the last
    release of tensorflow-io limits to TensorFlow 2.16 and 2.17. Where an object store is and who may use it is taken
    from the environment: for `s3://` from `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, for any other
    than Amazon's, `S3_ENDPOINT` (`http://host:port`).

    Args:
        path: a path, or a pattern of paths; a local one needs nothing.

    Raises:
        ValueError: if the protocol is unknown, with or without tensorflow-io.

    Example:
        >>> connect("s3://bucket/cache")
    """
    protocol = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", os.fspath(path))
    if protocol is None:
        return
    if not _is_known(protocol[1]):
        _import_tensorflow_io(os.fspath(path), protocol[1])
    if protocol[1] == "s3":
        bucket = os.fspath(path).split("/")[2]
        tf.io.gfile.exists(f"s3://{bucket}/any")  # makes the client, so that what follows comes after it
        _end_without_destructors()


def _import_tensorflow_io(path: str, protocol: str) -> None:
    reason = None
    try:
        importlib.import_module("tensorflow_io")
    except (ImportError, NotImplementedError, tf.errors.OpError) as error:  # not there, or for another TensorFlow
        reason = error
    if not _is_known(protocol):
        raise ValueError(
            f"TensorFlow {tf.__version__} does not know the {protocol}:// of {path!r}: local paths and gs:// work as "
            "they are, s3://, hdfs:// and az:// with TensorFlow 2.16 or 2.17 and `pip install 'sora-keras[io]'`."
        ) from reason


def _is_known(protocol: str) -> bool:
    return protocol in tf.io.gfile.get_registered_schemes()


@functools.cache
def _end_without_destructors() -> None:
    """Keep the exit code of a process that used `s3://`.

    tensorflow-io 0.35 to 0.37.1 abort in the destructors of their S3 client, after everything is done, so that every
    process would exit with code 134 (https://github.com/tensorflow/io/issues/2039). glibc's `on_exit` runs what was
    registered last before these destructors, once the client exists, and hands it the exit code.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):
        libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)

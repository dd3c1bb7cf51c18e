"""One version folder of a model to a session that answers its signatures."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from sora_keras.serving.development.batching_queue import BatchingQueue
from sora_keras.serving.development.json_tensors import TYPE_NAMES, invalid_argument

WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"
MOST_WARM_UP_RECORDS = 1000
PREDICT_METHODS = ("tensorflow/serving/predict", "tensorflow/serving/classify", "tensorflow/serving/regress")


class ServableVersion:
    """A loaded SavedModel.

    It loads as TensorFlow Serving does, into a version 1 Session and never eagerly, so a model that only works eagerly
    is found out here and not in production.

    Args:
        path: folder of the version.
        number: its version number.
        batching: the fields of `batching.config`, or None to run every request alone.

    Raises:
        tf.errors.OpError: if the model, or its warm-up requests, cannot be read or run.
        ValueError: likewise, where TensorFlow raises that.
        OSError: likewise.
    """

    def __init__(self, path: str | os.PathLike[str], number: int, batching: Mapping[str, Any] | None = None) -> None:
        self.number = number
        self.users = 0
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph)
        self._queues: dict[str, BatchingQueue] = {}
        self._lock = threading.Lock()
        self._batching = batching
        try:
            with self._graph.as_default(), _without_advice():
                meta_graph = tf.compat.v1.saved_model.load(self._session, ["serve"], os.fspath(path))
            self.signatures = dict(meta_graph.signature_def)
            for request in _warm_up_requests(Path(path) / WARM_UP_FILE):
                self._warm_up(request)
        except BaseException:
            self.close()
            raise

    def input_types(self, signature_name: str) -> dict[str, tf.DType]:
        """Name and type of each tensor that a signature takes.

        Raises:
            tf.errors.FailedPreconditionError: if there is no such signature.
        """
        return {name: tf.as_dtype(info.dtype) for name, info in self._signature(signature_name).inputs.items()}

    def run(
        self,
        signature_name: str,
        tensors: Mapping[str, np.ndarray],
        output_names: Sequence[str] = (),
        timeout_seconds: float = 30.0,
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature.

        Args:
            signature_name: an empty one stands for `serving_default`.
            tensors: its inputs.
            output_names: the outputs to return; none stands for all.
            timeout_seconds: when to give up.

        Returns:
            One array for each output.

        Raises:
            tf.errors.OpError: with TensorFlow Serving's code and words.
        """
        signature = self._signature(signature_name)
        _check_inputs(signature, tensors)
        _check_outputs(signature, output_names)
        names = list(output_names) or list(signature.outputs)
        if self._batching is None:
            return self._run(signature, tensors, names, timeout_seconds)
        outputs = self._queue(signature_name or "serving_default", signature).run(dict(tensors), timeout_seconds)
        return {name: outputs[name] for name in names}

    def close(self) -> None:
        """Free the memory of the model; nothing may be running."""
        self._session.close()
        self._queues.clear()

    def _signature(self, name: str) -> Any:
        name = name or "serving_default"
        if name not in self.signatures or name.startswith("__"):
            raise tf.errors.FailedPreconditionError(None, None, f'Serving signature key "{name}" not found.')
        return self.signatures[name]

    def _queue(self, name: str, signature: Any) -> BatchingQueue:
        with self._lock:
            if name not in self._queues:
                self._queues[name] = BatchingQueue(
                    lambda tensors, seconds: self._run(signature, tensors, list(signature.outputs), seconds),
                    **(self._batching or {}),
                )
            return self._queues[name]

    def _run(
        self, signature: Any, tensors: Mapping[str, np.ndarray], output_names: list[str], timeout_seconds: float
    ) -> dict[str, np.ndarray]:
        if timeout_seconds <= 0:
            raise tf.errors.DeadlineExceededError(None, None, "Timed out waiting for notification")
        options = tf.compat.v1.RunOptions(timeout_in_ms=max(1, round(timeout_seconds * 1000)))
        feeds = {signature.inputs[name].name: tensor for name, tensor in tensors.items()}
        fetches = {name: signature.outputs[name].name for name in output_names}
        try:
            outputs = self._session.run(fetches, feeds, options=options)
        except tf.errors.OpError as error:
            # Python adds where in this program the graph was made, which helps nobody who asks over a network.
            message = error.message.removeprefix("Graph execution error:\n\n").split("\n\nOriginal stack trace")[0]
            raise type(error)(None, None, message) from error
        except ValueError as error:
            raise invalid_argument(str(error)) from error
        return {name: np.asarray(output) for name, output in outputs.items()}

    def _warm_up(self, request: Any) -> None:
        signature = self._signature(request.model_spec.signature_name)
        tensors = {name: tensor_from_proto(name, proto) for name, proto in request.inputs.items()}
        _check_inputs(signature, tensors)
        self._run(signature, tensors, list(request.output_filter) or list(signature.outputs), 600.0)


def tensor_from_proto(name: str, proto: Any, most_bytes: int = 2**31) -> np.ndarray:
    """A tensor as gRPC brings it.

    Args:
        name: of the input, for the message.
        proto: a `TensorProto`.
        most_bytes: the largest tensor to make: a few bytes can ask for one of any size.

    Raises:
        tf.errors.InvalidArgumentError: if it is no tensor, or larger.
    """
    sizes = [dimension.size for dimension in proto.tensor_shape.dim]
    try:
        dtype = tf.as_dtype(proto.dtype)
        is_whole = not proto.tensor_shape.unknown_rank and min(sizes, default=0) >= 0
        if is_whole and np.prod([float(size) for size in sizes]) * dtype.size <= most_bytes:
            tensor = tf.make_ndarray(proto)
            if list(tensor.shape) == sizes:
                return tensor
    except (TypeError, ValueError, KeyError, OverflowError):
        pass  # answered below, as where the shape is none
    raise invalid_argument(f"tensor parsing error: {name}")


def _check_inputs(signature: Any, tensors: Mapping[str, np.ndarray]) -> None:
    if signature.method_name and signature.method_name not in PREDICT_METHODS:
        raise tf.errors.InternalError(
            None,
            None,
            f"Expected prediction signature method_name to be one of {{{', '.join(PREDICT_METHODS)}}}. "
            f"Was: {signature.method_name}",
        )
    expected, sent = set(signature.inputs), set(tensors)
    if len(sent) == len(expected) and sent != expected:
        name = min(expected - sent)
        raise invalid_argument(
            f"Signature input alias: {name}(feed name: {signature.inputs[name].name}) not found in request and no "
            f"default value provided. Inputs expected to be in the request {{{','.join(sorted(sent))}}}, or default "
            "input alias set: "
        )
    if sent != expected:
        lists = [",".join(sorted(names)) for names in (sent, expected, sent - expected, expected - sent)]
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(expected)} len({{{lists[0]}}}) != "
            f"len({{{lists[1]}}}). Sent extra: {{{lists[2]}}}. Missing but required: {{{lists[3]}}}."
        )
    for i, name in enumerate(sorted(expected)):
        types = [tf.as_dtype(dtype).name for dtype in (signature.inputs[name].dtype, tensors[name].dtype)]
        if types[0] != types[1]:
            types = [TYPE_NAMES.get(dtype, dtype) for dtype in types]
            raise invalid_argument(f"Expects arg[{i}] to be {types[0]} but {types[1]} is provided")


def _check_outputs(signature: Any, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        if name not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(signature.outputs))}}}."
            )
        if name in names[:i]:
            raise invalid_argument(f"duplicate output tensor alias: {name}")


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """TensorFlow advises to load eagerly, which is what must not be done here."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _warm_up_requests(path: Path) -> list[Any]:
    if not path.is_file():
        return []
    requests = []
    for i, record in enumerate(tf.data.TFRecordDataset(os.fspath(path)).as_numpy_iterator()):
        if i >= MOST_WARM_UP_RECORDS:
            raise invalid_argument(f"Number of warmup records exceeds the maximum ({MOST_WARM_UP_RECORDS}) at {path}")
        log = prediction_log_pb2.PredictionLog()
        try:
            log.ParseFromString(record)
        except Exception as error:  # protobuf's error has another class in each of its implementations
            raise invalid_argument(f"Failed to parse warmup record: {record[:100]!r} from {path}") from error
        if not log.HasField("predict_log"):
            raise invalid_argument(f"Unsupported log type for warmup: {log.WhichOneof('log_type')} at {path}")
        requests.append(log.predict_log.request)
    return requests

"""A question as NumPy arrays in, one gRPC request and its answer as NumPy arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from sora_keras.serving.serving_error import Refusal

CHANNEL_OPTIONS = [
    # Answers of more than 4 MB are refused otherwise.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # After a refused connection, gRPC itself would not try again for up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class GrpcTransport:
    """TensorFlow Serving's gRPC services, for one model.

    Args:
        address: `host:port`.
        model_name: as it is served.
        version: the one to ask, or `None`.
        label: of the version to ask, or `None`.
    """

    def __init__(self, address: str, model_name: str, version: int | None, label: str | None) -> None:
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._name, self._version, self._label = model_name, version, label

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, str], timeout_seconds: float
    ) -> dict[str, np.ndarray]:
        """Ask a signature.

        Args:
            signature: its name.
            inputs: by name; those of bytes have the dtype `object`.
            outputs: the dtypes by name, which gRPC tells by itself.
            timeout_seconds: longest time for the answer.

        Returns:
            The outputs by name, strings as `str`.

        Raises:
            Refusal: if there is no answer.
        """
        request = self._of_model(predict_pb2.PredictRequest())
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        response = _ask(self._prediction.Predict, request, timeout_seconds)
        return {name: _array(proto) for name, proto in response.outputs.items()}

    def status(self, timeout_seconds: float) -> list[dict[str, Any]]:
        """The states of the versions, in the form that REST has."""
        request = self._of_model(get_model_status_pb2.GetModelStatusRequest())
        return _as_rest(_ask(self._model.GetModelStatus, request, timeout_seconds))["model_version_status"]

    def signatures(self, timeout_seconds: float) -> dict[str, Any]:
        """The signatures by name, in the form that REST has."""
        request = self._of_model(get_model_metadata_pb2.GetModelMetadataRequest())
        request.metadata_field.append("signature_def")
        response = _ask(self._prediction.GetModelMetadata, request, timeout_seconds)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return _as_rest(signatures)["signature_def"]

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()

    def _of_model(self, request: Any) -> Any:
        request.model_spec.name = self._name
        if self._version is not None:
            request.model_spec.version.value = self._version
        if self._label is not None:
            request.model_spec.version_label = self._label
        return request


def _ask(method: Any, request: Any, timeout_seconds: float) -> Any:
    try:
        return method(request, timeout=timeout_seconds)
    except grpc.RpcError as error:
        code, reason = error.code().name, error.details() or ""
        # The same code says that a server is busy, and that a message is too long for it, which it stays.
        is_temporary = code == "UNAVAILABLE" or (code == "RESOURCE_EXHAUSTED" and "larger than" not in reason)
        raise Refusal(code, reason, is_temporary) from error


def _array(proto: Any) -> np.ndarray:
    array = tf.make_ndarray(proto)
    return np.char.decode(array.astype("S"), "utf-8") if array.dtype == object else array


def _as_rest(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)

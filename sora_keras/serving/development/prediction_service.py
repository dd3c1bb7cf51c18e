"""TensorFlow Serving's gRPC services on the models of a server."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable
from typing import Any, NoReturn

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

from sora_keras.serving.development.json_tensors import invalid_argument
from sora_keras.serving.development.request_metrics import RequestMetrics
from sora_keras.serving.development.servable_version import ServableVersion, tensor_from_proto
from sora_keras.serving.development.served_models import ServedModels

STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
VALUE_FIELDS = {
    "float32": "float_val", "float64": "double_val", "int64": "int64_val", "uint32": "uint32_val",
    "uint64": "uint64_val", "bool": "bool_val", "string": "string_val", "float16": "half_val", "bfloat16": "half_val",
}  # fmt: skip
logger = logging.getLogger(__name__)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`Predict` and `GetModelMetadata`; `Classify` and `Regress` are refused as for signatures that only predict.

    Args:
        models: what is served.
        metrics: where requests are counted.
        max_request_bytes: largest tensor of a request.
        request_timeout_seconds: longest time for an answer, or the client's own if that is less.
    """

    def __init__(
        self, models: ServedModels, metrics: RequestMetrics, max_request_bytes: int, request_timeout_seconds: float
    ) -> None:
        self._models = models
        self._metrics = metrics
        self._max_request_bytes = max_request_bytes
        self._timeout_seconds = request_timeout_seconds

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The outputs of a signature."""
        return _answer(context, lambda: self._predict(request, context.time_remaining()))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The signatures of a version."""
        return _answer(context, lambda: self._metadata(request))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refuse."""
        return _answer(context, lambda: self._refuse(request, "classify"))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refuse."""
        return _answer(context, lambda: self._refuse(request, "regress"))

    def _predict(self, request: Any, seconds_left: float | None) -> Any:
        timeout_seconds = min(self._timeout_seconds, self._timeout_seconds if seconds_left is None else seconds_left)
        spec = _model_spec(request)
        with self._metrics.count(spec.name, "GRPC"), self._models.servable(*_wanted(spec)) as servable:
            servable.input_types(spec.signature_name)
            tensors = {
                name: tensor_from_proto(name, proto, self._max_request_bytes) for name, proto in request.inputs.items()
            }
            outputs = servable.run(spec.signature_name, tensors, list(request.output_filter), timeout_seconds)
            response = predict_pb2.PredictResponse()
            response.model_spec.name = spec.name
            response.model_spec.version.value = servable.number
            response.model_spec.signature_name = spec.signature_name or "serving_default"
        for name, output in outputs.items():
            _fill(response.outputs[name], output)
        return response

    def _metadata(self, request: Any) -> Any:
        spec = _model_spec(request)
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid_argument(f"Metadata field {field} is not supported")
        with self._models.servable(*_wanted(spec)) as servable:
            return _metadata(spec.name, servable)

    def _refuse(self, request: Any, verb: str) -> NoReturn:
        spec = _model_spec(request)
        with self._models.servable(*_wanted(spec)) as servable:
            raise refusal(servable, verb, spec.signature_name)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """`GetModelStatus`.

    Args:
        models: what is served.
    """

    def __init__(self, models: ServedModels) -> None:
        self._models = models

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The state of every version of a model, or of one."""
        return _answer(context, lambda: self._status(request))

    def _status(self, request: Any) -> Any:
        spec = _model_spec(request)
        response = get_model_status_pb2.GetModelStatusResponse()
        for state in self._models.states(spec.name, _wanted(spec)[1]):
            version = response.model_version_status.add(version=state.number, state=state.state)
            version.status.error_code = state.error_code
            version.status.error_message = state.error_message
        return response


def metadata_json(name: str, servable: ServableVersion) -> str:
    """The signatures of a version as REST shows them."""
    metadata = _metadata(name, servable)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    metadata.metadata["signature_def"].Unpack(signatures)
    # protobuf 5 renamed the argument, and TensorFlow 2.16 and 2.17 run on protobuf 4.
    renamed = "always_print_fields_with_no_presence"
    old = "including_default_value_fields"
    is_new = renamed in inspect.signature(json_format.MessageToDict).parameters
    spec, definitions = (
        json_format.MessageToDict(m, preserving_proto_field_name=True, **{renamed if is_new else old: True})
        for m in (metadata.model_spec, signatures)
    )
    return json.dumps({"model_spec": spec, "metadata": {"signature_def": definitions}}, indent=1, ensure_ascii=False)


def refusal(servable: ServableVersion, verb: str, signature_name: str) -> tf.errors.InvalidArgumentError:
    """The error that answers to classify or regress with a signature that predicts."""
    signature_name = signature_name or "serving_default"
    if signature_name not in servable.signatures:
        return invalid_argument(f"No signature was found with the name: {signature_name}")
    kind = {"classify": "classification", "regress": "regression"}[verb]
    return invalid_argument(
        f"Expected {kind} signature method_name to be tensorflow/serving/{verb}. "
        f"Was: {servable.signatures[signature_name].method_name}"
    )


def _answer(context: grpc.ServicerContext, answer: Callable[[], Any]) -> Any:
    try:
        return answer()
    except tf.errors.OpError as error:
        code, message = STATUS_CODES[error.error_code], error.message
    except Exception as error:  # whatever a request brings up, the server lives on
        logger.exception("A gRPC request failed")
        code, message = grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
    context.abort(code, message)


def _model_spec(request: Any) -> Any:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    return request.model_spec


def _wanted(spec: Any) -> tuple[str, int | None, str | None]:
    """Name, version and label, of which the version or the label may be left out."""
    choice = spec.WhichOneof("version_choice")
    return (
        spec.name,
        spec.version.value if choice == "version" else None,
        spec.version_label if choice == "version_label" else None,
    )


def _metadata(name: str, servable: ServableVersion) -> Any:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for signature_name, signature in servable.signatures.items():
        signatures.signature_def[signature_name].CopyFrom(signature)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = name
    response.model_spec.version.value = servable.number
    response.metadata["signature_def"].Pack(signatures)
    return response


def _fill(proto: Any, tensor: np.ndarray) -> None:
    """Write the values into the field of their type, where TensorFlow Serving's clients read them."""
    dtype = tf.as_dtype(tensor.dtype)
    if dtype.name not in VALUE_FIELDS and not dtype.is_integer:
        proto.CopyFrom(tf.make_tensor_proto(tensor))
        return
    proto.dtype = dtype.as_datatype_enum
    for size in tensor.shape:
        proto.tensor_shape.dim.add(size=size)
    values = tensor.view(np.uint16) if dtype in (tf.float16, tf.bfloat16) else tensor
    getattr(proto, VALUE_FIELDS.get(dtype.name, "int_val")).extend(values.ravel().tolist())

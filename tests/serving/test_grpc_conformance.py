"""What TensorFlow Serving's gRPC services answer, asked of whichever server runs."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from conformance_endpoint import predict_request
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2, session_service_pb2


def refused(call, request):
    with pytest.raises(grpc.RpcError) as raised:
        call(request, timeout=30.0)
    return raised.value.code().name, raised.value.details()


def test_a_response_names_what_answered(server):
    response = server.predict_grpc("scale", {"x": np.float32([[1.5, -2]])})
    assert (response.model_spec.name, response.model_spec.version.value) == ("scale", 2)
    assert response.model_spec.signature_name == "serving_default"
    assert list(response.outputs) == ["y"]
    assert list(response.outputs["y"].float_val) == [3.0, -4.0]
    assert [dimension.size for dimension in response.outputs["y"].tensor_shape.dim] == [1, 2]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (np.float32([0.1, 2]), "float_val"),
        (np.float64([0.1, 2]), "double_val"),
        (np.int32([-1, 2]), "int_val"),
        (np.int64([2**62 + 1]), "int64_val"),
        (np.uint8([0, 255]), "int_val"),
        (np.array([True, False]), "bool_val"),
        (np.array([b"\xff\x00", b"text"], object), "string_val"),
    ],
)
def test_tensors_come_in_the_field_of_their_type(server, value, field):
    signature = "string" if value.dtype == object else value.dtype.name
    response = server.predict_grpc("types", {"x": value}, signature)
    assert list(getattr(response.outputs["y"], field)) == value.tolist()
    assert not response.outputs["y"].tensor_content


def test_half_precision_has_a_field(server):
    response = server.predict_grpc("types", {"x": np.float32([1.5])}, "half")
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), np.float16([1.5]))


def test_versions_and_labels_choose(server):
    for choice, version in [({"version": 1}, 1), ({"label": "stable"}, 1), ({"label": "canary"}, 2), ({}, 2)]:
        response = server.predict_grpc("labelled", {"x": np.float32([[3]])}, **choice)
        assert (response.model_spec.version.value, response.outputs["y"].float_val[0]) == (version, 3.0 * version)


def test_outputs_may_be_chosen(server):
    request = predict_request("scale", {"turns": np.int64([3])}, "count")
    request.output_filter.append("factor")
    assert list(server.prediction.Predict(request).outputs) == ["factor"]
    request.output_filter.append("factor")
    assert refused(server.prediction.Predict, request) == ("INVALID_ARGUMENT", "duplicate output tensor alias: factor")
    request.output_filter[1] = "sum"
    code, message = refused(server.prediction.Predict, request)
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("output tensor alias not found in signature: sum ")


def test_a_missing_model_is_not_found(server):
    x = {"x": np.float32([[1]])}
    for request, message in [
        (predict_request("nowhere", x), "Servable not found for request: Latest(nowhere)"),
        (predict_request("../scale", x), "Servable not found for request: Latest(../scale)"),
        (predict_request("scale", x, version=99), "Servable not found for request: Specific(scale, 99)"),
    ]:
        assert refused(server.prediction.Predict, request) == ("NOT_FOUND", message)


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (predict_request("scale", {}, "s"), "FAILED_PRECONDITION", 'Serving signature key "s" not found.'),
        (predict_request("", {}), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            predict_request("labelled", {}, label="beta"),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: beta",
        ),
        (
            predict_request("shapes", {"x": np.float32([1])}, "joined"),
            "INVALID_ARGUMENT",
            "input size does not match signature: 1!=2 len({x}) != len({a,b}). Sent extra: {x}. "
            "Missing but required: {a,b}.",
        ),
        (
            predict_request("scale", {}),
            "INVALID_ARGUMENT",
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (
            predict_request("scale", {"x": np.float64([[1]])}),
            "INVALID_ARGUMENT",
            "Expects arg[0] to be float but double is provided",
        ),
        (
            predict_request("scale", {"x": tensor_pb2.TensorProto(dtype=1, tensor_content=b"abc")}),
            "INVALID_ARGUMENT",
            "tensor parsing error: x",
        ),
    ],
)
def test_wrong_requests_are_told_apart(server, request_, code, message):
    assert refused(server.prediction.Predict, request_) == (code, message)


def test_tensors_that_are_none_are_refused(server):
    shape = tf.TensorShape([2, 2]).as_proto()
    for proto in (
        tensor_pb2.TensorProto(),
        tensor_pb2.TensorProto(dtype=1, tensor_shape=shape, tensor_content=b"\0" * 12),
        tensor_pb2.TensorProto(dtype=1, tensor_shape=tf.TensorShape(None).as_proto()),
    ):
        code, message = refused(server.prediction.Predict, predict_request("scale", {"x": proto}))
        assert (code, message) == ("INVALID_ARGUMENT", "tensor parsing error: x")


@pytest.mark.parametrize("shape", [(), (4,), (2, 2), (1, 4, 4), (1, 4, 5, 1), (1, 1, 4, 4, 1)])
def test_another_rank_is_refused_and_the_server_lives(server, shape):
    request = predict_request("shapes", {"image": np.zeros(shape, np.float32)})
    assert refused(server.prediction.Predict, request)[0] == "INVALID_ARGUMENT"
    response = server.predict_grpc("shapes", {"image": np.ones((1, 4, 4, 1), np.float32)})
    assert list(response.outputs["sums"].float_val) == [9.0] * 4


def test_status(server):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "labelled"
    versions = server.model.GetModelStatus(request).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(version.version, version.state) for version in versions] == [(2, available), (1, available)]
    request.model_spec.version.value = 9
    assert refused(server.model.GetModelStatus, request) == ("NOT_FOUND", "Could not find version 9 of model labelled")
    request.model_spec.Clear()
    request.model_spec.name = "nowhere"
    assert refused(server.model.GetModelStatus, request) == (
        "NOT_FOUND",
        "Could not find any versions of model nowhere",
    )


def test_metadata(server):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "labelled"
    request.model_spec.version_label = "stable"
    response = server.prediction.GetModelMetadata(request)
    assert (response.model_spec.name, response.model_spec.version.value) == ("labelled", 1)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert list(signatures.signature_def["serving_default"].inputs) == ["x"]
    assert signatures.signature_def["count"].inputs["turns"].dtype == tf.int64.as_datatype_enum
    for fields in ([], ["signature_def", "weights"]):
        request.metadata_field[:] = fields
        assert refused(server.prediction.GetModelMetadata, request)[0] == "INVALID_ARGUMENT"


def test_other_services_are_not_implemented(server):
    for path in ("/grpc.health.v1.Health/Check", "/tensorflow.serving.SessionService/SessionRun"):
        call = server.channel.unary_unary(path, session_service_pb2.SessionRunRequest.SerializeToString)
        assert refused(call, session_service_pb2.SessionRunRequest())[0] == "UNIMPLEMENTED"


def test_a_client_has_to_raise_its_limit(server):
    x = np.zeros((1, 1_200_000), np.float32)
    assert len(server.predict_grpc("scale", {"x": x}).outputs["y"].float_val) == 1_200_000
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            predict_pb2.PredictRequest.SerializeToString,
            predict_pb2.PredictResponse.FromString,
        )
        assert refused(call, predict_request("scale", {"x": x}))[0] == "RESOURCE_EXHAUSTED"


def test_a_deadline_is_kept(server):
    with pytest.raises(grpc.RpcError) as raised:
        server.predict_grpc("scale", {"turns": np.int64([300_000])}, "count", timeout=0.2)
    assert raised.value.code().name == "DEADLINE_EXCEEDED"

"""One server's REST and gRPC as the tests ask them."""

import grpc
import httpx
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc


class Endpoint:
    def __init__(self, url, address):
        self.url = url
        self.address = address
        self.http = httpx.Client(base_url=url, timeout=60.0)
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def post(self, target, body):
        """The answer to a prediction; text and bytes are sent as they are."""
        content = {"content": body} if isinstance(body, str | bytes) else {"json": body}
        return self.http.post(f"/v1/models/{target}:predict", **content)

    def predict(self, target, body):
        """Status and parsed answer."""
        response = self.post(target, body)
        return response.status_code, response.json()

    def error(self, target, body, status=400):
        """The message of a refused prediction."""
        response = self.post(target, body)
        assert response.status_code == status, response.text
        assert response.headers["content-type"].startswith("application/json")
        answer = response.json()
        assert list(answer) == ["error"]
        return answer["error"]

    def predict_grpc(self, model, inputs, signature="", timeout=60.0, **version):
        """The response to arrays by name, over gRPC."""
        return self.prediction.Predict(predict_request(model, inputs, signature, **version), timeout=timeout)

    def close(self):
        self.http.close()
        self.channel.close()


def predict_request(model, inputs, signature="", version=None, label=None):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(value if isinstance(value, tensor_pb2.TensorProto) else to_proto(value))
    return request


def to_proto(value):
    return tf.make_tensor_proto(np.asarray(value))

"""The servers that the conformance suite asks: those named by the environment, or development servers."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def conformance_folder(tmp_path_factory) -> Path:
    """The models of the suite, written once."""
    pytest.importorskip("tensorflow_serving")
    from conformance_models import write_models

    folder = tmp_path_factory.mktemp("conformance")
    write_models(folder)
    return folder


def _serve(folder, batching, variables):
    from conformance_endpoint import Endpoint

    from sora_keras.serving.development import DevelopmentServer

    url, address = (os.environ.get(variable) for variable in variables)
    if bool(url) != bool(address):
        pytest.skip(f"name both, {variables[0]} and {variables[1]}, or neither")
    if url and address:
        endpoint = Endpoint(url, address.removeprefix("grpc://"))
        yield endpoint
        endpoint.close()
        return
    with DevelopmentServer(folder / "models.config", rest_port=0, grpc_port=0, batching=batching) as server:
        endpoint = Endpoint(f"http://127.0.0.1:{server.rest_port}", f"127.0.0.1:{server.grpc_port}")
        yield endpoint
        endpoint.close()


@pytest.fixture(scope="session")
def server(conformance_folder):
    """The server named by SORA_KERAS_SERVING_URL and SORA_KERAS_SERVING_GRPC, or a development server."""
    yield from _serve(conformance_folder, None, ("SORA_KERAS_SERVING_URL", "SORA_KERAS_SERVING_GRPC"))


@pytest.fixture(scope="session")
def batching_server(conformance_folder):
    """The same with batching, named by SORA_KERAS_SERVING_BATCHING_URL and SORA_KERAS_SERVING_BATCHING_GRPC."""
    variables = ("SORA_KERAS_SERVING_BATCHING_URL", "SORA_KERAS_SERVING_BATCHING_GRPC")
    yield from _serve(conformance_folder, conformance_folder / "batching.config", variables)

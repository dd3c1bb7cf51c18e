"""Requests by thousands that no client of good will sends, against a server in a process of its own."""

import contextlib
import gzip
import json
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import numpy as np
import pytest
from conformance_endpoint import Endpoint, predict_request

pytestmark = pytest.mark.slow

PROGRAM = """
import json, sys
from sora_keras.serving.development import DevelopmentServer
with DevelopmentServer(sys.argv[1], **json.loads(sys.argv[2])) as server:
    print(server.rest_port, server.grpc_port, flush=True)
    server.wait()
"""


@contextlib.contextmanager
def serving(folder, **options):
    options = {"rest_port": 0, "grpc_port": 0, **options}
    command = [sys.executable, "-c", PROGRAM, os.fspath(folder / "models.config"), json.dumps(options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            rest_port, grpc_port = process.stdout.readline().split()
            endpoint = Endpoint(f"http://127.0.0.1:{rest_port}", f"127.0.0.1:{grpc_port}")
            endpoint.process, endpoint.port = process, int(rest_port)
            yield endpoint
            endpoint.close()
        finally:
            process.kill()


def megabytes(endpoint, field="VmRSS"):
    with open(f"/proc/{endpoint.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1024


def check_alive(endpoint):
    assert endpoint.process.poll() is None
    assert endpoint.predict("scale", {"instances": [[1.5, -2]]}) == (200, {"predictions": [[3, -4]]})
    response = endpoint.predict_grpc("scale", {"x": np.float32([[1.5, -2]])})
    assert list(response.outputs["y"].float_val) == [3, -4]


def random_value(source, depth=0):
    kind = source.randrange(12 if depth < 6 else 9)
    if kind >= 9:
        values = [random_value(source, depth + 1) for _ in range(source.randrange(4))]
        names = ["x", "a", "b", "b64", "image", "", "ü"]
        return values if kind < 11 else {source.choice(names): value for value in values}
    return source.choice(
        [None, True, False, 0, 1, -1, 1.5, 2**31, 2**63, 2**64, 1e39, 1e308, float("nan"), float("inf"), "", "text",
         "ä", "YWI=", {"b64": "YWI="}, {"b64": "?"}, [], [[]], {}]
    )  # fmt: skip


def mutated(source, data):
    data = bytearray(data)
    for _ in range(source.randrange(1, 6)):
        place = source.randrange(len(data)) if data else 0
        choice = source.randrange(4)
        if choice == 0 and data:
            data[place] = source.randrange(256)
        elif choice == 1:
            del data[place : place + source.randrange(8)]
        elif choice == 2:
            data[place:place] = source.randbytes(source.randrange(8))
        else:
            data[place:place] = data[place : place + source.randrange(30)]
    return bytes(data)


BODIES = [
    ("scale", {"instances": [[1.0, 2.0], [3.0, 4.0]]}),
    ("scale", {"signature_name": "count", "inputs": {"turns": [1, 2]}}),
    ("types", {"instances": [{"a": 1, "b": "text"}, {"a": 2, "b": {"b64": "YWI="}}]}),
    ("types", {"signature_name": "bytes", "inputs": [{"b64": "YWI="}]}),
    ("shapes", {"inputs": [[[[1.0], [2.0], [3.0], [4.0]]] * 4]}),
]
TARGETS = [
    "scale", "types", "shapes", "labelled", "labelled/labels/stable", "labelled/versions/1", "with%20space", "nowhere",
    "scale/versions/99", "..%2f..%2fetc", "%00", "%ff", "a" * 3000, "scale/labels/%ff", "scale/versions/" + "9" * 30,
]  # fmt: skip
TURNS = b"turns"


def random_http(source):
    """Method, path, body and headers."""
    target, content = source.choice(BODIES)
    target = source.choice(TARGETS) if source.random() < 0.3 else target
    method, path = "POST", f"/v1/models/{target}:predict"
    body = json.dumps(content).encode()
    headers = {}
    kind = source.randrange(9)
    if kind == 0:
        body = source.randbytes(source.randrange(300))
    elif kind in (1, 2, 3):
        body = mutated(source, body)
    elif kind in (4, 5):
        keys = ["instances", "inputs", "signature_name", "further"]
        body = json.dumps({key: random_value(source) for key in source.sample(keys, source.randrange(1, 4))}).encode()
    elif kind == 6:
        method = source.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "NONSENSE"])
        path = source.choice(
            ["/", "/v1", "/v1/", "/v1/models", "/v1/models/scale", "/v1/models/scale/metadata", path, path.upper(),
             path + "?x=1", path + "/", "/v1/models//:predict", "/v1/models/scale:classify", "/v1/models/" + "/" * 50]
        )  # fmt: skip
    elif kind == 7:
        headers = {"Content-Encoding": "gzip", "Content-Type": source.choice(["x", "application/json", ""])}
        body = source.choice([body, mutated(source, gzip.compress(body)), gzip.compress(body)])
    if TURNS in body and len(body) > 70:
        body = body[:70]  # no more than a few turns
    return method, path, body, headers


def check_http(response, method):
    assert response.status_code in (200, 400, 404, 413, 429, 501), (response.status_code, response.text)
    is_json = response.headers.get("content-type", "").startswith("application/json")
    if is_json and response.content and method != "HEAD":
        answer = json.loads(response.content.decode("utf-8", "surrogateescape"))
        assert ("error" in answer) == (response.status_code != 200)


def random_grpc(source):
    """Path and bytes of a call."""
    services = ["PredictionService/Predict"] * 6 + [
        "PredictionService/GetModelMetadata", "PredictionService/Classify", "PredictionService/Regress",
        "PredictionService/MultiInference", "ModelService/GetModelStatus", "ModelService/HandleReloadConfigRequest",
        "SessionService/SessionRun", "Nothing/AtAll",
    ]  # fmt: skip
    shape = [source.randrange(5) for _ in range(source.randrange(6))]
    dtype = source.choice(["float32", "float64", "int32", "int64", "uint8", "bool", "float16", "complex64"])
    models = [("scale", "x", ""), ("shapes", "image", ""), ("shapes", "a", "joined"), ("types", "x", dtype)]
    model, name, signature = source.choice([*models, ("nowhere", "x", ""), ("", "x", "s")])
    request = predict_request(model, {name: np.ones(shape, dtype)}, signature)
    if source.random() < 0.3:
        sizes = request.inputs[name].tensor_shape.dim
        sizes.add(size=source.choice([-1, -(2**63), 2**62, 2**31, 0, 7]))
    data = request.SerializeToString()
    kind = source.randrange(10)
    if kind < 3:
        data = mutated(source, data)
    elif kind == 3:
        data = source.randbytes(source.randrange(200))
    return f"/tensorflow.serving.{source.choice(services)}", data


ALLOWED_CODES = {
    "OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED", "INTERNAL",
}  # fmt: skip


def check_grpc(endpoint, path, data):
    call = endpoint.channel.unary_unary(path, lambda content: content, lambda content: content)
    answer = call.future(data, timeout=30.0)
    code, details = answer.code().name, answer.details()
    assert code in ALLOWED_CODES, (code, details)
    # The bytes were no message: gRPC itself answers so, before a service sees them.
    assert code != "INTERNAL" or "deserializing" in details, details
    return code


@pytest.mark.parametrize("batching", [False, True])
def test_no_request_brings_it_down(conformance_folder, batching, capsys):
    options = {"batching": os.fspath(conformance_folder / "batching.config")} if batching else {}
    source = random.Random(20 + batching)
    counts = {}
    with serving(conformance_folder, **options) as endpoint:
        check_alive(endpoint)
        before = megabytes(endpoint)
        for i in range(6000):
            if i % 3 < 2:
                method, path, body, headers = random_http(source)
                response = endpoint.http.request(method, endpoint.url + path, content=body, headers=headers)
                check_http(response, method)
                key = f"REST {response.status_code}"
            else:
                key = f"gRPC {check_grpc(endpoint, *random_grpc(source))}"
            counts[key] = counts.get(key, 0) + 1
            if i % 500 == 0:
                check_alive(endpoint)
        check_alive(endpoint)
        after = megabytes(endpoint)
    with capsys.disabled():
        print(f"\n{sum(counts.values())} requests: {counts}; {before:.0f} MB before, {after:.0f} MB after")
    assert counts["REST 200"] > 200
    assert counts["gRPC OK"] > 100
    assert after < before + 300


def test_ten_thousand_idle_connections(conformance_folder, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server inherits it
    number = min(10_000, hard - 500)
    try:
        with serving(conformance_folder, idle_timeout_seconds=20.0) as endpoint, contextlib.ExitStack() as stack:
            check_alive(endpoint)
            before = megabytes(endpoint)
            connections = []
            for i in range(number):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", endpoint.port), timeout=30))
                connection.sendall([b"", b"GET /v1/models/scale HTTP/1.1\r\nHo"][i % 2])
                connections.append(connection)
            start = time.monotonic()
            check_alive(endpoint)
            seconds = time.monotonic() - start
            held = megabytes(endpoint) - before
            for connection in connections:
                assert connection.recv(1) == b""  # the server closes every one of them
            check_alive(endpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with capsys.disabled():
        print(f"\n{number} idle connections: {held:.0f} MB, a request beside them took {seconds * 1000:.0f} ms")
    assert seconds < 5
    assert held < 1000


def test_killed_in_mid_request_and_started_again(conformance_folder):
    busy = {"turns": np.int64([10_000_000])}
    with ThreadPoolExecutor(2) as pool:
        with serving(conformance_folder) as endpoint:
            check_alive(endpoint)
            body = {"signature_name": "count", "inputs": [10_000_000]}
            rest = pool.submit(endpoint.predict, "scale", body)
            call = pool.submit(endpoint.predict_grpc, "scale", busy, "count")
            time.sleep(0.5)
            assert not rest.done()
            assert not call.done()
            endpoint.process.kill()
            with pytest.raises(httpx.TransportError):
                rest.result(timeout=30)
            with pytest.raises(grpc.RpcError) as raised:
                call.result(timeout=30)
            assert raised.value.code().name == "UNAVAILABLE"
            address = endpoint.address
        ports = {"rest_port": endpoint.port, "grpc_port": int(address.rpartition(":")[2])}
        with serving(conformance_folder, **ports) as endpoint:
            assert endpoint.address == address
            check_alive(endpoint)


def test_huge_bodies_at_once_are_bounded(conformance_folder, capsys):
    spaces = b'{"instances": [[1.0]]' + b" " * 100_000_000 + b"}"
    lists = b'{"inputs": [' + b"[]," * 25_000_000 + b"[]]}"
    packed = gzip.compress(b" " * 1_000_000_000, 1)
    requests = [(spaces, {}), (lists, {}), (packed, {"Content-Encoding": "gzip"})] * 4
    with serving(conformance_folder) as endpoint, ThreadPoolExecutor(len(requests)) as pool:
        check_alive(endpoint)
        before = megabytes(endpoint)

        def ask(request):
            body, headers = request
            return endpoint.http.post(
                "/v1/models/scale:predict", content=body, headers=headers, timeout=120
            ).status_code

        statuses = list(pool.map(ask, requests))
        assert ask((spaces, {})) == 200
        assert ask((lists, {})) == 429
        assert ask((packed, {"Content-Encoding": "gzip"})) == 429
        check_alive(endpoint)
        most = megabytes(endpoint, "VmHWM") - before
    with capsys.disabled():
        print(f"\n{len(requests)} huge bodies: {statuses}, {most:.0f} MB at most")
    assert set(statuses) <= {200, 429, 504}
    assert 429 in statuses
    assert most < 3000


def test_slow_bodies_keep_nobody_waiting(conformance_folder):
    head = b"POST /v1/models/scale:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
    with serving(conformance_folder, request_timeout_seconds=2.0) as endpoint:
        stop = threading.Event()
        answers = []

        def trickle():
            with socket.create_connection(("127.0.0.1", endpoint.port), timeout=30) as connection:
                connection.sendall(head)
                with contextlib.suppress(OSError):
                    while not stop.wait(0.2):
                        connection.sendall(b"[")
                with contextlib.suppress(OSError):
                    answers.append(connection.recv(1000))

        threads = [threading.Thread(target=trickle) for _ in range(300)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            start = time.monotonic()
            check_alive(endpoint)
            assert time.monotonic() - start < 2
        time.sleep(2)
        stop.set()
        for thread in threads:
            thread.join()
        check_alive(endpoint)
    assert all(answer == b"" or answer.startswith(b"HTTP/1.1 408 ") for answer in answers)

import contextlib
import gzip
import os
import shutil
import signal
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
import tensorflow as tf
from conformance_endpoint import Endpoint, predict_request
from tensorflow_serving.apis import prediction_log_pb2

from sora_keras.serving.development import DevelopmentServer

TURNS_OF_A_SECOND = 100_000


@pytest.fixture
def base(conformance_folder, tmp_path):
    """A model's folder with version 1, which multiplies by 1."""
    shutil.copytree(conformance_folder / "scale" / "1", tmp_path / "scale" / "1")
    return tmp_path / "scale"


@pytest.fixture
def second(conformance_folder, base):
    """Version 2, which multiplies by 2, beside the model's folder."""
    return shutil.copytree(conformance_folder / "scale" / "2", base.parent / "second")


@contextlib.contextmanager
def serving(base, **options):
    with DevelopmentServer(base, rest_port=0, grpc_port=0, poll_seconds=0.05, **options) as server:
        endpoint = Endpoint(f"http://127.0.0.1:{server.rest_port}", f"127.0.0.1:{server.grpc_port}")
        endpoint.server = server
        yield endpoint
        endpoint.close()


def states(endpoint, model="scale"):
    answer = endpoint.http.get(f"/v1/models/{model}").json()
    return {int(version["version"]): version["state"] for version in answer.get("model_version_status", [])}


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def factor(endpoint):
    status, answer = endpoint.predict("scale", {"instances": [[1.0]]})
    assert status == 200, answer
    return answer["predictions"][0][0]


def busy(endpoint, seconds=1.0):
    body = {"signature_name": "count", "inputs": [round(seconds * TURNS_OF_A_SECOND)]}
    return endpoint.predict("scale", body)


def test_versions_swap_under_load_and_no_request_fails(base, second):
    with serving(base) as endpoint, ThreadPoolExecutor(6) as pool:
        stop = threading.Event()

        def ask_rest():
            factors = []
            while not stop.is_set():
                factors.append(factor(endpoint))
            return factors

        def ask_grpc():
            factors = []
            while not stop.is_set():
                response = endpoint.predict_grpc("scale", {"x": np.float32([[1]])})
                factors.append(response.outputs["y"].float_val[0])
                assert response.model_spec.version.value == factors[-1]
            return factors

        futures = [pool.submit(ask) for ask in [ask_rest, ask_grpc] * 3]
        try:
            time.sleep(0.3)
            second.rename(base / "2")
            wait_for(lambda: states(endpoint) == {2: "AVAILABLE", 1: "END"})
            time.sleep(0.2)
        finally:
            stop.set()
        for future in futures:
            factors = future.result()
            assert set(factors) == {1.0, 2.0}
            assert factors == sorted(factors)


def test_a_request_in_flight_finishes_on_the_old_version(base, second):
    with serving(base) as endpoint, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(busy, endpoint, 2.0)
        time.sleep(0.2)
        second.rename(base / "2")
        wait_for(lambda: states(endpoint).get(2) == "AVAILABLE")
        assert factor(endpoint) == 2.0
        assert states(endpoint)[1] == ("END" if slow.done() else "UNLOADING")
        status, answer = slow.result()
        assert (status, answer["outputs"]["factor"]) == (200, [1.0])
        wait_for(lambda: states(endpoint) == {2: "AVAILABLE", 1: "END"})


def test_a_version_taken_away_gives_way_to_the_one_before(base, second):
    shutil.move(second, base / "2")
    with serving(base) as endpoint:
        assert (states(endpoint), factor(endpoint)) == ({2: "AVAILABLE"}, 2.0)
        shutil.rmtree(base / "2")
        wait_for(lambda: states(endpoint) == {2: "END", 1: "AVAILABLE"})
        assert factor(endpoint) == 1.0
        shutil.rmtree(base / "1")
        time.sleep(0.2)
        assert factor(endpoint) == 1.0


def damage_nothing_there(version):
    shutil.rmtree(version)
    version.mkdir()


def damage_graph(version):
    (version / "saved_model.pb").write_bytes(b"garbage" * 100)


def damage_graph_length(version):
    file = version / "saved_model.pb"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def damage_variables(version):
    (version / "variables" / "variables.data-00000-of-00001").write_bytes(b"")


def damage_index(version):
    (version / "variables" / "variables.index").write_bytes(b"\xff" * 200)


def damage_missing_variables(version):
    shutil.rmtree(version / "variables")


def damage_warm_up(version):
    write_warm_up(version, [b"\xff\xff\xff"])


DAMAGES = [
    damage_nothing_there, damage_graph, damage_graph_length, damage_variables, damage_index, damage_missing_variables,
    damage_warm_up,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_version_changes_nothing_and_is_served_once_whole(base, second, damage):
    whole = shutil.copytree(second, second.with_name("whole"))
    with serving(base) as endpoint:
        damage(second)
        second.rename(base / "2")
        wait_for(lambda: states(endpoint) == {2: "END", 1: "AVAILABLE"})
        [status] = endpoint.http.get("/v1/models/scale/versions/2").json()["model_version_status"]
        assert status["status"]["error_code"] != "OK"
        assert status["status"]["error_message"]
        assert factor(endpoint) == 1.0
        shutil.rmtree(base / "2" / "assets.extra", ignore_errors=True)
        shutil.copytree(whole, base / "2", dirs_exist_ok=True)
        wait_for(lambda: states(endpoint).get(2) == "AVAILABLE")
        assert factor(endpoint) == 2.0


def test_what_is_no_version_is_passed_over(base):
    for name in ("tmp", "-3", "2.5", "٣", ".4-x", str(2**63)):
        shutil.copytree(base / "1", base / name)
    (base / "7").write_text("a file")
    with serving(base) as endpoint:
        assert states(endpoint) == {1: "AVAILABLE"}


def write_warm_up(version, records):
    (version / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(os.fspath(version / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for record in records:
            writer.write(record)


def warm_up_record(inputs, signature=""):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request("calls", inputs, signature))
    return log.SerializeToString()


@pytest.fixture
def counting(tmp_path):
    """A model that answers how often it was asked."""
    module = tf.Module()
    module.calls = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, name="x")])
    def count(x):
        return {"calls": x + module.calls.assign_add(1)}

    tf.saved_model.save(module, os.fspath(tmp_path / "calls" / "1"), {"serving_default": count})
    return tmp_path / "calls"


@pytest.mark.parametrize("requests", [0, 3, 1000])
def test_warm_up_requests_run_before_the_first_of_a_client(counting, requests):
    write_warm_up(counting / "1", [warm_up_record({"x": np.int32([0])})] * requests)
    with serving(counting) as endpoint:
        assert endpoint.predict("calls", {"instances": [0]}) == (200, {"predictions": [requests + 1]})


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([warm_up_record({"x": np.int32([0])})] * 1001, "exceeds the maximum (1000)"),
        ([warm_up_record({"x": np.int32([0])}), b"\xff\xff"], "Failed to parse warmup record"),
        ([warm_up_record({"x": np.float32([0])})], "Expects arg[0] to be int32 but float is provided"),
        ([warm_up_record({"x": np.int32([0])}, "other")], 'Serving signature key "other" not found.'),
        ([prediction_log_pb2.PredictionLog().SerializeToString()], "Unsupported log type"),
    ],
)
def test_a_wrong_warm_up_fails_the_version(counting, records, message):
    write_warm_up(counting / "1", records)
    with serving(counting) as endpoint:
        [status] = endpoint.http.get("/v1/models/calls").json()["model_version_status"]
        assert status["state"] == "END"
        assert message in status["status"]["error_message"]
        assert endpoint.error("calls", {"instances": [0]}, 404) == "Servable not found for request: Latest(calls)"


def test_an_empty_folder_is_served_once_a_version_comes(base, second):
    shutil.rmtree(base / "1")
    with serving(base) as endpoint:
        assert endpoint.http.get("/v1/models/scale").status_code == 404
        second.rename(base / "4")
        wait_for(lambda: states(endpoint) == {4: "AVAILABLE"})
        assert factor(endpoint) == 2.0


def test_several_models_by_name(base, second):
    second.rename(base.parent / "2")
    models = {"one": base, "two": base.parent}
    with serving(models) as endpoint:
        for name, expected in [("one", 1.0), ("two", 2.0)]:
            assert endpoint.predict(name, {"instances": [[1.0]]}) == (200, {"predictions": [[expected]]})


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"fihgts is no folder: expected the folder of a model's numbered"):
        DevelopmentServer(tmp_path / "fihgts")


def test_a_taken_port_is_named(base):
    with serving(base) as endpoint:
        port = endpoint.server.rest_port
        with pytest.raises(OSError, match=f"REST port {port} of 127.0.0.1 cannot be taken: name another"):
            DevelopmentServer(base, rest_port=port, grpc_port=0).start()
        port = endpoint.server.grpc_port
        with pytest.raises(OSError, match=f"gRPC port {port} of 127.0.0.1 cannot be taken: name another"):
            DevelopmentServer(base, rest_port=0, grpc_port=port).start()
        assert factor(endpoint) == 1.0


def test_the_missing_extra_is_named(base, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("sora_keras.serving.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette.requests", None)
    with pytest.raises(ImportError, match=r"starlette.*pip install 'sora-keras\[serving\]'"):
        DevelopmentServer(base)


def test_long_requests_are_refused(base):
    with serving(base, max_request_bytes=2000) as endpoint:
        long = {"instances": [[1.0] * 2000]}
        assert endpoint.error("scale", long, 413) == "The request is longer than 2000 bytes"
        chunks = (b" " * 1000 for _ in range(3))
        response = endpoint.http.post("/v1/models/scale:predict", content=chunks)
        assert response.status_code == 413
        packed = gzip.compress(b" " * 10_000_000)[:1900]
        response = endpoint.http.post("/v1/models/scale:predict", content=packed, headers={"Content-Encoding": "gzip"})
        assert response.status_code == 429
        assert response.json()["error"] == "The request unpacks to more than 2000 bytes"
        with pytest.raises(grpc.RpcError) as raised:
            endpoint.predict_grpc("scale", {"x": np.ones((1, 2000), np.float32)})
        assert raised.value.code().name == "RESOURCE_EXHAUSTED"
        # A few bytes that stand for a gigabyte.
        proto = tf.make_tensor_proto(np.float32([[1]]))
        proto.tensor_shape.dim[1].size = 2**28
        with pytest.raises(grpc.RpcError) as raised:
            endpoint.predict_grpc("scale", {"x": proto})
        assert raised.value.details() == "tensor parsing error: x"
        assert factor(endpoint) == 1.0


def test_past_the_queue_requests_are_refused_at_once(base):
    with serving(base, max_queued_requests=2) as endpoint, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: busy(endpoint), range(6)))
        assert [status for status, _ in answers].count(200) == 2
        [message] = {answer["error"] for status, answer in answers if status == 429}
        assert message == "The server holds 2 requests already: try again later"

        def ask(_):
            try:
                endpoint.predict_grpc("scale", {"turns": np.int64([TURNS_OF_A_SECOND])}, "count")
            except grpc.RpcError as error:
                return error.code().name
            return "OK"

        codes = list(pool.map(ask, range(6)))
        assert (codes.count("OK"), codes.count("RESOURCE_EXHAUSTED")) == (2, 4)
        assert factor(endpoint) == 1.0


def test_a_request_that_takes_too_long_is_given_up(base):
    with serving(base, request_timeout_seconds=0.3) as endpoint:
        start = time.monotonic()
        assert busy(endpoint, 10.0)[0] == 504
        with pytest.raises(grpc.RpcError) as raised:
            endpoint.predict_grpc("scale", {"turns": np.int64([10 * TURNS_OF_A_SECOND])}, "count")
        assert raised.value.code().name == "DEADLINE_EXCEEDED"
        assert time.monotonic() - start < 5
        assert factor(endpoint) == 1.0


def raw(endpoint, data, seconds=10.0):
    """What the server sends until it closes the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", endpoint.server.rest_port), timeout=seconds) as connection:
        connection.sendall(data)
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_slow_and_silent_connections_are_closed(base):
    with serving(base, request_timeout_seconds=0.3, idle_timeout_seconds=0.5) as endpoint:
        head = b"POST /v1/models/scale:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
        assert raw(endpoint, head + b'{"inst').startswith(b"HTTP/1.1 408 ")
        assert raw(endpoint, b"") == b""
        assert raw(endpoint, head[:30]) == b""
        assert factor(endpoint) == 1.0


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 200,
        b"GET\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/models/scale:predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/models/scale:predict HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(base, data):
    with serving(base, request_timeout_seconds=1.0, idle_timeout_seconds=1.0) as endpoint:
        answer = raw(endpoint, data)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        assert factor(endpoint) == 1.0


def test_deep_and_broken_text_is_refused(base):
    with serving(base) as endpoint:
        for depth in (100, 100_000):
            for opening in ("[", '{"x":'):
                assert endpoint.error("scale", '{"instances": ' + opening * depth)
            assert endpoint.error("scale", '{"instances": ' + "[" * depth + "1" + "]" * depth + "}")
        assert endpoint.error("scale", '{"instances": [[1' + "0" * 5000 + "]]}")
        assert endpoint.error("scale", b'{"instances": [["\xff\xfe"]]}')
        assert factor(endpoint) == 1.0


def test_invented_names_are_not_counted(base):
    with serving(base) as endpoint:
        for i in range(20):
            endpoint.error(f"invented{i}", {"instances": [[1.0]]}, 404)
        endpoint.error("scale", {"instances": [["x"]]})
        page = endpoint.http.get("/monitoring/prometheus/metrics").text
        assert "invented" not in page
        assert ':tensorflow:serving:request_count{model_name="scale",status="INVALID_ARGUMENT"} 1.0' in page


def test_stopping_lets_requests_finish(base):
    with ThreadPoolExecutor(2) as pool, serving(base) as endpoint:
        rest = pool.submit(busy, endpoint)
        turns = {"turns": np.int64([TURNS_OF_A_SECOND])}
        call = pool.submit(endpoint.predict_grpc, "scale", turns, "count")
        time.sleep(0.3)
        endpoint.server.stop()
        assert rest.result()[0] == 200
        assert call.result().outputs["factor"].float_val[0] == 1.0
        with pytest.raises(httpx.ConnectError):
            factor(endpoint)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_a_waiting_server(base, number):
    program = (
        "import sys; from sora_keras.serving.development import DevelopmentServer\n"
        "with DevelopmentServer(sys.argv[1], 0, 0) as server: print(server.rest_port, flush=True); server.wait()"
    )
    command = [sys.executable, "-c", program, os.fspath(base)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        assert httpx.get(f"http://127.0.0.1:{port}/v1/models/scale").status_code == 200
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors

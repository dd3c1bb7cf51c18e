import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from sora_keras.serving import Client, ServingError
from sora_keras.serving.client import VersionStatus
from sora_keras.serving.development import DevelopmentServer

grpc = pytest.importorskip("grpc")
get_model_status_pb2 = pytest.importorskip("tensorflow_serving.apis.get_model_status_pb2")
model_service_pb2_grpc = pytest.importorskip("tensorflow_serving.apis.model_service_pb2_grpc")
STATES = {"model_version_status": [{"version": "4", "state": "AVAILABLE", "status": {"error_code": "OK"}}]}
FINE = (200, json.dumps(STATES))


@contextlib.contextmanager
def http_server(*answers, port=0):
    """Gives one answer after the other, the last one again and again: a status and a body, or what is called."""
    times = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer = answers[min(len(times), len(answers) - 1)]
            times.append(time.monotonic())
            if callable(answer):
                return answer(self)
            status, body = answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.times = times
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def grpc_server(*refusals, port=0, seconds=0.0, **options):
    """Refuses with one code and reason after the other, then answers after some seconds."""

    class Service(model_service_pb2_grpc.ModelServiceServicer):
        num_asked = 0

        def GetModelStatus(self, request, context):
            self.num_asked += 1
            if self.num_asked <= len(refusals):
                context.abort(*refusals[self.num_asked - 1])
            time.sleep(seconds)
            response = get_model_status_pb2.GetModelStatusResponse()
            response.model_version_status.add(version=4, state="AVAILABLE")
            return response

    service = Service()
    server = service.server = grpc.server(ThreadPoolExecutor(4), options=list(options.items()))
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    service.url = f"grpc://127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    server.start()
    try:
        yield service
    finally:
        server.stop(0).wait()


def refused(client, message):
    with pytest.raises(ServingError, match=message) as raised:
        client.status()
    return raised.value


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_after_longer_and_longer(status):
    busy = (status, '{"error": "busy"}')
    with http_server(busy, busy, busy, FINE) as server, Client(server.url, "m") as client:
        assert client.status() == [VersionStatus(4, "AVAILABLE", "")]
    assert len(server.times) == 4
    pauses = np.diff(server.times)
    for pause, expected in zip(pauses, [0.1, 0.2, 0.4], strict=True):
        assert 0.5 * expected <= pause < 1.5 * expected + 1.0


def test_tries_end():
    with http_server((503, '{"error": "loading"}')) as server, Client(server.url, "m", max_tries=3) as client:
        message = r"'m' at http.* was asked 3 times and gave no answer: UNAVAILABLE: loading \(HTTP 503\); see that a"
        error = refused(client, message)
    assert (len(server.times), error.num_tries, error.code) == (3, 3, "UNAVAILABLE")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "INVALID_ARGUMENT"), (404, "NOT_FOUND"), (413, "RESOURCE_EXHAUSTED"), (500, "UNKNOWN"),
        (501, "UNIMPLEMENTED"), (504, "DEADLINE_EXCEEDED"),
    ],
)  # fmt: skip
def test_other_refusals_are_final(status, code):
    with http_server((status, '{"error": "no"}'), FINE) as server, Client(server.url, "m") as client:
        error = refused(client, rf"{code}: no \(HTTP {status}\)")
    assert (len(server.times), error.code) == (1, code)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, "<html>a portal</html>"), r"UNKNOWN: <html>a portal</html> \(HTTP 200\)"),
        ((502, ""), r"UNKNOWN: an empty answer \(HTTP 502\)"),
        ((302, "elsewhere"), r"UNKNOWN: elsewhere \(HTTP 302\)"),
        ((200, "[1]"), r"UNKNOWN: \[1\] \(HTTP 200\)"),
        ((200, '{"other": 7}'), r"UNKNOWN: no 'model_version_status' in \{'other': 7\}: is it TensorFlow Serving"),
    ],
)
def test_what_is_no_answer_is_shown(answer, message):
    with http_server(answer) as server, Client(server.url, "m") as client:
        refused(client, message)


@pytest.mark.parametrize("drips", [False, True])
def test_time_runs_out_over_rest(drips):
    def hang(handler):
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(40):
                time.sleep(0.1)
                if drips:
                    handler.wfile.write(b" ")

    start = time.monotonic()
    with http_server(hang) as server, Client(server.url, "m", timeout_seconds=0.4) as client:
        refused(client, r"DEADLINE_EXCEEDED: no answer within 0\.4 seconds.*raise `timeout_seconds`")
        assert time.monotonic() - start < 3
    assert len(server.times) == 1


def test_tries_fit_into_the_time():
    with http_server((429, '{"error": "busy"}')) as server:
        start = time.monotonic()
        with Client(server.url, "m", timeout_seconds=0.5, max_tries=100) as client:
            refused(client, "RESOURCE_EXHAUSTED: busy.*ask with fewer clients")
        assert time.monotonic() - start < 3
    assert 2 <= len(server.times) <= 5


def test_a_server_that_goes_away_over_rest_is_told():
    def go_away(handler):
        handler.connection.shutdown(socket.SHUT_RDWR)

    def go_away_later(handler):
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)

    for gone in (go_away, go_away_later):
        with http_server(gone) as server, Client(server.url, "m") as client:
            refused(client, r"UNAVAILABLE: the connection was lost .*see that a server runs")
        assert len(server.times) == 1


def test_a_server_that_goes_away_over_grpc_is_asked_again_and_told():
    with (
        grpc_server(seconds=2.0) as service,
        ThreadPoolExecutor(1) as pool,
        Client(service.url, "m", max_tries=3) as client,
    ):
        asked = pool.submit(client.status)
        while not service.num_asked:
            time.sleep(0.01)
        service.server.stop(0).wait()
        with pytest.raises(ServingError, match=r"was asked 3 times .*UNAVAILABLE: .*see that a server runs"):
            asked.result(30)
    assert service.num_asked == 1


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_server_that_comes_late_is_waited_for(protocol):
    port = free_port()
    with ThreadPoolExecutor(1) as pool, Client(f"{protocol}://127.0.0.1:{port}", "m", max_tries=8) as client:
        asked = pool.submit(client.status)
        time.sleep(0.4)
        with grpc_server(port=port) if protocol == "grpc" else http_server(FINE, port=port):
            assert asked.result(30) == [VersionStatus(4, "AVAILABLE", "")]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_nobody_there_is_told(protocol):
    url = f"{protocol}://127.0.0.1:{free_port()}"
    message = rf"'m' at {url} was asked 2 times and gave no answer: UNAVAILABLE: .*[Rr]efused.*see that a server runs"
    with Client(url, "m", max_tries=2) as client:
        refused(client, message)


UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_busy_server_is_asked_again_over_grpc():
    refusals = (UNAVAILABLE, "batch queue is full"), (EXHAUSTED, "Concurrent RPC limit exceeded!")
    with grpc_server(*refusals) as service, Client(service.url, "m") as client:
        assert client.status() == [VersionStatus(4, "AVAILABLE", "")]
    assert service.num_asked == 3


@pytest.mark.parametrize(
    "code", ["INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "INTERNAL", "DEADLINE_EXCEEDED"]
)
def test_other_refusals_are_final_over_grpc(code):
    with grpc_server((grpc.StatusCode[code], "no")) as service, Client(service.url, "m") as client:
        error = refused(client, f"{code}: no")
    assert (service.num_asked, error.code, error.num_tries) == (1, code, 1)


def test_too_long_a_message_stays_too_long():
    with grpc_server(**{"grpc.max_receive_message_length": 5}) as service, Client(service.url, "model") as client:
        error = refused(client, r"RESOURCE_EXHAUSTED: .*larger than max.*`quality`")
    assert (service.num_asked, error.num_tries) == (0, 1)


def test_time_runs_out_over_grpc(conformance_folder):
    with (
        DevelopmentServer(conformance_folder / "scale", rest_port=0, grpc_port=0) as server,
        Client(f"grpc://127.0.0.1:{server.grpc_port}", "scale", timeout_seconds=1.0) as client,
    ):
        assert client.ask("count", {"turns": np.int64([3])})["factor"].tolist() == [2.0]
        message = r"Signature 'count' of 'scale' at .* DEADLINE_EXCEEDED: .*raise `timeout_seconds`"
        with pytest.raises(ServingError, match=message):
            client.ask("count", {"turns": np.int64([300_000])})

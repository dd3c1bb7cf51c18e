"""A folder of exported models to a server that speaks TensorFlow Serving's REST and gRPC, for laptops and tests."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
import types
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

METRICS_PATH = "/monitoring/prometheus/metrics"
logger = logging.getLogger(__name__)


class DevelopmentServer:
    """Serves models as TensorFlow Serving does, without being it: production is `tensorflow_model_server`.

    The base folder is looked at again and again: a new version is loaded and warmed up before the old one is given up,
    requests that run finish on the old one, and a version that cannot be loaded changes nothing.

    Args:
        base_path_or_models: the folder of one model's versions, which is served under the folder's name; or a
            `models.config`; or folders by name.
        rest_port: of HTTP; 0 takes any free one.
        grpc_port: of gRPC; 0 takes any free one.
        host: the address to listen on; by default this machine only. There is no encryption and no password.
        batching: a `batching.config`, or its fields by name; by default requests are not joined.
        poll_seconds: time between two looks at the folders.
        max_queued_requests: most predictions of each protocol that run or wait; past it 429 and `RESOURCE_EXHAUSTED`.
        max_request_bytes: longest request; longer ones are answered 413 and `RESOURCE_EXHAUSTED`.
        request_timeout_seconds: longest time for a request to arrive, and then for its answer.
        idle_timeout_seconds: longest time that an HTTP connection may stay open without a request.
        metrics_path: where Prometheus reads.

    Raises:
        ImportError: if the `serving` extra is not installed.
        ValueError: if a configuration cannot be.
        FileNotFoundError: if a folder is not there.

    Example:
        >>> with DevelopmentServer("saved_models/fights", rest_port=8501):
        ...     requests.post("http://localhost:8501/v1/models/fights:predict", json={"instances": clips.tolist()})
    """

    def __init__(
        self,
        base_path_or_models: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]],
        rest_port: int = 8501,
        grpc_port: int = 8500,
        host: str = "127.0.0.1",
        batching: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        poll_seconds: float = 1.0,
        max_queued_requests: int = 256,
        max_request_bytes: int = 128 * 2**20,
        request_timeout_seconds: float = 30.0,
        idle_timeout_seconds: float = 60.0,
        metrics_path: str = METRICS_PATH,
    ) -> None:
        try:
            from sora_keras.serving.development.batching_queue import batching_options
            from sora_keras.serving.development.prediction_service import ModelService, PredictionService
            from sora_keras.serving.development.request_metrics import RequestMetrics
            from sora_keras.serving.development.rest_api import RestApi
            from sora_keras.serving.development.served_models import ServedModels
        except ImportError as error:
            raise ImportError(
                f"The development server needs more than is installed ({error}): pip install 'sora-keras[serving]'"
            ) from error
        self.host, self.rest_port, self.grpc_port = host, rest_port, grpc_port
        self._models = ServedModels(base_path_or_models, None if batching is None else batching_options(batching))
        metrics = RequestMetrics(self._models)
        # Requests that wait for others to join their batch each keep a thread.
        self._executor = ThreadPoolExecutor(64, "rest")
        self._rest_api = RestApi(
            self._models, metrics, self._executor, metrics_path, max_queued_requests, max_request_bytes,
            request_timeout_seconds,
        )  # fmt: skip
        self._services = (
            PredictionService(self._models, metrics, max_request_bytes, request_timeout_seconds),
            ModelService(self._models),
        )
        self._poll_seconds = poll_seconds
        self._max_queued_requests = max_queued_requests
        self._max_request_bytes = max_request_bytes
        self._idle_timeout_seconds = idle_timeout_seconds
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._uvicorn: Any = None
        self._grpc: Any = None

    def start(self) -> DevelopmentServer:
        """Load the models, and then open the ports.

        Returns:
            The server itself.

        Raises:
            OSError: if a port is taken.
        """
        listener = self._bind()
        try:
            self._models.poll()
            self._grpc = self._start_grpc()
        except BaseException:
            listener.close()
            self._models.close()
            raise
        self._threads = [
            threading.Thread(target=self._serve_rest, args=[listener], name="rest", daemon=True),
            threading.Thread(target=self._poll, name="poll", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        while self._uvicorn is None or not self._uvicorn.started:
            if not self._threads[0].is_alive():
                self.stop()
                raise OSError(f"HTTP cannot be served on {self.host}:{self.rest_port}.")
            time.sleep(0.002)
        logger.info("REST on %s:%d, gRPC on %s:%d", self.host, self.rest_port, self.host, self.grpc_port)
        return self

    def stop(self, grace_seconds: float = 10.0) -> None:
        """Take no more requests, let those that run finish, and give up the models.

        Args:
            grace_seconds: longest time to wait for them.
        """
        self._stopping.set()
        if self._uvicorn is not None:
            self._uvicorn.config.timeout_graceful_shutdown = grace_seconds
            self._uvicorn.should_exit = True
        if self._grpc is not None:
            self._grpc.stop(grace_seconds).wait()
        for thread in self._threads:
            thread.join(grace_seconds + 5)
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._models.close()

    def wait(self) -> None:
        """Serve until `stop`, Ctrl-C or SIGTERM, then stop."""
        interrupted = threading.Event()
        in_main_thread = threading.current_thread() is threading.main_thread()
        kept = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM) if in_main_thread else ():
                kept[number] = signal.signal(number, lambda *_: interrupted.set())
            while not interrupted.is_set() and not self._stopping.wait(0.2):
                pass
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)
        self.stop()

    def __enter__(self) -> DevelopmentServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        self.stop()

    def _bind(self) -> socket.socket:
        """Take the port at once, so that a taken one is known before models load, but do not listen yet."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # asyncio sends answers without delay only where the protocol is named.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.rest_port))
        except OSError as error:
            listener.close()
            raise OSError(f"REST port {self.rest_port} of {self.host} cannot be taken: name another.") from error
        self.rest_port = listener.getsockname()[1]
        return listener

    def _start_grpc(self) -> Any:
        import grpc
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        server = grpc.server(
            ThreadPoolExecutor(64, "grpc"),
            options=[
                ("grpc.max_receive_message_length", self._max_request_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=self._max_queued_requests,
        )
        prediction_service, model_service = self._services
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction_service, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(model_service, server)
        address = f"[{self.host}]" if ":" in self.host else self.host
        try:
            port = server.add_insecure_port(f"{address}:{self.grpc_port}")
        except RuntimeError as error:
            raise OSError(f"gRPC port {self.grpc_port} of {self.host} cannot be taken: name another.") from error
        self.grpc_port = port
        server.start()
        return server

    def _serve_rest(self, listener: socket.socket) -> None:
        import uvicorn

        # It logs each request that is no HTTP as a warning, and anyone may send those without end: errors only.
        config = uvicorn.Config(
            self._rest_api, http="h11", ws="none", loop="asyncio", lifespan="off", log_config=None, log_level="error",
            access_log=False, timeout_keep_alive=max(1, round(self._idle_timeout_seconds)), server_header=False,
        )  # fmt: skip
        self._uvicorn = uvicorn.Server(config)
        asyncio.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        sweeping = asyncio.ensure_future(self._sweep())
        try:
            await self._uvicorn.serve(sockets=[listener])
        finally:
            sweeping.cancel()

    async def _sweep(self) -> None:
        """Close connections that send no request: uvicorn waits for the first without end."""
        idle_since: dict[Any, float] = {}
        while True:
            await asyncio.sleep(self._idle_timeout_seconds / 10)
            idle = {
                connection
                for connection in self._uvicorn.server_state.connections
                if connection.cycle is None or connection.cycle.response_complete
            }
            now = time.monotonic()
            idle_since = {connection: idle_since.get(connection, now) for connection in idle}
            for connection, since in idle_since.items():
                if now - since > self._idle_timeout_seconds:
                    connection.transport.close()

    def _poll(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            try:
                self._models.poll()
            except Exception:  # whatever a folder brings up, the server lives on
                logger.exception("The folders of models cannot be looked at")

"""HTTP requests in TensorFlow Serving's REST form to its answers."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import tensorflow as tf
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from sora_keras.serving.development.json_tensors import CODE_NAMES, JsonRequest, invalid_argument, json_from_tensors
from sora_keras.serving.development.prediction_service import metadata_json, refusal
from sora_keras.serving.development.request_metrics import RequestMetrics
from sora_keras.serving.development.served_models import LARGEST_VERSION, ServedModels, VersionState

HTTP_STATUS = {
    "CANCELLED": 499, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404, "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400, "ABORTED": 409,
    "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "UNAUTHENTICATED": 401,
}  # fmt: skip
_VERSION = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)")
_GET = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?P<metadata>/metadata)?")
logger = logging.getLogger(__name__)


class RestApi:
    """An ASGI application.

    Args:
        models: what is served.
        metrics: where requests are counted.
        executor: where predictions run.
        metrics_path: where the counts are read.
        max_queued_requests: most predictions that run or wait; past it, 429.
        max_request_bytes: longest body, also unpacked; past it, 413. All bodies together may have four times as much.
        request_timeout_seconds: longest time for a body to arrive, 408, and then for its answer, 504.
    """

    def __init__(
        self,
        models: ServedModels,
        metrics: RequestMetrics,
        executor: Executor,
        metrics_path: str,
        max_queued_requests: int,
        max_request_bytes: int,
        request_timeout_seconds: float,
    ) -> None:
        self._models = models
        self._metrics = metrics
        self._executor = executor
        self._metrics_path = metrics_path
        self._places = _Budget(max_queued_requests, "requests")
        self._memory = _Budget(4 * max_request_bytes, "bytes of requests")
        self._max_request_bytes = max_request_bytes
        self._timeout_seconds = request_timeout_seconds
        # A parsed body takes many times its length; one at a time, because parsing holds the interpreter anyway.
        self._parsing = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        except tf.errors.OpError as error:
            response = _error(HTTP_STATUS.get(CODE_NAMES[error.error_code], 500), error.message)
        except Exception as error:  # whatever a request brings up, the server lives on
            logger.exception("%s %s failed", request.method, request.url.path)
            response = _error(500, f"{type(error).__name__}: {error}")
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        body = bytearray()
        with self._memory.taking() as take:
            try:
                refusal = await asyncio.wait_for(self._read(request, body, take), self._timeout_seconds)
            except asyncio.TimeoutError:
                headers = {"connection": "close"}
                return _error(408, f"The request did not arrive within {self._timeout_seconds:g} seconds", headers)
            return refusal or await self._dispatch(request, body, take)

    async def _read(self, request: Request, body: bytearray, take: Callable[[int], None]) -> Response | None:
        """Read a body to its end, also one that is refused, because a sender who is cut off never sees the answer."""
        refusal = None
        async for chunk in request.stream():
            if refusal is None and len(body) + len(chunk) > self._max_request_bytes:
                refusal = _error(413, f"The request is longer than {self._max_request_bytes} bytes")
            elif refusal is None:
                try:
                    take(len(chunk))
                    body += chunk
                except tf.errors.ResourceExhaustedError as error:
                    refusal = _error(429, error.message)
            if refusal is not None:
                take(-len(body))
                body.clear()
        return refusal

    async def _dispatch(self, request: Request, body: bytearray, take: Callable[[int], None]) -> Response:
        path = request.scope["raw_path"].decode("latin-1")
        if path == self._metrics_path:
            return Response(self._metrics.page(), media_type="text/plain; version=0.0.4")
        if not path.startswith("/v1/"):
            return HTMLResponse("<html><head><title>404 Not Found</title></head><body>Not Found</body></html>", 404)
        query = request.scope["query_string"].decode("latin-1")
        target = f"{path}?{query}" if query else path
        form = {"GET": _GET, "POST": _POST}.get(request.method)
        match = form.fullmatch(path) if form and not query else None
        if match is None:
            raise invalid_argument(f"Malformed request: {request.method} {target}")
        if match["version"] and int(match["version"].lstrip("0")[:20] or 0) > LARGEST_VERSION:
            return Response(status_code=400, media_type="application/json")
        name = unquote(match["name"] or "", errors="surrogateescape")
        version = int(match["version"].lstrip("0") or 0) if match["version"] else None
        label = unquote(match["label"], errors="surrogateescape") if match["label"] else None
        if request.method == "GET":
            return self._describe(name, version, label, bool(match["metadata"]))
        is_packed = request.headers.get("content-encoding", "").lower() == "gzip"
        deadline = time.monotonic() + self._timeout_seconds

        def answer() -> bytes:
            with self._metrics.count(name, "REST"):
                if match["verb"] != "predict":
                    return self._other(name, version, label, match["verb"], body)
                return self._predict(name, version, label, self._unpacked(body, take) if is_packed else body, deadline)

        with self._places.taking() as take_place:
            take_place(1)
            content = await asyncio.get_running_loop().run_in_executor(self._executor, answer)
        return Response(content, media_type="application/json")

    @contextmanager
    def _parsing_alone(self) -> Iterator[None]:
        """Without garbage collection, which would look at a million lists again and again and find none to free."""
        with self._parsing:
            was_enabled = gc.isenabled()
            gc.disable()
            try:
                yield
            finally:
                if was_enabled:
                    gc.enable()

    def _describe(self, name: str, version: int | None, label: str | None, metadata: bool) -> Response:
        if not name:
            raise invalid_argument("Missing model name in request.")
        if metadata:
            with self._models.servable(name, version, label) as servable:
                text = metadata_json(name, servable)
        else:
            states = [_state(state) for state in self._models.states(name, version)]
            text = json.dumps({"model_version_status": states}, indent=1, ensure_ascii=False)
        return Response(text.encode("utf-8", "replace"), media_type="application/json")

    def _unpacked(self, body: bytearray, take: Callable[[int], None]) -> bytes:
        """What a gzip body holds; one that is no gzip is read as an empty one."""
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        with self._parsing_alone():
            try:
                content = unpacker.decompress(bytes(body), self._max_request_bytes + 1)
            except zlib.error:
                return b""
            if len(content) > self._max_request_bytes:
                raise tf.errors.ResourceExhaustedError(
                    None, None, f"The request unpacks to more than {self._max_request_bytes} bytes"
                )
            take(len(content))
            return content if unpacker.eof else b""

    def _predict(
        self, name: str, version: int | None, label: str | None, body: bytes | bytearray, deadline: float
    ) -> bytes:
        with self._parsing_alone():
            request = JsonRequest(body)
        with self._models.servable(name, version, label) as servable:
            signature_name = request.signature_name or "serving_default"
            if signature_name not in servable.signatures:
                raise invalid_argument(f'Serving signature name: "{signature_name}" not found in signature def')
            with self._parsing_alone():
                tensors = request.tensors(servable.input_types(signature_name))
            request.content.clear()
            outputs = servable.run(signature_name, tensors, timeout_seconds=deadline - time.monotonic())
        return json_from_tensors(outputs, request.is_row_form)

    def _other(self, name: str, version: int | None, label: str | None, verb: str, body: bytes | bytearray) -> bytes:
        """Refuse to classify or regress: the models of this package have signatures to predict only."""
        with self._parsing_alone():
            request = JsonRequest(body)
        with self._models.servable(name, version, label) as servable:
            raise refusal(servable, verb, request.signature_name)


class _Budget:
    """How much of something all requests together may take."""

    def __init__(self, most: int, what: str) -> None:
        self._left = self._most = most
        self._what = what
        self._lock = threading.Lock()

    @contextmanager
    def taking(self) -> Iterator[Callable[[int], None]]:
        """A function that takes, or gives back, and refuses with 429 where there is no more; the end gives back all."""
        taken = 0

        def take(amount: int) -> None:
            nonlocal taken
            with self._lock:
                if amount > self._left:
                    raise tf.errors.ResourceExhaustedError(
                        None, None, f"The server holds {self._most} {self._what} already: try again later"
                    )
                self._left -= amount
                taken += amount

        try:
            yield take
        finally:
            with self._lock:
                self._left += taken


def _state(state: VersionState) -> dict[str, Any]:
    status = {"error_code": CODE_NAMES[state.error_code], "error_message": state.error_message}
    return {"version": str(state.number), "state": state.state, "status": status}


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    text = json.dumps({"error": message}, indent=4, ensure_ascii=False)
    return Response(text.encode("utf-8", "replace"), status, headers, "application/json")

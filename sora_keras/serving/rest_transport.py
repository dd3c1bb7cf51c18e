"""A question as NumPy arrays in, one HTTP request and its answer as NumPy arrays out."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np

from sora_keras.serving.serving_error import Refusal

CODES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED", 413: "RESOURCE_EXHAUSTED", 429: "RESOURCE_EXHAUSTED", 501: "UNIMPLEMENTED",
    503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
MOST_SHOWN_CHARACTERS = 500


class RestTransport:
    """TensorFlow Serving's REST interface to one model.

    Args:
        url: `http://host:port`, with a path before `/v1` if there is one.
        model_name: as it is served.
        version: the one to ask, or `None`.
        label: of the version to ask, or `None`.
    """

    def __init__(self, url: str, model_name: str, version: int | None, label: str | None) -> None:
        choice = "" if version is None else f"/versions/{version}"
        choice = choice if label is None else f"/labels/{quote(label, safe='')}"
        self._url = f"{url.rstrip('/')}/v1/models/{quote(model_name, safe='')}{choice}"
        self._http = httpx.Client()

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, str], timeout_seconds: float
    ) -> dict[str, np.ndarray]:
        """Ask a signature.

        Args:
            signature: its name.
            inputs: by name; those of bytes have the dtype `object`.
            outputs: the dtypes by name, which JSON does not tell.
            timeout_seconds: longest time for the answer.

        Returns:
            The outputs by name, strings as `str`.

        Raises:
            Refusal: if there is no answer.
        """
        content = {"signature_name": signature, "inputs": {name: _json(value) for name, value in inputs.items()}}
        values = _inside(self._ask("POST", ":predict", timeout_seconds, json.dumps(content)), "outputs")
        try:
            values = dict(zip(outputs, [values], strict=True)) if len(outputs) == 1 else values
            return {name: np.asarray(values[name], dtype) for name, dtype in outputs.items()}
        except (LookupError, TypeError, ValueError) as error:
            raise Refusal("UNKNOWN", f"the answer has not the outputs {sorted(outputs)}: {error!r}") from error

    def status(self, timeout_seconds: float) -> list[dict[str, Any]]:
        """The states of the versions, as they come."""
        return _inside(self._ask("GET", "", timeout_seconds), "model_version_status")

    def signatures(self, timeout_seconds: float) -> dict[str, Any]:
        """The signatures by name, as they come."""
        answer = self._ask("GET", "/metadata", timeout_seconds)
        return _inside(answer, "metadata", "signature_def", "signature_def")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, method: str, what: str, timeout_seconds: float, content: str | None = None) -> Any:
        try:
            status, body = self._exchange(method, self._url + what, timeout_seconds, content)
        except httpx.TimeoutException as error:
            raise Refusal("DEADLINE_EXCEEDED", f"no answer within {timeout_seconds:.3g} seconds") from error
        except httpx.ConnectError as error:
            raise Refusal("UNAVAILABLE", f"no connection ({error})", is_temporary=True) from error
        except httpx.RequestError as error:
            raise Refusal("UNAVAILABLE", f"the connection was lost ({type(error).__name__}: {error})") from error
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if status != httpx.codes.OK or not isinstance(answer, dict):
            message = answer.get("error") if isinstance(answer, dict) else None
            reason = message or body.decode("utf-8", "replace")[:MOST_SHOWN_CHARACTERS] or "an empty answer"
            raise Refusal(CODES.get(status, "UNKNOWN"), f"{reason} (HTTP {status})", is_temporary=status in (429, 503))
        return answer

    def _exchange(self, method: str, url: str, timeout_seconds: float, content: str | None) -> tuple[int, bytes]:
        """The status and the body; httpx limits the time between two pieces only, so the whole is watched here."""
        deadline = time.monotonic() + timeout_seconds
        body = bytearray()
        with self._http.stream(method, url, content=content, timeout=timeout_seconds) as response:
            for piece in response.iter_bytes():
                body += piece
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer did not end")
            return response.status_code, bytes(body)


def _inside(answer: Any, *names: str) -> Any:
    for name in names:
        if not isinstance(answer, dict) or name not in answer:
            raise Refusal("UNKNOWN", f"no {name!r} in {str(answer)[:MOST_SHOWN_CHARACTERS]}: is it TensorFlow Serving?")
        answer = answer[name]
    return answer


def _json(value: np.ndarray) -> Any:
    """Nested lists, bytes as base64."""
    if value.dtype != object:
        return value.tolist()
    return np.vectorize(lambda data: {"b64": base64.b64encode(data).decode()}, otypes=[object])(value).tolist()

"""A real HTTP server on loopback that can resume, cut, refuse and slow down, and counts what it sends."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import threading
import time

from sora_keras.data.downloading.archives import Archive


@dataclasses.dataclass
class Answer:
    """How the server answers one request: as asked, unless something else is said here."""

    status: int | None = None
    cut_after: int | None = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


class Server:
    """Offers `files`; as long as there are `answers`, it answers as they say."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.etags: dict[str, str] = {}
        self.answers: list[Answer] = []
        self.has_ranges = True
        self.says_length = True
        self.bytes_a_second: float | None = None
        self.requests: list[tuple[str, str]] = []
        self.bytes_sent = 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None: ...

            def do_GET(self) -> None:
                server.answer(self)

        class QuietServer(http.server.ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None: ...  # clients hang up on purpose here

        self._http = QuietServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def archive(self, name: str = "file.bin", **arguments: object) -> Archive:
        return Archive(f"{self.url}/{name}", has_no_https=True, **arguments)  # type: ignore[arg-type]

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.requests.append((handler.path, handler.headers.get("Range", "")))
        answer = self.answers.pop(0) if self.answers else Answer()
        content = self.files.get(handler.path)
        status, start = answer.status or (404 if content is None else 200), 0
        etag = self.etags.get(handler.path, "")
        wanted = handler.headers.get("Range")
        condition = handler.headers.get("If-Range")
        headers = dict(answer.headers)
        if status != 200:
            content = b"no"
        elif wanted and self.has_ranges and condition in (None, etag):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            status = 206 if start < len(content) else 416
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if status == 416:
                headers["Content-Range"] = f"bytes */{len(content)}"
        handler.send_response(status)
        body = b"" if status == 416 else content[start:]
        if self.says_length:
            handler.send_header("Content-Length", str(len(body)))
        else:
            handler.send_header("Connection", "close")
        if etag:
            handler.send_header("ETag", etag)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        self._send(handler, body if answer.cut_after is None else body[: answer.cut_after])
        if answer.cut_after is not None:
            handler.connection.shutdown(2)

    def _send(self, handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        piece_bytes = 1 << 16
        for start in range(0, len(body), piece_bytes):
            with contextlib.suppress(ConnectionError):
                handler.wfile.write(body[start : start + piece_bytes])
                self.bytes_sent += len(body[start : start + piece_bytes])
            if self.bytes_a_second:
                time.sleep(piece_bytes / self.bytes_a_second)

"""An exported model to a running server: TensorFlow Serving where it is there, else the development server."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sora_keras.atomic import appearing_when_whole
from sora_keras.serving.bundle import versions_in
from sora_keras.serving.deployment import (
    BATCHING_FILE,
    MODELS_FILE,
    MONITORING_FILE,
    models_config,
    server_arguments,
    write_deployment,
)

PROGRAM = "tensorflow_model_server"
IMAGE = "tensorflow/serving"


def serve(
    path: str | os.PathLike[str],
    rest_port: int = 8501,
    grpc_port: int = 8500,
    host: str = "127.0.0.1",
    is_batching: bool = False,
    is_development: bool = False,
) -> int:
    """Serve a model until it is interrupted. New versions are taken up, and the labels move on with them.

    Args:
        path: the folder of a model's versions.
        rest_port: of HTTP.
        grpc_port: of gRPC.
        host: address to listen on; `tensorflow_model_server` listens on all, whatever is said here.
        is_batching: join requests as `batching.config` says; all clips must then be equally long.
        is_development: take the development server even where TensorFlow Serving is there.

    Returns:
        The exit status of the server, 0 after an interrupt.

    Raises:
        ValueError: if there is no version.
        OSError: if a port is taken.
        ImportError: if only the development server is there, without `sora-keras[serving]`.

    Example:
        >>> serve("saved_models/fights")
    """
    base = Path(path).resolve()
    with _models_file(base) as models_file:
        if not all((base / name).exists() for name in (BATCHING_FILE, MONITORING_FILE)):
            write_deployment(base)
        if not is_development and (
            command := server_command(base, models_file, rest_port, grpc_port, host, is_batching)
        ):
            _say(shlex.join(command))
            return _run(command)
        why = "as asked for" if is_development else f"because neither {PROGRAM} nor an image {IMAGE} is here"
        _say(f"This is the development server, for trying out, {why}.")
        return _develop(base, models_file, rest_port, grpc_port, host, is_batching)


def server_command(
    path: str | os.PathLike[str],
    models_file: Path,
    rest_port: int,
    grpc_port: int,
    host: str,
    is_batching: bool = False,
) -> list[str] | None:
    """What starts TensorFlow Serving here.

    Args:
        path: the folder of a model's versions.
        models_file: a `models.config` in which the folder has the same path.
        rest_port: of HTTP.
        grpc_port: of gRPC.
        host: address to listen on, for a container.
        is_batching: join requests.

    Returns:
        The program of the PATH, or else the first image in Docker, with their arguments; None if neither is here.

    Example:
        >>> server_command("saved_models/fights", models_file, 8501, 8500, "127.0.0.1")
    """
    base = Path(path).resolve()
    arguments = server_arguments(os.fspath(models_file), os.fspath(base), is_batching)
    if program := shutil.which(PROGRAM):
        return [program, f"--port={grpc_port}", f"--rest_api_port={rest_port}", *arguments]
    if (image := _image()) is None:
        return None
    address = f"[{host}]" if ":" in host else host
    # The image's own entry point is a script that would keep signals from the server.
    return [
        "docker", "run", "--rm", "--init", "--entrypoint", PROGRAM,
        "--publish", f"{address}:{rest_port}:8501", "--publish", f"{address}:{grpc_port}:8500",
        *(word for folder in (base, models_file.parent)
          for word in ("--mount", f"type=bind,source={folder},target={folder},readonly")),
        image, "--port=8500", "--rest_api_port=8501", *arguments,
    ]  # fmt: skip


def _image() -> str | None:
    """An image of TensorFlow Serving that need not be pulled."""
    if shutil.which("docker") is None:
        return None
    command = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", IMAGE]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode:
        _say(f"Docker gives no images: {listed.stderr.strip()}")
    return next(iter(listed.stdout.split()), None)


@contextlib.contextmanager
def _models_file(base: Path) -> Iterator[Path]:
    """A `models.config` with the folder's path on this machine, written again whenever a version comes or goes."""
    ended = threading.Event()

    def write(file: Path) -> None:
        with appearing_when_whole(file) as unfinished:
            unfinished.write_text(models_config(base, os.fspath(base)), encoding="utf-8")

    def keep_current(file: Path, versions: list[int]) -> None:
        while not ended.wait(1.0):
            now = versions_in(base)
            if now and now != versions:
                write(file)
                versions = now

    with tempfile.TemporaryDirectory(prefix="sora-keras-serve-") as folder:
        Path(folder).chmod(0o755)  # a container's user must read it
        file = Path(folder) / MODELS_FILE
        versions = versions_in(base)
        write(file)
        thread = threading.Thread(target=keep_current, args=[file, versions], daemon=True)
        thread.start()
        try:
            yield file
        finally:
            ended.set()
            thread.join()


def _run(command: list[str]) -> int:
    """Run it to its end; whoever ends this process ends it, too."""
    if Path(command[0]).name == PROGRAM:
        _say(f"{PROGRAM} listens on all addresses of this machine, and asks for no password.")
    process = subprocess.Popen(command)
    kept = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        return 0
    finally:
        signal.signal(signal.SIGTERM, kept)


def _develop(base: Path, models_file: Path, rest_port: int, grpc_port: int, host: str, is_batching: bool) -> int:
    from sora_keras.serving.development import DevelopmentServer

    batching = base / BATCHING_FILE if is_batching else None
    server = DevelopmentServer(models_file, rest_port, grpc_port, host, batching).start()
    address = f"[{host}]" if ":" in host else host
    url = f"http://{address}:{server.rest_port}/v1/models/{quote(base.name, safe='')}"
    _say(f"REST {url}, gRPC {address}:{server.grpc_port}; Ctrl-C ends it.")
    server.wait()
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

"""An exported model to a running server: TensorFlow Serving where it is there, else the development server."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from sora_keras.serving.deployment import (
    BATCHING_FILE,
    MODELS_FILE,
    MOUNTED,
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
    is_development: bool = False,
) -> int:
    """Serve a model until it is interrupted, with the batching and the labels of the files beside it.

    Args:
        path: the folder of a model's versions.
        rest_port: of HTTP.
        grpc_port: of gRPC.
        host: address to listen on; `tensorflow_model_server` listens on all whatever is said here.
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
    with tempfile.TemporaryDirectory(prefix="sora-keras-serve-") as folder:
        models_file = Path(folder) / MODELS_FILE
        models_file.write_text(models_config(base, os.fspath(base)), encoding="utf-8")
        if not (base / BATCHING_FILE).exists():
            write_deployment(base)
        command = None if is_development else server_command(base, models_file, rest_port, grpc_port, host)
        if command:
            _say(shlex.join(command))
            return _run(command)
        why = "as asked for" if is_development else f"because neither {PROGRAM} nor the image {IMAGE} is here"
        _say(f"This is the development server, for trying out, {why}.")
        return _develop(base, models_file, rest_port, grpc_port, host)


def server_command(
    path: str | os.PathLike[str], models_file: Path, rest_port: int, grpc_port: int, host: str
) -> list[str] | None:
    """What starts TensorFlow Serving here.

    Args:
        path: the folder of a model's versions.
        models_file: a `models.config` with the folder as this machine knows it.
        rest_port: of HTTP.
        grpc_port: of gRPC.
        host: address to listen on, for a container.

    Returns:
        The program of the PATH, or else the image in Docker, with their arguments; None if neither is here.

    Example:
        >>> server_command("saved_models/fights", models_file, 8501, 8500, "127.0.0.1")
    """
    base = Path(path).resolve()
    if program := shutil.which(PROGRAM):
        ports = [f"--port={grpc_port}", f"--rest_api_port={rest_port}"]
        return [program, *ports, *server_arguments(os.fspath(models_file), os.fspath(base))]
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True).returncode:
        return None
    address = f"[{host}]" if ":" in host else host
    folder = f"{MOUNTED}/{base.name}"
    return [
        docker, "run", "--rm", "--init",
        "--publish", f"{address}:{rest_port}:8501", "--publish", f"{address}:{grpc_port}:8500",
        "--mount", f"type=bind,source={base},target={folder},readonly",
        IMAGE, *server_arguments(f"{folder}/{MODELS_FILE}", folder),
    ]  # fmt: skip


def _run(command: list[str]) -> int:
    """Run it to its end; whoever ends this process ends it, too."""
    process = subprocess.Popen(command)
    kept = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        return 0
    finally:
        signal.signal(signal.SIGTERM, kept)


def _develop(base: Path, models_file: Path, rest_port: int, grpc_port: int, host: str) -> int:
    from sora_keras.serving.development import DevelopmentServer

    server = DevelopmentServer(models_file, rest_port, grpc_port, host, batching=base / BATCHING_FILE).start()
    address = f"[{host}]" if ":" in host else host
    url = f"http://{address}:{server.rest_port}/v1/models/{quote(base.name, safe='')}"
    _say(f"REST {url}, gRPC {address}:{server.grpc_port}; Ctrl-C ends it.")
    server.wait()
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

"""A dispatcher or a worker of a tf.data service, run until it is stopped."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import threading
import time

_SECONDS_OF_A_GOOD_START = 10.0
_BAD_STARTS_ALLOWED = 3
_SECONDS_BEFORE_STARTING_AGAIN = 1.0


def run_dispatcher(port: int, work_dir: str | os.PathLike[str] | None = None) -> None:
    """Run the dispatcher of a tf.data service until the process is stopped, and print its address.

    Args:
        port: where it listens; 0 takes a free port.
        work_dir: a folder for its journal, to go on where it was when it is started again.

    Example:
        >>> run_dispatcher(port=5050)
        grpc://localhost:5050
    """
    from sora_keras.data.service import start_dispatcher

    dispatcher = start_dispatcher(port, work_dir)
    print(dispatcher.target, flush=True)
    threading.Event().wait()  # unlike the server's own `join`, it ends at Ctrl-C


def run_worker(dispatcher: str, port: int = 0, address: str | None = None) -> None:
    """Run a worker of a tf.data service until the process is stopped, and start it again whenever it dies.

    It works in a child process, which a broken video or a lack of memory may kill. Started again under the same
    address, it goes on with its share of the epoch, which would wait for it without end.

    Args:
        dispatcher: address of the dispatcher, `"host:port"` or `"grpc://host:port"`.
        port: where it listens; 0 takes a free port.
        address: `"host"` or `"host:port"` at which clients reach this worker; by default `localhost`, which holds only
            where client, dispatcher and workers share one machine.

    Raises:
        RuntimeError: if it dies three times within seconds of being started.

    Example:
        >>> run_worker("trainer:5050", port=5051, address="decoder7")
        worker of trainer:5050 at decoder7:5051, process 4711
    """
    port = port or _free_port()
    address = address or "localhost"
    if not address.rpartition(":")[2].isdecimal():
        address = f"{address}:{port}"
    context = multiprocessing.get_context("spawn")
    bad_starts = 0
    while bad_starts < _BAD_STARTS_ALLOWED:
        started = time.monotonic()
        process = context.Process(target=_serve, args=(dispatcher, port, address), daemon=True)
        process.start()
        print(f"worker of {dispatcher} at {address}, process {process.pid}", flush=True)
        process.join()
        is_good = time.monotonic() - started > _SECONDS_OF_A_GOOD_START
        bad_starts = 0 if is_good else bad_starts + 1
        print(f"worker of {dispatcher} at {address} died, exit code {process.exitcode}", file=sys.stderr, flush=True)
        time.sleep(_SECONDS_BEFORE_STARTING_AGAIN)
    raise RuntimeError(
        f"The worker at {address} died {bad_starts} times within {_SECONDS_OF_A_GOOD_START:g} s of its start, the last "
        f"time with exit code {process.exitcode}: see its messages above."
    )


def _serve(dispatcher: str, port: int, address: str) -> None:
    """The child: a worker that ends when its parent does."""
    from sora_keras.data.service import start_worker

    worker = start_worker(dispatcher, port, address)
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    del worker


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("", 0))
        port: int = listening.getsockname()[1]
        return port

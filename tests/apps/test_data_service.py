"""The two commands of a tf.data service, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from sora_keras.data import Row
from sora_keras.data.clip_reader import ClipReader
from sora_keras.data.service import clips_from_service
from sora_keras.video import ClipSpec, write_video

DISPATCHER = "from sora_keras.apps.data_service import run_dispatcher; run_dispatcher(0)"
WORKER = "import sys; from sora_keras.apps.data_service import run_worker; run_worker(sys.argv[1])"


@contextlib.contextmanager
def running(source: str, *arguments: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A process and the first line it prints."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        [sys.executable, "-c", source, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment,
    )  # fmt: skip
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process_id}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def reader(tmp_path) -> ClipReader:
    rows = []
    for number in range(10):
        rows.append(Row(str(tmp_path / f"{number}.mp4")))
        write_video(rows[-1].path, np.full((8, 16, 16, 3), 20 * number, np.uint8))
    return ClipReader(rows, ClipSpec(4, 16, 16))


@pytest.mark.slow
def test_a_killed_worker_is_started_again_and_the_epoch_ends(reader):
    order = np.arange(400) % 10
    with (
        running(DISPATCHER) as (_, address),
        running(WORKER, address) as (_, first),
        running(WORKER, address) as (second_process, second),
    ):
        assert first.startswith(f"worker of {address} at localhost:")
        records = clips_from_service(reader, order, address, shuffle=True, seed=1)
        whole = dict.fromkeys(range(10), 40)
        assert Counter(int(index) for _, index in records.as_numpy_iterator()) == whole
        counts: Counter[int] = Counter()
        for number, (_, index) in enumerate(records.as_numpy_iterator()):
            counts[int(index)] += 1
            if number == 50:
                os.kill(int(second.rpartition(" ")[2]), signal.SIGKILL)
        assert max(counts.values()) <= 40
        assert counts.total() > 300
        assert second_process.stdout.readline().startswith(f"worker of {address} at localhost:")
        assert Counter(int(index) for _, index in records.as_numpy_iterator()) == whole


def test_a_worker_ends_with_its_parent():
    with running(DISPATCHER) as (_, address), running(WORKER, address) as (process, line):
        child = int(line.rpartition(" ")[2])
        assert is_running(child)
        process.kill()
        deadline = time.monotonic() + 60
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not is_running(child)


@pytest.mark.slow
def test_a_worker_that_cannot_start():
    # No address: the child fails at once, each time.
    source = "import sys; from sora_keras.apps.data_service import run_worker; run_worker('nowhere', 7000)"
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=180)
    assert ended.returncode == 1
    assert "The worker at localhost:7000 died 3 times within 10 s of its start" in ended.stderr

"""A tf.data service of real processes on loopback: each worker is a Python process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sora_keras.data import Faults, Row, read_manifest
from sora_keras.data.clip_reader import ClipReader
from sora_keras.data.faults import TooManyFaultsError
from sora_keras.data.service import clips_from_service, start_dispatcher, start_worker
from sora_keras.video import ClipSpec, VideoError

SPEC = ClipSpec(4, 16, 16)

WORKER = """
import sys
from sora_keras.data.service import start_worker
worker = start_worker(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def worker_process(dispatcher: str, source: str = WORKER) -> Iterator[subprocess.Popen]:
    """A worker in a process of its own, which ends with its standard input."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        [sys.executable, "-c", source, dispatcher],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Address of a dispatcher with two workers."""
    dispatcher = start_dispatcher(port=0)
    with worker_process(dispatcher.target), worker_process(dispatcher.target):
        yield dispatcher.target


@pytest.fixture
def make_reader(gray_videos) -> Callable[..., ClipReader]:
    def make(**options) -> ClipReader:
        rows = [Row(str(path), path.parent.name) for path in sorted(gray_videos.glob("*/*.mp4"))]
        return ClipReader(rows, SPEC, **options)

    return make


def epoch_of(records) -> list[tuple[int, bytes]]:
    return [(int(index), record.tobytes()) for record, index in records.as_numpy_iterator()]


class TestEpochs:
    def test_each_clip_exactly_once_and_the_same_as_read_here(self, service, make_reader):
        reader = make_reader()
        order = np.arange(len(reader.rows))
        records = clips_from_service(reader, order, service, shuffle=True, seed=3)
        expected = {(index, reader.read(index, 0).tobytes()) for index in order.tolist()}
        for _ in range(3):
            epoch = epoch_of(records)
            assert len(epoch) == len(order)
            assert set(epoch) == expected

    def test_only_the_rows_that_are_asked_for(self, service, make_reader):
        records = clips_from_service(make_reader(), np.array([7, 2, 11, 2]), service, shuffle=False)
        assert Counter(index for index, _ in epoch_of(records)) == {7: 1, 2: 2, 11: 1}

    def test_random_clips_are_new_at_each_epoch_and_the_same_at_each_run(self, service, make_reader):
        reader = make_reader(sampling="random_window")
        order = np.arange(len(reader.rows))
        runs = [clips_from_service(reader, order, service, shuffle=True, seed=seed) for seed in (5, 5, 6, None)]
        first, again, other, unseeded = ([dict(epoch_of(records)) for _ in range(2)] for records in runs)
        assert first == again
        assert first[0] != first[1]
        assert first[0] != other[0]
        assert unseeded[0] != unseeded[1]

    def test_parts_of_videos_features_and_sound(self, service, gray_videos, read_gray):
        path = str(gray_videos / "bee" / "6.mp4")
        rows = [Row(path, start_seconds=0.5), Row(path, end_seconds=0.5)]
        reader = ClipReader(rows, SPEC, features=["color"], sound_samples=400)
        parts = {}
        for record, index in clips_from_service(reader, np.arange(2), service, False).as_numpy_iterator():
            frames, others = record[: 4 * 16 * 16 * 3].reshape(SPEC.shape), record[4 * 16 * 16 * 3 :]
            assert len(others) == 4 * 4 * reader.num_features + 4 * 2 * 400
            np.testing.assert_array_equal(record, reader.read(int(index), 0))
            parts[int(index)] = [number for _, number in read_gray(frames)]
        assert parts == {0: [4, 5, 6, 7], 1: [0, 1, 2, 3]}

    def test_both_workers_work(self, make_reader):
        dispatcher = start_dispatcher(port=0)
        # What such a worker reads is its process's number.
        source = WORKER.replace("worker =", "import os, numpy as np\nfrom sora_keras.data import service\n"
            "service.ClipReader.read_itself = lambda self, index, seed: "
            "np.full(self.record_bytes, os.getpid() % 251, np.uint8)\nworker =")  # fmt: skip
        with worker_process(dispatcher.target, source) as first, worker_process(dispatcher.target, source) as second:
            order = np.arange(400) % 15
            records = clips_from_service(make_reader(), order, dispatcher.target, shuffle=True)
            readers = Counter(record[0] for _, record in epoch_of(records))
        assert set(readers) == {first.pid % 251, second.pid % 251}
        assert sum(readers.values()) == 400

    @pytest.mark.real_data
    def test_real_videos(self, service, real_data):
        rows = read_manifest(real_data / "fights" / "clips.csv")[:40]
        reader = ClipReader(rows, ClipSpec(8, 64, 64), sampling="random_window")
        records = clips_from_service(reader, np.arange(40), service, shuffle=True, seed=0)
        epochs = [dict(epoch_of(records)) for _ in range(2)]
        assert epochs[0].keys() == epochs[1].keys() == set(range(40))
        assert all(epochs[0][index] != epochs[1][index] for index in range(40))


class TestFaults:
    def test_broken_videos_are_skipped_and_named_here(self, service, make_reader):
        reader = make_reader(faults=Faults(max_failures=0.5))
        reader.faults.expect(reader.rows)
        Path(reader.rows[4].path).write_text("no video")
        Path(reader.rows[9].path).unlink()
        records = clips_from_service(reader, np.arange(15), service, shuffle=True)
        for _ in range(2):
            assert {index for index, _ in epoch_of(records)} == set(range(15)) - {4, 9}
        assert {fault.path for fault in reader.faults} == {reader.rows[4].path, reader.rows[9].path}
        assert ["there is no such file" in fault.reason for fault in reader.faults].count(True) == 1

    def test_substitutes_are_read_here(self, service, make_reader):
        reader = make_reader(faults=Faults(policy="substitute", max_failures=0.5))
        reader.faults.expect(reader.rows)
        Path(reader.rows[7].path).write_text("no video")
        epoch = dict(epoch_of(clips_from_service(reader, np.arange(15), service, shuffle=False)))
        assert set(epoch) == set(range(15))
        assert epoch[7] in [epoch[index] for index in (5, 6, 8, 9)]

    @pytest.mark.parametrize(
        ("faults", "error"),
        [(Faults(policy="raise"), VideoError.__name__), (Faults(max_failures=0.1), TooManyFaultsError.__name__)],
    )
    def test_too_many(self, service, make_reader, faults, error):
        reader = make_reader(faults=faults)
        reader.faults.expect(reader.rows)
        for number in (3, 8, 12):
            Path(reader.rows[number].path).write_text("no video")
        with pytest.raises(Exception, match=rf"{error}(.|\n)*\d+\.mp4"):
            epoch_of(clips_from_service(reader, np.arange(15), service, shuffle=False))


class TestWorkers:
    def test_epochs_do_not_wait_for_a_worker_that_is_gone(self, make_reader):
        dispatcher = start_dispatcher(port=0)
        records = clips_from_service(make_reader(), np.arange(15), dispatcher.target, shuffle=True)
        with worker_process(dispatcher.target):
            assert len(epoch_of(records)) == 15
        with worker_process(dispatcher.target):
            assert len(epoch_of(records)) == 15

    def test_another_version(self, make_reader):
        dispatcher = start_dispatcher(port=0)
        source = WORKER.replace(
            "worker =", 'from sora_keras.data import service\nservice.__version__ = "0.0.7"\nworker ='
        )
        with worker_process(dispatcher.target, source), pytest.raises(Exception, match=r"this worker 0\.0\.7"):
            epoch_of(clips_from_service(make_reader(), np.arange(15), dispatcher.target, shuffle=True))

    def test_not_the_first_in_its_process(self):
        code = (
            "import numpy as np, tensorflow as tf\nfrom sora_keras.data.service import start_worker\n"
            "kept = tf.data.Dataset.range(1).map(lambda x: tf.numpy_function(np.abs, [x], tf.int64))\n"
            "start_worker('localhost:1')"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert ended.returncode == 1
        assert "expected the token pyfunc_0, received [b'pyfunc_1']" in ended.stderr

    def test_nobody_answers(self, make_reader):
        with socket.socket() as taken:
            taken.bind(("localhost", 0))
            address = f"grpc://localhost:{taken.getsockname()[1]}"
            with pytest.raises(ConnectionError, match=f"No dispatcher of a tf.data service answers at {address}"):
                clips_from_service(make_reader(), np.arange(15), address, shuffle=True)

    @pytest.mark.parametrize("address", ["localhost", "http://localhost:5050", "grpc://:5050", "localhost:port"])
    def test_address(self, address, make_reader):
        with pytest.raises(ValueError, match=rf"must be 'grpc://host:port', received '{address}'"):
            clips_from_service(make_reader(), np.arange(15), address, shuffle=True)
        with pytest.raises(ValueError, match=f"received '{address}'"):
            start_worker(address)

    def test_a_dispatcher_goes_on_from_its_journal(self, make_reader, tmp_path):
        dispatcher = start_dispatcher(port=0, work_dir=tmp_path / "journal")
        with worker_process(dispatcher.target):
            records = clips_from_service(make_reader(), np.arange(15), dispatcher.target, shuffle=True)
            assert len(epoch_of(records)) == 15
            port = int(dispatcher.target.rpartition(":")[2])
            dispatcher._stop()
            del dispatcher
            again = start_dispatcher(port=port, work_dir=tmp_path / "journal")
            assert len(epoch_of(records)) == 15
            del again

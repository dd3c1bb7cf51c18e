import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from sora_keras.training.distribution import ADDRESSES, NUM_PROCESSES, PROCESS_ID, distributed, share_of_process

# Trains the default layers for a few steps and prints the losses. Rows in order, so that batches are the same.
SCRIPT = """
import os, sys
mode = sys.argv[1]
import keras, numpy as np
if mode == "mirrored":
    import tensorflow as tf
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
import json
from sora_keras.models import SoraBackbone, SoraClassifier
from sora_keras.training.distribution import distributed, share_of_process
from sora_keras.video import ClipSpec

rng = np.random.default_rng(0)
clips = rng.integers(0, 256, (12, 5, 16, 16, 3), dtype=np.uint8)
labels = rng.integers(0, 2, 12)
devices = ["cpu:0", "cpu:1"] if mode in ("mirrored", "two devices") else None
with distributed(devices) as num_devices:
    keras.utils.set_random_seed(3)
    backbone = SoraBackbone(ClipSpec(5, 16, 16), filters=(4, 8), units=(6,))
    model = SoraClassifier(backbone, ["a", "b"], dropout=0)
    rows, batch_size = share_of_process(range(12), 4)
    rows = np.array(rows)
    history = model.fit(clips[rows], labels[rows], batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
total = float(sum(np.abs(weight).sum() for weight in model.get_weights()))
print(json.dumps({"loss": history.history["loss"], "devices": num_devices, "weights": total}))
"""


def start(mode, **environment):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, mode], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def finish(*processes):
    answers = []
    for process in processes:
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-3000:]
        answers.append(json.loads(output.splitlines()[-1]))
    return answers


def jax_environment(**environment):
    pytest.importorskip("jax", reason="jax is not installed")
    return {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", **environment}


def check_same_training(answers, alone, num_devices):
    for answer in answers:
        assert answer["devices"] == num_devices
        np.testing.assert_allclose(answer["loss"], alone["loss"], rtol=1e-4)
        assert answer["weights"] == pytest.approx(alone["weights"], rel=1e-4)
    assert alone["devices"] == 1
    assert alone["loss"][0] != alone["loss"][1]


@pytest.mark.slow
def test_two_devices_of_tensorflow_train_as_one():
    [mirrored, alone] = finish(start("mirrored"), start("alone"))
    check_same_training([mirrored], alone, 2)


@pytest.mark.slow
def test_two_devices_of_jax_train_as_one():
    flags = "--xla_force_host_platform_device_count=2"
    [parallel, alone] = finish(
        start("two devices", **jax_environment(XLA_FLAGS=flags)), start("alone", **jax_environment())
    )
    check_same_training([parallel], alone, 2)


@pytest.mark.slow
def test_two_processes_train_as_one():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    variables = jax_environment(JAX_CPU_COLLECTIVES_IMPLEMENTATION="gloo", **{ADDRESSES: address, NUM_PROCESSES: "2"})
    workers = [start("processes", **variables, **{PROCESS_ID: str(index)}) for index in range(2)]
    [*shared, alone] = finish(*workers, start("alone", **jax_environment()))
    check_same_training(shared, alone, 2)


def test_one_device_changes_nothing(monkeypatch):
    monkeypatch.delenv(ADDRESSES, raising=False)
    with distributed(["cpu:0"]) as num_devices:
        assert num_devices == 1
    assert share_of_process("abcde", 3) == (list("abcde"), 3)


def test_processes_share_every_batch(monkeypatch):
    monkeypatch.setenv(ADDRESSES, "127.0.0.1:1")
    monkeypatch.setenv(NUM_PROCESSES, "3")
    rows, shares = list(range(20)), []
    for process_id in range(3):
        monkeypatch.setenv(PROCESS_ID, str(process_id))
        share, batch_size = share_of_process(rows, 6)
        assert batch_size == 2
        shares.append(share)
    assert [len(share) for share in shares] == [6, 6, 6]
    for step in range(3):
        batch = [row for share in shares for row in share[2 * step : 2 * step + 2]]
        assert sorted(batch) == rows[6 * step : 6 * step + 6]


def test_bad_arguments_are_named(monkeypatch):
    monkeypatch.setenv(ADDRESSES, "127.0.0.1:1")
    monkeypatch.setenv(NUM_PROCESSES, "3")
    with pytest.raises(ValueError, match=r"batch of 32 cannot be shared evenly by 3 processes"):
        share_of_process([], 32)
    with pytest.raises(ValueError, match=r"need the JAX backend, received 'tensorflow'"), distributed():
        pass


@pytest.mark.slow
def test_devices_beside_several_processes_are_refused():
    process = start("two devices", **jax_environment(**{ADDRESSES: "127.0.0.1:1", NUM_PROCESSES: "2"}))
    _, errors = process.communicate(timeout=240)
    assert "leave out `devices`, received ['cpu:0', 'cpu:1']" in errors

import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from sora_keras.training import read_log, training_callbacks

FIT = """
import sys, os, signal
import keras, numpy as np
from sora_keras.training import training_callbacks
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.01), "mse")
x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
y = x.sum(1)
class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
history = model.fit(x, y, validation_data=(x, y), epochs=6, verbose=0, shuffle=False,
                    callbacks=[*training_callbacks(sys.argv[1]), Kill()])
print("epochs", history.epoch)
np.save(sys.argv[3], np.concatenate([w.ravel() for w in model.get_weights()]))
"""


def fit(directory, kill_at, weights):
    command = [sys.executable, "-c", FIT, directory, str(kill_at), weights]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})


def test_after_a_kill_the_same_command_goes_on(tmp_path):
    unbroken = fit(tmp_path / "unbroken", -1, tmp_path / "unbroken.npy")
    assert "epochs [0, 1, 2, 3, 4, 5]" in unbroken.stdout, unbroken.stderr
    assert fit(tmp_path / "killed", 4, tmp_path / "killed.npy").returncode == -signal.SIGKILL
    assert not (tmp_path / "killed.npy").exists()
    resumed = fit(tmp_path / "killed", -1, tmp_path / "killed.npy")
    assert "epochs [4, 5]" in resumed.stdout, resumed.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "killed.npy"), np.load(tmp_path / "unbroken.npy"))
    log = (tmp_path / "killed" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["epoch", "0", "1", "2", "3", "4", "5"]
    assert not (tmp_path / "killed" / "state.npz").exists()


WORSENING = FIT.replace('"mse")', '"mse", metrics=[])').replace(
    "history = model.fit(x, y, validation_data=(x, y)", "history = model.fit(x, y, validation_data=(x, 0 * y)"
)


def test_the_best_epoch_outlives_a_kill(tmp_path, monkeypatch):
    """Validation wants zeros, so the first epoch stays the best, before the kill and after it."""
    monkeypatch.setitem(globals(), "FIT", WORSENING)
    unbroken = fit(tmp_path / "unbroken", -1, tmp_path / "unbroken.npy")
    assert "epochs [0, 1, 2, 3, 4, 5]" in unbroken.stdout, unbroken.stderr
    assert fit(tmp_path / "killed", 3, tmp_path / "killed.npy").returncode == -signal.SIGKILL
    resumed = fit(tmp_path / "killed", -1, tmp_path / "killed.npy")
    assert "epochs [3, 4, 5]" in resumed.stdout, resumed.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "killed.npy"), np.load(tmp_path / "unbroken.npy"))
    first = (tmp_path / "unbroken" / "log.csv").read_text().splitlines()
    losses = [float(line.split(",")[-1]) for line in first[1:]]
    assert losses[0] == min(losses)


@pytest.fixture
def model():
    symbolic = keras.Input((1,))
    model = keras.Model(symbolic, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(symbolic))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def test_best_weights_come_back_and_the_rate_falls(model, tmp_path):
    x = np.ones((4, 1), "float32")
    # Training pulls the weight from 1 to 3, and validation is best at 1: every epoch makes it worse.
    callbacks = training_callbacks(tmp_path, patience=4)
    history = model.fit(x, 3 * x, validation_data=(x, x), epochs=50, verbose=0, callbacks=callbacks)
    assert len(history.epoch) == 5
    assert history.history["learning_rate"] == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05])
    [weight] = model.get_weights()[0].ravel()
    assert weight == pytest.approx(1 + 0.1 * 2 * 2)  # after the first epoch, the least bad


def test_a_second_training_starts_its_log_anew(model, tmp_path):
    x = np.ones((4, 1), "float32")
    for _ in range(2):
        model.fit(x, x, validation_data=(x, x), epochs=3, verbose=0, callbacks=training_callbacks(tmp_path))
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    assert any((tmp_path / "tensorboard").rglob("events.out.tfevents*"))


def test_epochs_say_how_long_they_took(model, tmp_path):
    x, began = np.ones((4, 1), "float32"), time.perf_counter()
    history = model.fit(x, x, validation_data=(x, x), epochs=2, verbose=0, callbacks=training_callbacks(tmp_path))
    seconds = history.history["seconds"]
    assert min(seconds) > 0
    assert sum(seconds) < time.perf_counter() - began
    assert read_log(tmp_path / "log.csv")["seconds"] == seconds


def test_nan_ends_training(model, tmp_path):
    x = np.full((4, 1), np.nan, "float32")
    history = model.fit(x, x, validation_data=(x, x), epochs=9, verbose=0, callbacks=training_callbacks(tmp_path))
    assert len(history.epoch) == 1


def test_patience_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="at least 1 epoch, received -2"):
        training_callbacks(tmp_path, patience=-2)

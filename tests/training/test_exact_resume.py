"""Trainings in processes of their own, killed for real, against one that was not."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from sora_keras.data import make_moving_digits
from sora_keras.training import ExactResume
from sora_keras.training.exact_resume import epochs_before

EPOCHS = 5
BATCHES = 5  # an epoch
FIT = f"""
import os, signal, sys
import keras, numpy as np
from sora_keras.data import Faults, video_dataset_from_directory
from sora_keras.layers import ClipAugmentation
from sora_keras.models import SoraBackbone, SoraClassifier
from sora_keras.training import compile_for_training, make_deterministic, training_callbacks
from sora_keras.video import ClipSpec
import sora_keras.training.exact_resume as resume

folder, to, kill_at, cached, optimizer = sys.argv[1:]
make_deterministic(3)
spec = ClipSpec(4, 16, 16, frames_per_second=8.0)
train, validation = video_dataset_from_directory(
    folder, spec, batch_size=8, seed=3, validation_split=0.25, subset="both", sampling="random_window",
    cache=cached == "cached", faults=Faults(to + "/faults.jsonl", max_failures=0.5),
)
backbone = SoraBackbone(spec, filters=(4, 8), dropout=0.3)
augmentation = ClipAugmentation([keras.layers.RandomTranslation(0.1, 0.1), keras.layers.RandomBrightness(0.2)])
frames = keras.Input((4, 16, 16, 3), dtype="uint8")
embedding = keras.layers.Dropout(0.3)(backbone(augmentation(frames))["embedding"])
model = keras.Model(frames, keras.layers.Dense(len(train.class_names))(embedding))
model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
averaging = dict(ema_momentum=0.9, accumulation_steps=2, clip_norm=1.0, weight_decay=0.01)
compile_for_training(model, 0.02, **(averaging if optimizer == "averaging" else {{}}))

when, number = kill_at.split(":")
number = int(number)
def kill():
    os.kill(os.getpid(), signal.SIGKILL)

class Kill(keras.callbacks.Callback):
    steps = 0
    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if when == "step" and self.steps == number:
            kill()
    def on_epoch_end(self, epoch, logs=None):
        if when == "epoch_end" and epoch == number:
            kill()
    def on_train_end(self, logs=None):
        if when == "train_end":
            kill()

savez, saved = np.savez, []
def savez_and_kill(file, *positional, **arrays):
    savez(file, *positional, **arrays)
    saved.append(file)
    if when == "writing" and len(saved) == number:
        os.truncate(file, os.path.getsize(file) // 2)
        kill()
resume.np.savez = savez_and_kill

callbacks = training_callbacks(to, patience=2, model=model, epoch_order=train.epoch_order)
callbacks.insert(-1, Kill())
history = model.fit(train, validation_data=validation, epochs={EPOCHS}, verbose=0, callbacks=callbacks, shuffle=False)
np.savez(to + "/final.npz", *model.get_weights())
print("epochs", history.epoch)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten digits a direction; one video is broken, which the first run finds and the second one knows."""
    folder = make_moving_digits(48, tmp_path_factory.mktemp("data") / "digits", seed=1, num_frames=12, size=24)
    next(folder.glob("up/*.mp4")).write_bytes(b"no video")
    return folder


def fit(folder, to, kill_at="never:0", cached="cached", optimizer="plain"):
    to.mkdir(exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-c", FIT, folder, to, kill_at, cached, optimizer]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)


def log(to):
    """The lines of the log, without what no two runs share."""
    with open(to / "log.csv", newline="") as file:
        return [{name: text for name, text in line.items() if name != "seconds"} for line in csv.DictReader(file)]


@pytest.fixture(scope="module")
def unbroken(folder, tmp_path_factory):
    """The folder of an unbroken training of that data and optimizer, each trained once."""
    trained = {}

    def train(cached, optimizer):
        if (cached, optimizer) not in trained:
            to = tmp_path_factory.mktemp("unbroken")
            done = fit(folder, to, cached=cached, optimizer=optimizer)
            assert "epochs [0" in done.stdout, done.stderr
            trained[cached, optimizer] = to
        return trained[cached, optimizer]

    return train


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "cached", "optimizer"),
    [
        (["step:1", "step:13"], "cached", "plain"),
        (["step:7", "epoch_end:2", "writing:2", "train_end:0"], "cached", "averaging"),
        (["step:8", "epoch_end:1"], "decoded", "plain"),
    ],
)
def test_killed_and_started_again_it_ends_with_the_same_bits(folder, unbroken, tmp_path, kills, cached, optimizer):
    for kill_at in kills:
        killed = fit(folder, tmp_path, kill_at, cached, optimizer)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = fit(folder, tmp_path, cached=cached, optimizer=optimizer)
    assert "epochs [0" not in resumed.stdout, resumed.stdout
    assert resumed.returncode == 0, resumed.stderr
    expected = unbroken(cached, optimizer)
    with np.load(tmp_path / "final.npz") as weights, np.load(expected / "final.npz") as wanted:
        for name in wanted.files:
            np.testing.assert_array_equal(weights[name], wanted[name])
    assert log(tmp_path) == log(expected)
    assert not list(tmp_path.glob("state.npz"))


@pytest.mark.slow
def test_bits_tell_a_training_with_another_order_apart(folder, unbroken, tmp_path):
    """The comparison above can fail: leave the data's order out of what is kept."""
    forgetful = FIT.replace("epoch_order=train.epoch_order", "")
    command = [sys.executable, "-W", "ignore", "-c", forgetful, folder, tmp_path]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    for kill_at in ("step:13", "never:0"):
        subprocess.run([*map(str, command), kill_at, "cached", "plain"], capture_output=True, env=environment)
    with np.load(tmp_path / "final.npz") as weights, np.load(unbroken("cached", "plain") / "final.npz") as wanted:
        assert not all(np.array_equal(weights[name], wanted[name]) for name in wanted.files)


def dense(units):
    symbolic = keras.Input((2,))
    model = keras.Model(symbolic, keras.layers.Dense(units)(symbolic))
    model.compile("adam", "mse")
    return model


def test_the_state_of_another_model_is_refused(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    x, path = np.zeros((4, 2), "float32"), tmp_path / "state.npz"
    with pytest.raises(KeyboardInterrupt):
        dense(3).fit(x, np.zeros((4, 3)), epochs=2, verbose=0, callbacks=[ExactResume(path), Stop()])
    assert epochs_before(path) == 1
    with pytest.raises(ValueError, match=r"state\.npz holds a training of another model or optimizer, with 8 var"):
        dense(5).fit(x, np.zeros((4, 5)), epochs=2, verbose=0, callbacks=[ExactResume(path)])
    history = dense(3).fit(x, np.zeros((4, 3)), epochs=3, verbose=0, callbacks=[ExactResume(path)])
    assert history.epoch == [1, 2]
    assert epochs_before(path) == 0

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
import subprocess
import sys

import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.models import SoraBackbone, SoraClassifier
from sora_keras.training.hypermodels import BackboneHyperModel, ClassifierHyperModel
from sora_keras.training.memory_estimate import training_bytes
from sora_keras.training.search_table import save_trials, trials_of
from sora_keras.training.tuning import make_tuner
from sora_keras.video import ClipSpec

pytestmark = pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning", "ignore:getName:DeprecationWarning")

TINY = {"first_filters": (2, 4), "depths": (1, 2), "units": (4,), "sequence_layers": (1,), "motions": ("difference",),
        "sequences": ("lstm",), "penalties": (0.0,)}  # fmt: skip


class Eager(ClassifierHyperModel):
    """The same without graphs, which take longer to build than these trials to train."""

    def build(self, hp):
        model = super().build(hp)
        model.run_eagerly = True
        return model


def space(clip_spec=ClipSpec(3, 8, 8), memory_bytes=2**30, **choices):  # noqa: B008
    backbone = BackboneHyperModel(clip_spec, **{**TINY, **choices})
    return Eager(backbone, ["dark", "bright"], (0.0,), batch_size=4, memory_bytes=memory_bytes)


class Datasets:
    """Dark and bright noise in the shape of any `ClipSpec`, and which were asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, clip_spec):
        self.asked.append(clip_spec)
        frames = np.random.default_rng(0).integers(0, 128, (8, *clip_spec.shape)).astype("uint8")
        labels = (np.arange(8) % 2).astype("int32")
        frames[labels == 1] += 127
        dataset = tf.data.Dataset.from_tensor_slices((frames, labels)).batch(4)
        return dataset, dataset


def test_the_first_trial_is_the_small_preset():
    hypermodel = ClassifierHyperModel(BackboneHyperModel(ClipSpec(4, 16, 16)), ["a", "b"])
    model = hypermodel.build(keras_tuner.HyperParameters())
    preset = SoraClassifier.from_preset("small", ["a", "b"], ClipSpec(4, 16, 16), learning_rate=2e-3)
    config, expected = model.backbone.get_config(), preset.backbone.get_config()
    assert {**config, "name": None} == {**expected, "name": None}
    assert float(model.optimizer.learning_rate) == pytest.approx(2e-3)
    assert model.dropout == preset.dropout


@pytest.mark.parametrize("method", ["random", "hyperband", "bayesian"])
def test_a_search_by_each_method_rebuilds_the_data_for_each_clip_spec(tmp_path, capsys, method):
    datasets = Datasets()
    tuner = make_tuner(space(num_frames=(2, 3), sizes=(8, 16)), tmp_path / "search", method, 4, 2, "val_loss", seed=3)
    tuner.search(datasets, epochs=2)
    rows = save_trials(tuner, tmp_path)
    assert [row["status"] for row in rows] == ["completed"] * 4
    assert rows == sorted(rows, key=lambda row: row["val_loss"])
    first = next(row for row in rows if int(row["trial"]) == 0)
    assert (first["num_frames"], first["size"], first["learning_rate"]) == (3, 8, 2e-3)
    by_trial = sorted(rows, key=lambda row: row["trial"])
    assert [(spec.num_frames, spec.height) for spec in datasets.asked] == [
        (row["num_frames"], row["size"]) for row in by_trial
    ]
    assert "trial 4 of 4: val_loss" in capsys.readouterr().out
    model = tuner.get_best_models()[0]
    _, validation = datasets(model.clip_spec)
    assert model.evaluate(validation, verbose=0)[0] == pytest.approx(rows[0]["val_loss"], rel=1e-3)
    with open(tmp_path / "trials.csv", newline="") as file:
        assert [line["trial"] for line in csv.DictReader(file)] == [row["trial"] for row in rows]
    assert (tmp_path / "trials.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_search_is_not_repeated_and_a_larger_one_adds_to_it(tmp_path):
    tuner = make_tuner(space(), tmp_path / "search", "random", 2, 1, seed=5)
    tuner.search(Datasets(), epochs=1)
    before = trials_of(tuner)
    again = Datasets()
    tuner = make_tuner(space(), tmp_path / "search", "random", 2, 1, seed=5)
    tuner.search(again, epochs=1)
    assert again.asked == []
    assert trials_of(tuner) == before
    tuner = make_tuner(space(), tmp_path / "search", "random", 3, 1, seed=5)
    tuner.search(again, epochs=1)
    assert len(again.asked) == 1
    assert len(trials_of(tuner)) == 3


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from test_tuning import Datasets, space
from sora_keras.training.search_table import trials_of
from sora_keras.training.tuning import make_tuner
datasets = Datasets()
def counted(clip_spec):
    if len(datasets.asked) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return datasets(clip_spec)
tuner = make_tuner(space(), sys.argv[1], "random", 4, 1, "val_loss", seed=7)
tuner.search(counted, epochs=1)
print("trained", len(datasets.asked))
print("scores", sorted((row["trial"], round(row["val_loss"], 4)) for row in trials_of(tuner)))
"""


@pytest.mark.slow
def test_a_killed_search_goes_on_and_ends_as_an_unbroken_one(tmp_path):
    def search(folder, kill_at):
        command = [sys.executable, "-c", KILLED, tmp_path / folder, str(kill_at), os.path.dirname(__file__)]
        return subprocess.run(command, capture_output=True, text=True)

    unbroken = search("unbroken", -1)
    assert "trained 4" in unbroken.stdout, unbroken.stderr
    assert search("killed", 2).returncode == -signal.SIGKILL
    resumed = search("killed", -1)
    assert "trained 2" in resumed.stdout, resumed.stderr
    assert resumed.stdout.splitlines()[-1] == unbroken.stdout.splitlines()[-1]


def test_trials_that_cannot_be_fail_at_once_and_are_not_tried_again(tmp_path, capsys):
    datasets = Datasets()
    # Three blocks need frames of 8 pixels, six of 64: most draws cannot be built, far more than three in a row.
    hypermodel = space(depths=(3, 4, 5, 6), first_filters=(1,), dropouts=(0.0, 0.1, 0.2, 0.3, 0.4))
    tuner = make_tuner(hypermodel, tmp_path / "search", "random", 8, 1, seed=1)
    tuner.search(datasets, epochs=1)
    rows = trials_of(tuner)
    failed = [row for row in rows if row["status"] == "failed"]
    assert len(rows) == 8
    assert len(failed) >= 4
    assert all(row["depth"] > 3 for row in failed)
    assert all("received 8 x 8: use larger frames or fewer `filters`" in row["reason"] for row in failed)
    assert len(datasets.asked) == 8 - len(failed)
    assert "of 8: failed, " in capsys.readouterr().out
    save_trials(tuner, tmp_path)


def test_a_trial_that_would_take_too_much_memory_fails_before_its_data_are_read(tmp_path):
    datasets = Datasets()
    smallest = training_bytes(space().build(keras_tuner.HyperParameters()), 4)
    hypermodel = space(sizes=(8, 64), memory_bytes=2 * smallest)
    tuner = make_tuner(hypermodel, tmp_path / "search", "random", 4, 1, seed=2)
    tuner.search(datasets, epochs=1)
    failed = [row for row in trials_of(tuner) if row["status"] == "failed"]
    assert failed
    assert {row["size"] for row in failed} == {64}
    assert {spec.height for spec in datasets.asked} == {8}
    assert "GiB allowed (`memory_bytes`)" in failed[0]["reason"]


def test_default_values_that_cannot_be_built_are_an_error_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"begins with the default values, which cannot be built: .* received 8 x 8"):
        make_tuner(space(depths=(5,)), tmp_path / "search")


def test_what_goes_wrong_in_every_trial_stops_the_search(tmp_path):
    def datasets(clip_spec):
        raise OSError(28, "No space left on device")

    tuner = make_tuner(space(), tmp_path / "search", "random", 5, 1)
    with pytest.raises(keras_tuner.errors.FatalError, match=r"Trial 0 stopped the search: .*No space left"):
        tuner.search(datasets, epochs=1)
    assert len(tuner.oracle.trials) == 1


def test_out_of_memory_fails_a_trial_alone(tmp_path):
    asked = itertools.count()

    def datasets(clip_spec):
        if next(asked) == 0:
            raise MemoryError("cannot allocate 77 GiB")
        return Datasets()(clip_spec)

    tuner = make_tuner(space(), tmp_path / "search", "random", 2, 1)
    tuner.search(datasets, epochs=1)
    rows = trials_of(tuner)
    assert [row["status"] for row in rows] == ["completed", "failed"]
    assert rows[1]["reason"] == "Out of memory: cannot allocate 77 GiB"


def test_a_clip_lasts_as_long_whatever_its_number_of_frames():
    hypermodel = BackboneHyperModel(ClipSpec(8, 16, 24, frames_per_second=4.0), num_frames=(4, 8))
    hp = keras_tuner.HyperParameters()
    assert hypermodel.build(hp).clip_spec == ClipSpec(8, 16, 24, 4.0)
    hp.values["num_frames"] = 4
    assert hypermodel.build(hp).clip_spec == ClipSpec(4, 16, 24, 2.0)


def test_no_choice_is_no_dimension():
    hp = keras_tuner.HyperParameters()
    space(dropouts=(0.1, 0.3)).build(hp)
    assert {each.name for each in hp.space} == {"first_filters", "depth", "dropout", "learning_rate"}


def test_motion_may_be_none():
    hp = keras_tuner.HyperParameters()
    hypermodel = BackboneHyperModel(ClipSpec(2, 8, 8), motions=("difference", None))
    hypermodel.build(hp)
    hp.values["motion"] = "none"
    assert hypermodel.build(hp).motion is None


def test_the_memory_estimate_counts_by_hand():
    clip_spec = ClipSpec(3, 8, 8)
    model = SoraClassifier(SoraBackbone(clip_spec, (2,), (5,), motion=None), ["a", "b"], dropout=0.0)
    for_each_frame = 8 * 8 * 3 + 8 * 8 * 2 + 4 * 4 * 2 + 2  # image, conv, pool, average
    for_each_clip = 3 * (2 * 8 * 8 * 3 + 2 + 5) + 2 + (5 + 2) + 2  # frames to logits
    activations = 7 * (3 * for_each_frame + for_each_clip)
    expected = 4 * (2 * activations + 4 * model.count_params())
    assert training_bytes(model, batch_size=7) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "grid"}, r"`method` must be one of \('random', 'hyperband', 'bayesian'\), received 'grid'"),
        ({"objective": "loss"}, r"`objective` must be one of \('val_accuracy', 'val_loss'\), received 'loss'"),
        ({"num_trials": 0}, r"`num_trials` must be at least 1, received 0"),
        ({"epochs": -2}, r"`epochs` must be at least 1, received -2"),
    ],
)
def test_arguments_out_of_range(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make_tuner(space(), tmp_path / "search", **options)
    assert not (tmp_path / "search").exists()


def test_choices_out_of_range():
    with pytest.raises(ValueError, match=r"at least one value of 'units' to try, received \(\)"):
        space(units=())
    with pytest.raises(ValueError, match=r"received \(0\.1, 0\.01\) and 0\.05"):
        ClassifierHyperModel(BackboneHyperModel(ClipSpec()), ["a", "b"], (0.0,), (0.1, 0.01), 0.05)
    with pytest.raises(ValueError, match=r"`batch_size` must be at least 1, received -4"):
        training_bytes(SoraClassifier.from_preset("small", ["a", "b"]), -4)


def test_a_search_without_trials_has_no_table(tmp_path):
    tuner = make_tuner(space(), tmp_path / "search")
    with pytest.raises(ValueError, match="at least 1 trial to write, received 0"):
        save_trials(tuner, tmp_path)


WORKER = """
import json, sys
sys.path.insert(0, sys.argv[2])
from test_tuning import Datasets, space
from sora_keras.training.search_table import trials_of
from sora_keras.training.tuning import make_tuner
datasets = Datasets()
tuner = make_tuner(space(), sys.argv[1], "random", 6, 1, seed=7)
tuner.search(datasets, epochs=1)
print(json.dumps([len(datasets.asked), len(trials_of(tuner)) if hasattr(tuner.oracle, "trials") else 0]))
"""


@pytest.mark.slow
def test_a_chief_and_two_workers_share_a_search(tmp_path):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    oracle = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": port}
    command = [sys.executable, "-c", WORKER, tmp_path / "search", os.path.dirname(__file__)]
    processes = {
        name: subprocess.Popen(
            command, env={**os.environ, **oracle, "KERASTUNER_TUNER_ID": name}, stdout=subprocess.PIPE, text=True
        )
        for name in ("chief", "worker0", "worker1")
    }
    try:
        output = {name: process.communicate(timeout=300)[0] for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
    counts = {name: json.loads(text.splitlines()[-1]) for name, text in output.items()}
    assert counts["chief"] == [0, 6]
    assert counts["worker0"][0] + counts["worker1"][0] == 6
    assert min(counts["worker0"][0], counts["worker1"][0]) >= 1
    assert len(list((tmp_path / "search").glob("trial_*/checkpoint.weights.h5"))) == 6

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from sora_keras.apps import predict_videos
from sora_keras.apps.tune import tune_on_directory
from sora_keras.data import rows_from_directory, split_rows
from sora_keras.models import SoraClassifier
from sora_keras.video import ClipSpec

pytestmark = pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning", "ignore:getName:DeprecationWarning")

SEARCH = {"clip_spec": ClipSpec(4, 16, 16), "sizes": (8, 16), "epochs": 1, "batch_size": 8, "seed": 5}


def lines_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_search_in_processes_of_their_own_judged_on_videos_it_never_saw(digits, tmp_path, capfd):
    to = tmp_path / "tuned"
    evaluation = tune_on_directory(digits, to, num_trials=3, trials_a_process=2, **SEARCH)
    assert {path.name for path in to.iterdir()} == {
        "trials.csv", "trials.png", "model.keras", "report", "search", "clips", "1",
        "models.config", "batching.config", "monitoring.config", "compose.yaml", "kubernetes.yaml"
    }  # fmt: skip
    assert "trial 3 of 3:" in capfd.readouterr().out
    lines = lines_of(to / "trials.csv")
    accuracies = [float(line["val_accuracy"]) for line in lines if line["status"] == "completed"]
    assert len(lines) == 3
    assert accuracies == sorted(accuracies, reverse=True)
    _, test_rows = split_rows(rows_from_directory(digits, groups="group"), 0.2, seed=5)
    model = SoraClassifier.from_preset(to)
    assert str(model.clip_spec.height) == lines[0]["size"]
    predictions = list(predict_videos(to, [row.path for row in test_rows]))
    probabilities = [[each.probabilities[name] for name in model.class_names] for each in predictions]
    np.testing.assert_allclose(probabilities, evaluation.probabilities, atol=1e-5)

    again = tune_on_directory(digits, to, num_trials=3, trials_a_process=2, **SEARCH)
    assert "trial 3 of 3:" not in capfd.readouterr().out
    assert again.metrics["accuracy"] == evaluation.metrics["accuracy"]
    assert not (to / "2").exists()
    with pytest.raises(ValueError, match=r"search holds a search that began with \{'seed': 5\}: go on with the same"):
        tune_on_directory(digits, to, num_trials=3, **{**SEARCH, "seed": 6})


def test_a_search_where_nothing_can_be_trained(digits, tmp_path):
    with pytest.raises(ValueError, match=r"begins with the default values, which cannot be built.*0\.0 GiB allowed"):
        tune_on_directory(digits, tmp_path / "tuned", num_trials=2, memory_bytes=1000, **SEARCH)
    assert not (tmp_path / "tuned" / "search" / "arguments.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "grid"}, r"`method` must be one of .*, received 'grid'"),
        ({"num_trials": -1}, r"`num_trials` must be at least 1, received -1"),
        ({"trials_a_process": 0}, r"`trials_a_process` must be at least 1, or None, received 0"),
        ({"batch_size": -3}, r"`batch_size` must be at least 1, received -3"),
        ({"test_split": 1.5}, r"must lie between 0 and 1, received 1\.5"),
    ],
)
def test_arguments_out_of_range_are_not_kept(digits, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        tune_on_directory(digits, tmp_path / "tuned", **{**SEARCH, **options})
    assert not (tmp_path / "tuned" / "search" / "arguments.json").exists()


def test_a_class_that_cannot_be_read_stops_before_the_search(digits, tmp_path):
    from sora_keras.data import Faults

    folder = shutil.copytree(digits, tmp_path / "digits")
    for path in (folder / "left").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"No video of class 'left' can be read in .*left/\d+\.mp4: the file is empty"):
        tune_on_directory(folder, tmp_path / "tuned", faults=Faults(max_failures=0.5), **SEARCH)
    assert not list((tmp_path / "tuned" / "search").glob("trial_*"))


SHARED = """
import json, sys
from sora_keras.apps.tune import tune_on_directory
from sora_keras.video import ClipSpec
evaluation = tune_on_directory(
    sys.argv[1], sys.argv[2], ClipSpec(4, 16, 16), num_trials=4, epochs=1, batch_size=8, seed=5
)
print(json.dumps(None if evaluation is None else evaluation.metrics["num_clips"]))
"""


@pytest.mark.slow
def test_three_processes_share_a_search(digits, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    oracle = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": port}
    command = [sys.executable, "-c", SHARED, digits, tmp_path / "tuned"]
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
    results = {name: json.loads(text.splitlines()[-1]) for name, text in output.items()}
    _, test_rows = split_rows(rows_from_directory(digits, groups="group"), 0.2, seed=5)
    assert results == {"chief": len(test_rows), "worker0": None, "worker1": None}
    trained = {name: text.count("val_accuracy") for name, text in output.items()}
    assert trained["worker0"] + trained["worker1"] == 4
    assert len(lines_of(tmp_path / "tuned" / "trials.csv")) == 4

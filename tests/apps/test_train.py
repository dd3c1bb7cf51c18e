from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil

import keras
import numpy as np
import pytest

from sora_keras.apps import predict_videos, train, train_on_directory
from sora_keras.data import Faults, Row, rows_from_directory, write_manifest
from sora_keras.models import SoraClassifier
from sora_keras.training import training_callbacks
from sora_keras.video import ClipSpec

SPEC = ClipSpec(8, 32, 32)


def test_what_it_writes(trained):
    assert {path.name for path in trained.to.iterdir()} == {
        "model.keras",
        "model_card.md",
        "report",
        "training",
        "1",
        "models.config",
        "batching.config",
        "monitoring.config",
        "compose.yaml",
        "kubernetes.yaml",
    }
    report = {path.name for path in (trained.to / "report").iterdir()}
    assert report >= {"report.json", "report.md", "confusion_matrix.png", "learning_curves.png"}
    assert (trained.to / "1" / "saved_model.pb").is_file()
    with open(trained.to / "training" / "log.csv", newline="") as file:
        assert [line["epoch"] for line in csv.DictReader(file)] == ["0", "1"]


def test_the_card_says_what_it_took(trained):
    card = (trained.to / "model_card.md").read_text()
    metrics = trained.evaluation.metrics
    low, high = metrics["accuracy_interval"]
    assert card.startswith("# meine Ziffern ü\n")
    assert f"| accuracy | {metrics['accuracy']:.3f} (95 % interval {low:.3f} to {high:.3f}) |" in card
    assert f"| test | {len(trained.test_rows)} videos of " in card
    assert "| epochs | 2 |" in card
    assert re.search(r"\| cost \| \d+ device-seconds", card)


@pytest.mark.slow
def test_every_practice_at_once(digits, tmp_path, monkeypatch):
    fit, trained_in = train._fit, []

    def fit_and_note(model, *rest):
        trained_in.append(model.get_layer("dropout").compute_dtype)
        fit(model, *rest)

    monkeypatch.setattr(train, "_fit", fit_and_note)
    options = {"schedule": "cosine", "weight_decay": 0.01, "label_smoothing": 0.1, "balance_classes": True}
    train_on_directory(
        digits, tmp_path / "model", ClipSpec(4, 16, 16), epochs=4, precision="mixed_bfloat16", seed=5, **options
    )
    assert trained_in == ["bfloat16"]
    model = SoraClassifier.from_preset(tmp_path / "model")
    assert model.loss.label_smoothing == 0.1
    assert isinstance(model.optimizer.get_config()["learning_rate"], dict)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-8)  # it has fallen to its end
    assert keras.config.dtype_policy().name == "float32"


def test_weights_that_became_nan_are_not_saved(digits, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"The loss became NaN .* lower `learning_rate`, received 1e\+30"):
        train_on_directory(digits, tmp_path / "model", ClipSpec(4, 16, 16), epochs=2, learning_rate=1e30)
    assert not (tmp_path / "model" / "model.keras").exists()


def test_the_report_is_what_it_returns(trained):
    saved = json.loads((trained.to / "report" / "report.json").read_text())
    assert saved["metrics"]["accuracy"] == trained.evaluation.metrics["accuracy"]
    assert saved["metrics"]["num_clips"] == len(trained.test_rows)
    assert len(saved["history"]["val_loss"]) == 2
    assert "meine Ziffern ü on its test videos" in (trained.to / "report" / "report.md").read_text()


def test_the_exported_model_says_the_same_of_the_test_videos(trained):
    predictions = list(predict_videos(trained.to, [row.path for row in trained.test_rows]))
    names = trained.evaluation.metrics["class_names"]
    probabilities = [[prediction.probabilities[name] for name in names] for prediction in predictions]
    np.testing.assert_allclose(probabilities, trained.evaluation.probabilities, atol=1e-5)
    hits = [prediction.label == row.label for prediction, row in zip(predictions, trained.test_rows, strict=True)]
    assert np.mean(hits) == pytest.approx(trained.evaluation.metrics["accuracy"])


def test_other_videos_are_another_training(trained, tmp_path):
    to, folder = tmp_path / "model", shutil.copytree(trained.folder, tmp_path / "digits")
    shutil.copytree(trained.to / "training", to / "training")
    arguments = json.loads((to / "training" / "arguments.json").read_text())
    (to / "training" / "arguments.json").write_text(json.dumps(arguments | {"directory": str(folder)}))
    (to / "training" / "state.npz").touch()
    shutil.copy(next((folder / "up").glob("*.mp4")), folder / "up" / "one more.mp4")
    with open(folder / "manifest.csv", "a", encoding="utf-8") as file:
        file.write("up/one more.mp4,up,another,7,up,0.0,0.4\n")
    with pytest.raises(ValueError, match=r"interrupted with \{'videos': '[0-9a-f]{64}'\}: go on with the same"):
        train_on_directory(folder, to, SPEC, epochs=2, batch_size=8, seed=5, groups=None)


def test_the_same_seed_trains_the_same_and_writes_the_next_version(trained, tmp_path):
    to = shutil.copytree(trained.to, tmp_path / "again")
    evaluation = train_on_directory(trained.folder, to, SPEC, epochs=2, batch_size=8, seed=5)
    assert (to / "1" / "saved_model.pb").is_file()
    assert (to / "2" / "saved_model.pb").is_file()
    np.testing.assert_array_equal(evaluation.labels, trained.evaluation.labels)
    np.testing.assert_allclose(evaluation.probabilities, trained.evaluation.probabilities, atol=1e-3)
    assert evaluation.metrics["accuracy"] == trained.evaluation.metrics["accuracy"]


def test_too_much_for_the_cache_and_a_broken_video(trained, tmp_path, monkeypatch, capfd, caplog):
    folder = shutil.copytree(trained.folder, tmp_path / "digits")
    broken = next(folder.glob("up/*.mp4"))
    broken.write_bytes(b"no video")
    monkeypatch.setattr(train, "CACHED_BYTES_AT_MOST", 0)
    spec = ClipSpec(4, 16, 16, frames_per_second=8.0)
    evaluation = train_on_directory(folder, tmp_path / "model", spec, epochs=1, batch_size=8, seed=5)
    output = capfd.readouterr()
    assert np.isfinite(evaluation.probabilities).all()
    assert any(message.startswith(f"skipped {broken}: FFmpeg cannot read it") for message in caplog.messages)
    num_videos = len(list(folder.rglob("*.mp4")))
    assert f"1 of {num_videos} videos cannot be read" in caplog.messages
    assert "val_accuracy" in output.out
    assert "\b" not in output.out


@pytest.mark.slow
def test_an_interrupted_training_goes_on_with_the_same_arguments_only(digits, tmp_path, monkeypatch):
    class InterruptSecondEpoch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    options = {"to": tmp_path / "model", "clip_spec": ClipSpec(4, 16, 16), "batch_size": 16, "epochs": 2}
    with monkeypatch.context() as patch:
        callbacks = [*training_callbacks(tmp_path / "model" / "training"), InterruptSecondEpoch()]
        patch.setattr(train, "training_callbacks", lambda *_, **__: callbacks)
        with pytest.raises(KeyboardInterrupt):
            train_on_directory(digits, seed=7, **options)
        [logger] = [callback for callback in callbacks if isinstance(callback, keras.callbacks.CSVLogger)]
        logger.csv_file.close()  # in a process of its own, its end would
    assert not (tmp_path / "model" / "model.keras").exists()
    with pytest.raises(ValueError, match=r"training holds a training that was interrupted with \{'seed': 7\}: go on"):
        train_on_directory(digits, seed=8, **options)
    train_on_directory(digits, seed=7, **options)
    with open(tmp_path / "model" / "training" / "log.csv", newline="") as file:
        assert [line["epoch"] for line in csv.DictReader(file)] == ["0", "1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, r"`epochs` must be at least 1, received 0"),
        ({"batch_size": -3}, r"`batch_size` must be at least 1, received -3"),
        ({"learning_rate": 0.0}, r"`learning_rate` must be a positive number, received 0\.0"),
        ({"learning_rate": float("nan")}, r"`learning_rate` must be a positive number, received nan"),
        ({"schedule": "step"}, r"`schedule` must be one of \('plateau', 'cosine'\), received 'step'"),
        ({"weight_decay": -0.25}, r"`weight_decay` must be a number of at least 0, received -0\.25"),
        ({"label_smoothing": 1.25}, r"`label_smoothing` must be a share from 0 to below 1, received 1\.25"),
        ({"precision": "half"}, r"`policy` must be one of .*, received 'half'"),
        ({"seed": -6}, r"`seed` must be from 0 to 4294967295, received -6"),
        ({"test_split": 1.5}, r"must lie between 0 and 1, received 1\.5"),
        ({"validation_split": -0.5}, r"must lie between 0 and 1, received -0\.5"),
        ({"preset": "huge"}, r"no preset 'huge': expected one of \['base', .*'small'"),
        ({"groups": "camera"}, r"`groups='camera'` names a column"),
        ({"clip_spec": ClipSpec(8, 5, 7)}, r"at least 8 x 8, received 5 x 7"),
    ],
)
def test_arguments_out_of_range_leave_nothing_behind(digits, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train_on_directory(digits, tmp_path / "model", **options)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_trained_on(digits, tmp_path):
    shutil.copytree(digits / "up", tmp_path / "one" / "up")
    with pytest.raises(ValueError, match=r"one has videos of one class only, \['up'\]"):
        train_on_directory(tmp_path / "one", tmp_path / "model")
    shutil.copytree(digits / "up", tmp_path / "few" / "up")
    for path in sorted((digits / "down").iterdir())[:2]:
        (tmp_path / "few" / "down").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "few" / "down")
    with pytest.raises(ValueError, match=r"Class 'down' has videos of 2 groups \(such as .*at least 3 groups"):
        train_on_directory(tmp_path / "few", tmp_path / "model")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no videos"):
        train_on_directory(tmp_path / "empty", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_class_that_cannot_be_read_is_named(digits, tmp_path):
    folder = shutil.copytree(digits, tmp_path / "digits")
    for path in (folder / "left").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"No video of class 'left' can be read in .*left/\d+\.mp4: the file is empty"):
        train_on_directory(folder, tmp_path / "model", ClipSpec(4, 16, 16), epochs=1, faults=Faults(max_failures=0.5))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Keras leaves its log file open
@pytest.mark.parametrize("cached_bytes", [0, 2**30])
@pytest.mark.parametrize(
    ("policy", "message"),
    [("skip", r"^\d of \d+ videos cannot be read, more than the share of 0\.01"), ("raise", r"^.*: the file is empty")],
)
def test_too_many_faults_end_training_with_a_line(digits, tmp_path, monkeypatch, cached_bytes, policy, message):
    monkeypatch.setattr(train, "CACHED_BYTES_AT_MOST", cached_bytes)
    folder = shutil.copytree(digits, tmp_path / "digits")
    for path in sorted((folder / "left").iterdir())[:3]:
        path.write_bytes(b"")
    faults = Faults(policy=policy, max_failures=0.01)
    with pytest.raises((ValueError, OSError), match=message):
        train_on_directory(folder, tmp_path / "model", ClipSpec(4, 16, 16), epochs=1, faults=faults)


def test_a_manifest_with_an_official_split_and_a_cache(digits, tmp_path, caplog):
    rows = rows_from_directory(digits)
    parts = ["test" if index % 3 == 0 else "train" for index in range(len(rows))]
    rows = [dataclasses.replace(row, split=part) for row, part in zip(rows, parts, strict=True)]
    write_manifest(rows, tmp_path / "manifest.csv")
    options = {"clip_spec": ClipSpec(4, 16, 16), "epochs": 1, "cache": tmp_path / "cache"}
    evaluation = train_on_directory(tmp_path / "manifest.csv", tmp_path / "model", **options)
    assert evaluation.metrics["num_clips"] == sum(row.split == "test" for row in rows)
    assert list((tmp_path / "cache").rglob("*.npy"))
    with open(tmp_path / "model" / "training" / "log.csv") as file:
        assert "data_wait" in file.readline()


def test_an_official_split_without_a_class_to_train_on(tmp_path):
    rows = [Row(f"{index}.mp4", "ab"[index % 2], split="test" if index % 2 else "train") for index in range(8)]
    write_manifest(rows, tmp_path / "manifest.csv")
    with pytest.raises(ValueError, match=r"manifest\.csv.*has no video of \['b'\] in its part to train on"):
        train_on_directory(tmp_path / "manifest.csv", tmp_path / "model")


def test_a_place_that_cannot_be_written_is_found_before_training(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "video_dataset_from_manifest", lambda *_, **__: pytest.fail("it read videos"))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/model cannot be written \(Not a directory\): name another folder"):
        train_on_directory(digits, tmp_path / "file" / "model")

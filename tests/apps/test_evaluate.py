from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from sora_keras.apps import predict_videos
from sora_keras.apps.evaluate import evaluate_on_directory
from sora_keras.data import rows_from_directory
from sora_keras.data.datasets.moving_digits import MOTIONS


@pytest.fixture
def some_digits(trained, tmp_path):
    """Videos of three of the eight motions."""
    folder = tmp_path / "some"
    for motion in ("left", "right", "shrinking"):
        shutil.copytree(trained.folder / motion, folder / motion)
    return folder


def test_agrees_with_predict(trained, some_digits, tmp_path, caplog):
    evaluation = evaluate_on_directory(trained.to, some_digits, tmp_path / "report ü")
    rows = rows_from_directory(some_digits)
    predictions = list(predict_videos(trained.to, [row.path for row in rows]))
    probabilities = [[prediction.probabilities[motion] for motion in MOTIONS] for prediction in predictions]
    assert [MOTIONS[label] for label in evaluation.labels] == [row.label for row in rows]
    np.testing.assert_allclose(evaluation.probabilities, probabilities, atol=1e-5)
    hits = [prediction.label == row.label for prediction, row in zip(predictions, rows, strict=True)]
    assert evaluation.metrics["accuracy"] == pytest.approx(np.mean(hits))
    assert evaluation.metrics["class_names"] == list(MOTIONS)
    saved = json.loads((tmp_path / "report ü" / "report.json").read_text())
    assert saved["metrics"]["accuracy"] == evaluation.metrics["accuracy"]
    assert saved["title"] == "meine Ziffern ü on some"
    assert not any("skipped" in message for message in caplog.messages)


def test_videos_that_were_trained_on_are_no_proof(trained, tmp_path, caplog):
    evaluate_on_directory(trained.to, trained.folder, tmp_path / "report")
    assert "the model was trained on videos of" in caplog.text


def test_groups_and_what_is_left_out(trained, tmp_path, caplog):
    folder = shutil.copytree(trained.folder, tmp_path / "digits")
    broken = sorted(folder.glob("left/*.mp4"))[1]
    broken.write_bytes(b"")
    evaluation = evaluate_on_directory(trained.to, folder, tmp_path / "report", groups="digit")
    assert evaluation.metrics["num_clips"] == 47
    assert evaluation.metrics["num_groups"] == 10
    assert f"skipped {broken}: the file is empty (0 bytes); download or copy it again" in caplog.messages


def test_a_class_that_the_model_does_not_know(trained, some_digits, tmp_path):
    (some_digits / "left").rename(some_digits / "sideways")
    with pytest.raises(ValueError, match=r"some has the classes \['sideways'\], which the model does not know.*'up'"):
        evaluate_on_directory(trained.to, some_digits, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_no_model_and_no_videos(trained, some_digits, tmp_path):
    with pytest.raises(ValueError, match=r"'.*gone'.*model\.keras"):
        evaluate_on_directory(tmp_path / "gone", some_digits, tmp_path / "report")
    with pytest.raises(NotADirectoryError, match=r"nowhere is not a folder"):
        evaluate_on_directory(trained.to, tmp_path / "nowhere", tmp_path / "report")

from __future__ import annotations

import shutil

import numpy as np
import pytest

from sora_keras.apps import Prediction, predict_videos
from sora_keras.data.datasets.moving_digits import MOTIONS
from sora_keras.video import write_video


def test_one_prediction_a_video_in_order(trained):
    paths = [row.path for row in reversed(trained.test_rows)]
    predictions = list(predict_videos(str(trained.to), paths))
    assert [prediction.path for prediction in predictions] == paths
    for prediction in predictions:
        values = list(prediction.probabilities.values())
        assert set(prediction.probabilities) == set(MOTIONS)
        assert values == sorted(values, reverse=True)
        assert sum(values) == pytest.approx(1, abs=1e-5)
        assert prediction.label == next(iter(prediction.probabilities))
        assert prediction.error is None


def test_exported_saved_and_single_version_agree(trained, tmp_path):
    shutil.copy(trained.to / "model.keras", tmp_path)
    paths = [row.path for row in trained.test_rows[:4]]
    exported, saved, version = (list(predict_videos(to, paths)) for to in (trained.to, tmp_path, trained.to / "1"))
    assert exported == version
    for one, other in zip(exported, saved, strict=True):
        np.testing.assert_allclose(
            [one.probabilities[name] for name in MOTIONS], [other.probabilities[name] for name in MOTIONS], atol=1e-5
        )


def test_what_cannot_be_read_does_not_stop_the_others(trained, tmp_path):
    good = trained.test_rows[0].path
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    paths = [tmp_path / "empty.mp4", good, tmp_path / "text.mp4", tmp_path / "gone.mp4", tmp_path, good]
    predictions = list(predict_videos(trained.to, paths))
    errors = [prediction.error for prediction in predictions]
    for error, part in zip(errors, ("0 bytes", None, "FFmpeg", "no such file", "is a folder", None), strict=True):
        assert (error is None) == (part is None)
        assert part is None or part in error
    assert predictions[0] == Prediction(str(tmp_path / "empty.mp4"), {}, errors[0])
    assert predictions[0].label is None
    assert predictions[1] == predictions[5]


def test_a_short_video_of_another_size(trained, tmp_path):
    write_video(tmp_path / "ein Bild ü.mp4", np.full((1, 50, 70, 3), 90, np.uint8))
    [prediction] = predict_videos(trained.to, [tmp_path / "ein Bild ü.mp4"])
    assert prediction.label in MOTIONS


def test_no_model(tmp_path):
    with pytest.raises(ValueError, match=rf"{tmp_path} holds no model: expected numbered versions .* or model\.keras"):
        next(predict_videos(tmp_path, ["a.mp4"]))
    with pytest.raises(ValueError, match=r"gone holds no model"):
        next(predict_videos(tmp_path / "gone", ["a.mp4"]))

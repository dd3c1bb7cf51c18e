from __future__ import annotations

import cv2
import numpy as np
import pytest

from sora_keras.evaluation import Mistake, plot_confusion_matrix, plot_learning_curves, plot_mistakes, plots
from sora_keras.evaluation.plots import FRAME_WIDTH_PIXELS

HISTORY = {"loss": [2.0, 1.0, 0.7], "val_loss": [2.0, 1.2, 1.5], "accuracy": [0.2, 0.5, 0.8]}


def picture(path):
    """The pixels of a PNG that shows something."""
    assert path.read_bytes().startswith(b"\x89PNG")
    pixels = cv2.imread(str(path))
    assert pixels.std() > 5
    return pixels


def mistake(num_frames=9, height=24, width=32, **changes):
    frames = np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
    return Mistake(**{"frames": frames, "true_name": "rest", "predicted_name": "wave", "probability": 0.97} | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"val_loss": [], "accuracy": []},
        {"val_accuracy": [0.1, 0.4, 0.6], "learning_rate": [1e-3, 1e-3, 1e-4]},
        {"learning_rate": [0.0, 0.0, 1e-3]},
        {"loss": [float("nan")] * 3, "val_loss": [float("nan")] * 3},
    ],
)
def test_learning_curves_of_any_history(tmp_path, changes):
    plot_learning_curves(HISTORY | changes, tmp_path / "curves.png")
    picture(tmp_path / "curves.png")


def test_accuracy_gets_a_panel_of_its_own(tmp_path):
    plot_learning_curves(HISTORY, tmp_path / "two.png")
    plot_learning_curves({"loss": HISTORY["loss"]}, tmp_path / "one.png")
    assert picture(tmp_path / "two.png").shape[1] > 1.5 * picture(tmp_path / "one.png").shape[1]


def test_the_best_epoch_counts_from_one_and_is_never_nan():
    assert plots._best_epoch([2.0, float("nan"), 0.5, 0.7]) == 3
    assert plots._best_epoch([float("nan")]) is None


def test_learning_curves_without_a_loss_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"under 'loss', received \['mae', 'val_mae'\]"):
        plot_learning_curves({"val_mae": [1.0], "mae": [2.0]}, tmp_path / "curves.png")


@pytest.mark.parametrize("num_classes", [2, 8, 101])
def test_confusion_matrix_of_any_size(tmp_path, num_classes):
    matrix = np.random.default_rng(0).integers(0, 5, (num_classes, num_classes)) + 90 * np.eye(num_classes, dtype=int)
    plot_confusion_matrix(matrix, ["a rather long class name of an action"] * num_classes, tmp_path / "matrix.png")
    assert 300 < picture(tmp_path / "matrix.png").shape[1] < 3000


def test_confusion_matrix_of_more_classes_than_names_fit(tmp_path, monkeypatch):
    plot_confusion_matrix(np.eye(6, dtype=int), ["a long class name"] * 6, tmp_path / "named.png")
    monkeypatch.setattr(plots, "MOST_CLASSES_WITH_NAMES", 5)
    plot_confusion_matrix(np.eye(6, dtype=int), ["a long class name"] * 6, tmp_path / "nameless.png")
    assert picture(tmp_path / "nameless.png").shape[1] < picture(tmp_path / "named.png").shape[1]


def test_confusion_matrix_is_colored_by_the_share_of_its_row(tmp_path):
    # Shares: 40 % and 60 % above, 0 % and 100 % below. The darkest color is the bottom right one, in spite of its 1.
    plot_confusion_matrix([[40, 60], [0, 1]], ["a", "b"], tmp_path / "matrix.png")
    gray = picture(tmp_path / "matrix.png").mean(axis=2)
    shades = [gray[int(y * gray.shape[0]), int(x * gray.shape[1])] for y in (0.15, 0.75) for x in (0.25, 0.65)]
    assert np.argsort(shades).tolist() == [3, 1, 0, 2]


def test_names_are_drawn_as_they_are(tmp_path):
    plot_confusion_matrix(np.eye(2, dtype=int), [r"$\frac$", "not\udcffutf8"], tmp_path / "matrix.png")
    plot_mistakes([mistake(true_name=r"$\frac$", path="videos/not\udcffutf8 $_$.mp4")], tmp_path / "sheet.png")
    picture(tmp_path / "matrix.png")
    picture(tmp_path / "sheet.png")


def test_a_matrix_that_does_not_fit_its_names_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(3, 3\) for 3 class names, received \(2, 4\)"):
        plot_confusion_matrix(np.ones((2, 4)), ["a", "b", "c"], tmp_path / "matrix.png")


def test_contact_sheet_has_a_row_for_each_mistake_and_six_frames(tmp_path):
    plot_mistakes([mistake()], tmp_path / "one.png")
    plot_mistakes([mistake(), mistake(num_frames=1), mistake(height=64)], tmp_path / "three.png")
    one, three = picture(tmp_path / "one.png"), picture(tmp_path / "three.png")
    assert one.shape[1] == pytest.approx(6 * FRAME_WIDTH_PIXELS, rel=0.05)
    assert three.shape[0] - one.shape[0] == pytest.approx((24 + 64) / 32 * FRAME_WIDTH_PIXELS + 68, abs=4)


def test_contact_sheet_shows_the_frames_in_order(tmp_path):
    frames = np.stack([np.full((32, 32, 3), 40 * index, np.uint8) for index in range(6)])
    plot_mistakes([mistake(frames=frames)], tmp_path / "sheet.png")
    pixels = picture(tmp_path / "sheet.png")
    middle = pixels[pixels.shape[0] // 2].mean(axis=1)
    centers = [middle[int((index + 0.5) * len(middle) / 6)] for index in range(6)]
    assert centers == pytest.approx([0, 40, 80, 120, 160, 200], abs=2)


def test_contact_sheet_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"at least 1 mistake to draw, received 0"):
        plot_mistakes([], tmp_path / "sheet.png")

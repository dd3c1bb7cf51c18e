from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from sora_keras.apps import anomaly_plot
from sora_keras.apps.anomaly_files import COLUMNS, write_anomalies
from sora_keras.apps.anomaly_plot import draw_anomalies, unexpected_moments
from sora_keras.apps.video_anomalies import AnomalyCurve
from sora_keras.video import write_video

RATE, FRAMES = 10.0, 100


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    """Two peaks, at 2.05 and 7.05 s, of a video that is as bright as its seconds tell."""
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    levels = np.repeat(20 * np.arange(10), 10).astype(np.uint8)
    write_video(path, np.broadcast_to(levels[:, None, None, None], (FRAMES, 48, 64, 3)).copy(), RATE)
    times = (np.arange(FRAMES) + 0.5) / RATE
    scores = 1 + 3 * np.exp(-((times - 2.05) ** 2)) + 5 * np.exp(-((times - 7.05) ** 2))
    boxes = np.tile(np.array([0.25, 0.5, 0.5, 0.75], np.float32), (FRAMES, 1))
    return AnomalyCurve(str(path), 10.0, times, scores, boxes, 0.1)


def test_the_highest_moments_that_are_apart(curve):
    np.testing.assert_allclose(curve.times[unexpected_moments(curve)], [2.05, 7.05])
    np.testing.assert_allclose(curve.times[unexpected_moments(curve, most=1)], [7.05])
    assert 2 < len(unexpected_moments(curve, most=50)) < 8
    flat = AnomalyCurve(curve.path, 0.5, curve.times[:5], np.full(5, 2.0), curve.boxes[:5], 0.0)
    assert unexpected_moments(flat).tolist() == [4]  # those before were never judged


def drawn(curve, path, **labels):
    draw_anomalies(curve, path, **labels)
    return cv2.imread(str(path))[..., ::-1].astype(int)


def test_labeled_times_are_shaded(curve, tmp_path):
    plain = drawn(curve, tmp_path / "plain.png")
    shaded = drawn(curve, tmp_path / "shaded.png", abnormal=(curve.times > 6) & (curve.times < 8))
    rows = slice(round(0.58 * plain.shape[0]), round(0.62 * plain.shape[0]))  # above the curve where it is low
    pink = 255 * (0.5 + 0.5 * np.array(to_rgb(anomaly_plot._ABNORMAL_COLOR)))
    columns = np.flatnonzero((np.abs(shaded[rows] - pink).max(axis=-1) < 6).mean(axis=0) > 0.5)
    seconds = (columns / plain.shape[1] - 0.07) / 0.9 * 10
    assert seconds.min() == pytest.approx(6.0, abs=0.05)
    assert seconds.max() == pytest.approx(8.0, abs=0.05)
    assert not (np.abs(plain[rows] - pink).max(axis=-1) < 6).any()


def test_pictures_show_the_moments_with_their_boxes(curve, tmp_path):
    pixels = drawn(curve, tmp_path / "curve.png")
    top = pixels[: round(0.48 * len(pixels))]
    half = top.shape[1] // 2
    gray = top.max(axis=-1) - top.min(axis=-1) < 4
    for part, level in ((slice(None, half), 40), (slice(half, None), 140)):
        assert (gray[:, part] & (np.abs(top[:, part].mean(axis=-1) - level) < 6)).mean() > 0.1
        yellow = np.abs(top[:, part] - 255 * np.array(to_rgb(anomaly_plot._BOX_COLOR))).max(axis=-1) < 30
        rows, columns = np.nonzero(yellow)
        assert np.ptp(columns) / np.ptp(rows) == pytest.approx(16 / 12, rel=0.1)  # a fourth of 64 and of 48


def test_flat_curves_and_broken_videos_are_drawn(curve, tmp_path):
    flat = AnomalyCurve(curve.path, 10.0, curve.times, np.ones(FRAMES), curve.boxes)
    assert drawn(flat, tmp_path / "flat.png").std() > 0
    half = AnomalyCurve(curve.path, 10.0, curve.times[:50], curve.scores[:50], curve.boxes[:50], 0.1, "it is cut off")
    whole = drawn(curve, tmp_path / "whole.png")
    broken = drawn(half, tmp_path / "broken.png")
    right = slice(round(0.8 * whole.shape[1]), round(0.9 * whole.shape[1]))
    rows = slice(round(0.58 * len(whole)), round(0.7 * len(whole)))
    assert (broken[rows, right] < 250).mean() > (whole[rows, right] < 250).mean() + 0.3


def test_labels_must_fit(curve, tmp_path):
    with pytest.raises(ValueError, match=r"expected 100 labels, one a time, received shape \(7,\)"):
        draw_anomalies(curve, tmp_path / "x.png", np.ones(7, bool))
    assert not list(tmp_path.iterdir())


def test_the_table_says_what_the_curve_says(curve, tmp_path):
    write_anomalies(curve, tmp_path / "new" / "folder", curve.times > 5)
    folder = tmp_path / "new" / "folder"
    assert {path.name for path in folder.iterdir()} == {"anomalies.csv", "anomalies.png"}
    with open(folder / "anomalies.csv", newline="") as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == COLUMNS
    table = np.array(lines, float)
    np.testing.assert_allclose(table[:, 0], curve.times, atol=5e-4)
    for column, values in ((1, curve.scores), (2, curve.smoothed), (3, curve.normalized)):
        np.testing.assert_allclose(table[:, column], values, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(table[:, 4:], curve.boxes, atol=1e-4)

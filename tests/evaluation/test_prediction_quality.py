from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sora_keras.data.datasets.moving_mnist import moving_mnist_dataset
from sora_keras.evaluation.prediction_quality import moving_mnist_metrics

RNG = np.random.default_rng(0)


def written_out(predicted, true):
    """The benchmark's definitions in plain NumPy: windows of 7x7, covariances over 48, constants of a range of 2."""
    mse = np.mean((predicted - true) ** 2, axis=(0, 1)).sum()
    mae = np.mean(np.abs(predicted - true), axis=(0, 1)).sum()
    clipped = np.clip(predicted, 0, 1)
    psnr = np.mean(-10 * np.log10(np.mean((clipped - true) ** 2, axis=(2, 3, 4))))
    x, y = (np.lib.stride_tricks.sliding_window_view(v, (7, 7), axis=(2, 3)).astype(float) for v in (clipped, true))
    mean_x, mean_y = x.mean((-1, -2)), y.mean((-1, -2))
    variances = x.var((-1, -2), ddof=1) + y.var((-1, -2), ddof=1)
    covariance = ((x - mean_x[..., None, None]) * (y - mean_y[..., None, None])).sum((-1, -2)) / 48
    c1, c2 = 0.02**2, 0.06**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return mse, mae, (similarity / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))).mean(), psnr


@pytest.mark.parametrize("channels", [1, 2])
def test_as_written_out(channels):
    true = RNG.random((3, 4, 15, 17, channels)).astype(np.float32)
    predicted = (true + RNG.normal(0, 0.3, true.shape)).astype(np.float32)  # some of it outside 0..1
    metrics = moving_mnist_metrics(predicted, true)
    measured = [metrics[name] for name in ("mse", "mae", "ssim", "psnr")]
    np.testing.assert_allclose(measured, written_out(predicted, true), rtol=1e-5)
    per_step = ((predicted - true) ** 2).sum(axis=(2, 3, 4)).mean(axis=0)
    np.testing.assert_allclose(metrics["mse_of_time_steps"], per_step, rtol=1e-5)
    assert metrics["num_sequences"] == 3
    of_sequences = ((predicted - true).astype(float) ** 2).sum(axis=(2, 3, 4)).mean(axis=1)
    interval = stats.norm.interval(0.95, of_sequences.mean(), stats.sem(of_sequences))
    np.testing.assert_allclose(metrics["mse_interval"], interval, rtol=1e-4)
    assert np.isnan(moving_mnist_metrics(predicted[:1], true[:1])["mse_interval"]).all()


def test_by_hand():
    """One white pixel too many in each frame of 8x8."""
    true = np.zeros((2, 3, 8, 8, 1), np.float32)
    predicted = true.copy()
    predicted[:, :, 0, 0] = 1
    metrics = moving_mnist_metrics(predicted, true)
    assert metrics["mse"] == metrics["mae"] == 1
    assert metrics["psnr"] == pytest.approx(10 * np.log10(64))
    assert moving_mnist_metrics(true, true)["psnr"] == np.inf
    assert moving_mnist_metrics(true, true)["ssim"] == 1


@pytest.mark.real_data
def test_copying_the_last_frame_of_moving_mnist(real_data):
    """The baseline of the field: two digits of about 100 white pixels each in the wrong place, later more so."""
    dataset = moving_mnist_dataset(real_data / "mnist", "test", batch_size=12, num_sequences=12)
    inputs, true = next(dataset.as_numpy_iterator())
    metrics = moving_mnist_metrics(np.repeat(inputs[:, -1:], 10, axis=1), true)
    np.testing.assert_allclose([metrics["mse"], metrics["mae"]], written_out(inputs[:, [-1] * 10], true)[:2], rtol=1e-4)
    black = moving_mnist_metrics(np.zeros_like(true), true)
    assert black["mse"] == pytest.approx((true.astype(float) ** 2).sum((2, 3, 4)).mean())
    assert black["mse"] < metrics["mse"] < 2 * black["mse"]
    assert metrics["mse_of_time_steps"][0] < metrics["mse_of_time_steps"][-1]


@pytest.mark.parametrize(
    ("predicted", "true", "received"),
    [
        (np.zeros((2, 3, 8, 8, 1)), np.zeros((2, 3, 8, 9, 1)), r"\(2, 3, 8, 8, 1\) and \(2, 3, 8, 9, 1\)"),
        (np.zeros((3, 8, 8, 1)), np.zeros((3, 8, 8, 1)), r"\(3, 8, 8, 1\) and"),
        (np.zeros((2, 3, 8, 8, 1), np.uint8), np.zeros((2, 3, 8, 8, 1)), "`predicted`.*uint8"),
        (np.zeros((2, 3, 8, 8, 1)), np.full((2, 3, 8, 8, 1), np.nan), "`true`.*384 of 384"),
        (np.zeros((2, 3, 8, 8, 1)), np.full((2, 3, 8, 8, 1), 37.0), "received 37 to 37: divide"),
    ],
)
def test_what_cannot_be_judged(predicted, true, received):
    with pytest.raises(ValueError, match=received):
        moving_mnist_metrics(predicted, true)

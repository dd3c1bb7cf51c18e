"""Predicted and true frames in, the four figures of the Moving MNIST benchmark out."""

from __future__ import annotations

from typing import Any

import numpy as np


def moving_mnist_metrics(predicted: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    """Judges predicted frames as OpenSTL does, in whose tables the published models stand.

    MSE and MAE are sums over the pixels and channels of a frame, of values from 0 to 1, before clipping; SSIM and PSNR
    are means over frames after clipping to 0..1. Its SSIM is not that of Wang et al.: a flat window of 7 pixels, sample
    covariance, and a data range of 2, which scikit-image up to 0.19 takes for floats. It comes out higher than with the
    range that the values have.

    Args:
        predicted: floats `(B, T, H, W, C)`, 0 black and 1 white.
        true: floats from 0 to 1, of the same shape.

    Returns:
        `mse`, `mae`, `ssim` and `psnr` (infinite if one frame is exactly right); `mse_of_time_steps`, T numbers whose
        mean is `mse`; `mse_interval`, the 95 % interval of `mse` by the spread over sequences (NaN for a single one);
        and `num_sequences`.

    Raises:
        ValueError: if the shapes differ or are not as above, or the values of `true` do not lie in 0..1.

    Example:
        >>> inputs, true = next(moving_mnist_dataset(folder, "test").as_numpy_iterator())  # doctest: +SKIP
        >>> moving_mnist_metrics(np.repeat(inputs[:, -1:], 10, axis=1), true)["mse"]  # copy-last  # doctest: +SKIP

    Reference:
        Tan et al., OpenSTL: A Comprehensive Benchmark of Spatio-Temporal Predictive Learning, NeurIPS 2023,
        https://arxiv.org/abs/2306.11249; openstl/core/metrics.py of https://github.com/chengtan9907/OpenSTL, which
        asks for scikit-image<=0.19.3.
    """
    predicted, true = np.asarray(predicted), np.asarray(true)
    _check(predicted, true)
    num_sequences, num_frames = true.shape[:2]
    squared, absolute, similarity, decibels = (np.zeros((num_sequences, num_frames)) for _ in range(4))
    for index in np.ndindex(num_sequences, num_frames):
        difference = predicted[index].astype(np.float64) - true[index]
        squared[index], absolute[index] = np.sum(difference**2), np.sum(np.abs(difference))
        similarity[index], decibels[index] = _clipped_measures(predicted[index], true[index])
    mse_of_sequences = squared.mean(axis=1)
    half_width = 1.96 * mse_of_sequences.std(ddof=1) / np.sqrt(num_sequences) if num_sequences > 1 else np.nan
    return {
        "mse": float(squared.mean()),
        "mse_interval": (float(squared.mean() - half_width), float(squared.mean() + half_width)),
        "mae": float(absolute.mean()),
        "ssim": float(similarity.mean()),
        "psnr": float(decibels.mean()),
        "mse_of_time_steps": squared.mean(axis=0).tolist(),
        "num_sequences": num_sequences,
    }


def _clipped_measures(frame: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """SSIM and PSNR of one frame `(H, W, C)`."""
    from skimage.metrics import structural_similarity

    frame = np.clip(frame, 0, 1).astype(np.float64)
    similarity = structural_similarity(frame, true.astype(np.float64), data_range=2.0, channel_axis=-1)
    squared_error = np.mean((frame - true) ** 2)
    return similarity, -10 * np.log10(squared_error) if squared_error else np.inf


def _check(predicted: np.ndarray, true: np.ndarray) -> None:
    if predicted.shape != true.shape or true.ndim != 5 or not true.size:
        raise ValueError(
            f"`predicted` and `true` must have one shape (B, T, H, W, C), received {predicted.shape} and {true.shape}."
        )
    for name, frames in (("predicted", predicted), ("true", true)):
        if not np.issubdtype(frames.dtype, np.floating):
            raise ValueError(
                f"`{name}` must be floats, 0 black and 1 white, received {frames.dtype}: divide frames by 255."
            )
        if not np.isfinite(frames).all():
            broken = np.count_nonzero(~np.isfinite(frames))
            raise ValueError(f"`{name}` must be finite, received {broken} of {frames.size} values that are not.")
    if true.min() < 0 or true.max() > 1:
        raise ValueError(
            f"The values of `true` must lie in 0..1, received {true.min():g} to {true.max():g}: divide frames by 255."
        )

"""A dataset in, the means and variances of its color channels out."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from sora_keras.progress import show_progress


def channel_statistics(dataset: Any, max_batches: int = 100) -> tuple[list[float], list[float]]:
    """Measure the color channels of a dataset's frames, for `SoraBackbone(normalization=...)`.

    Args:
        dataset: yields frames `(B, T, H, W, 3)` in 0..255, or a tuple or a dict of `frames` that begins with them.
            Measure the part trained on alone.
        max_batches: how many batches to read at most; shuffle the dataset if it has more.

    Returns:
        Means and variances of the three channels, in units of 0..255.

    Raises:
        ValueError: if the dataset is empty, or a channel never changes.

    Example:
        >>> backbone = SoraBackbone(ClipSpec(), normalization=channel_statistics(train))
    """
    count, total, total_of_squares = 0, np.zeros(3), np.zeros(3)
    for element in show_progress(itertools.islice(dataset, max_batches), "Measuring colors"):
        inputs = element[0] if isinstance(element, tuple) else element
        pixels = np.asarray(inputs["frames"] if isinstance(inputs, dict) else inputs).reshape(-1, 3)
        count += len(pixels)
        total += pixels.sum(axis=0, dtype=np.float64)
        total_of_squares += np.square(pixels, dtype=np.float64).sum(axis=0)
    if count == 0:
        raise ValueError("The dataset must yield at least one batch to measure, received none.")
    mean = total / count
    variance = total_of_squares / count - mean**2
    if variance.min() <= 0:
        raise ValueError(f"A channel of one value cannot be normalized, received variances {variance.tolist()}.")
    return mean.tolist(), variance.tolist()

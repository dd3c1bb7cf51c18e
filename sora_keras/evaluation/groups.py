"""Names of the groups that samples are of in, numbers and random draws of the groups out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sora_keras.evaluation.bootstrap import NUM_RESAMPLES


def group_numbers_of(groups: Sequence[Any] | None, num_samples: int, samples: str) -> np.ndarray:
    """Numbers the groups, so that they can be counted.

    Args:
        groups: the name of each sample's group; `None` where each sample is a group of its own.
        num_samples: how many there must be.
        samples: what the samples are, for the message: "frames".

    Returns:
        Whole numbers `(N,)` in 0..G-1.

    Raises:
        ValueError: if there is not one name for each sample.

    Example:
        >>> group_numbers_of(["jack", "tom", "jack"], 3, "videos").tolist()
        [0, 1, 0]
    """
    if groups is None:
        return np.arange(num_samples)
    if len(groups) != num_samples:
        raise ValueError(
            f"groups must name one group for each of the {num_samples} {samples}, in their order, received "
            f"{len(groups)}."
        )
    return np.unique([str(group) for group in groups], return_inverse=True)[1]


def draw_groups(num_groups: int, seed: int) -> np.ndarray:
    """Draws as many groups as there are, with replacement, again and again.

    These are the draws of `resample_groups`, for what is made of more than sums of counts.

    Args:
        num_groups: G.
        seed: the same seed gives the same draws.

    Returns:
        `float64 (NUM_RESAMPLES, G)`, how often each group was drawn.

    Example:
        >>> float(draw_groups(3, seed=0)[0].sum())
        3.0
    """
    shares = np.full(num_groups, 1 / num_groups)
    return np.random.default_rng(seed).multinomial(num_groups, shares, size=NUM_RESAMPLES).astype(np.float64)

"""A clip that a classifier took for another class, with what is needed to look at it."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Mistake:
    """A clip whose most probable class is not the true one.

    Args:
        frames: `uint8 (T, H, W, 3)`, RGB.
        true_name: the name of the true class.
        predicted_name: the name of the predicted class.
        probability: the predicted class's, 0..1.
        path: the file of the clip, `None` if unknown.
    """

    frames: np.ndarray
    true_name: str
    predicted_name: str
    probability: float
    path: str | None = None

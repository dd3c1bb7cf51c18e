"""Features of any units to columns of mean 0 and spread 1, by statistics that `fit` gathers as it goes."""

from __future__ import annotations

import keras
from keras import layers, ops

LARGEST_DEVIATION = 5.0


def normalize_columns(
    features: keras.KerasTensor, padding_mask: keras.KerasTensor | None, name: str, initial_variance: str = "ones"
) -> keras.KerasTensor:
    """Bring each column to mean 0 and spread 1 over the clips trained on, and bound it.

    Args:
        features: `(B, T, D)`.
        padding_mask: bool `(B, T)`, true where a frame is real; `None` if all are.
        name: of the layer.
        initial_variance: `"ones"` leaves features as they are before any training, `"zeros"` learns in a few steps the
            variances of columns that are far from 1.

    Returns:
        `(B, T, D)`, from -5 to 5.

    Example:
        >>> normalize_columns(keras.Input((None, 1280)), None, "normalize").shape
        (None, None, 1280)
    """
    # Keras's momentum suits long trainings, its epsilon of 0.001 activations. Columns may be shares of a thousandth.
    normalized = layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-6,
        center=False,
        scale=False,
        moving_variance_initializer=initial_variance,
        name=name,
    )(features, mask=padding_mask)
    # A column that hardly varied in training would drown all others where it does.
    return ops.clip(normalized, -LARGEST_DEVIATION, LARGEST_DEVIATION)

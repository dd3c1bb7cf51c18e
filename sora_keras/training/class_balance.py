"""Labels of the training clips in, a weight for each class out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.utils.class_weight import compute_class_weight


def class_weights(labels: Sequence[str], class_names: Sequence[str]) -> dict[int, float]:
    """Weights with which every class counts the same, however rare: `num_clips / (num_classes * clips_of_class)`.

    Args:
        labels: the class of each training clip: `[row.label for row in train.rows]`.
        class_names: names of the classes, in the order of the model's outputs.

    Returns:
        For `fit(class_weight=...)`: the weight of each class by its number.

    Raises:
        ValueError: if a class has no clip, or a label is none of the classes.

    Example:
        >>> class_weights(["fight", "no_fight", "no_fight"], ["fight", "no_fight"])
        {0: 1.5, 1: 0.75}
    """
    if unknown := sorted({str(label) for label in labels} - set(class_names)):
        raise ValueError(f"`labels` must be among {list(class_names)}, received {unknown}.")
    if missing := sorted(set(class_names) - set(labels)):
        raise ValueError(f"Every class needs clips to be weighed by, received none of {missing}.")
    weights = compute_class_weight("balanced", classes=np.array(class_names), y=np.array(labels))
    return dict(enumerate(weights.tolist()))

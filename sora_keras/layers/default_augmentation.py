"""Class names in, the augmentation to begin with out."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from sora_keras.layers.class_guards import classes_changed
from sora_keras.layers.clip_augmentation import ClipAugmentation


def default_augmentation(class_names: Sequence[str] | None = None, seed: int | None = None) -> ClipAugmentation:
    """Make mild changes that leave a clip's class alone: mirror, place, size, brightness, contrast.

    Args:
        class_names: names of the classes. Where left and right tell some of them apart, clips are not mirrored.
        seed: for the same draws at each run.

    Returns:
        A layer for `uint8` clips, for `dataset.map` or the beginning of a model.

    Example:
        >>> dataset = dataset.map(default_augmentation(dataset.class_names))
    """
    layers: list[keras.layers.Layer] = [
        keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
        keras.layers.RandomZoom(0.15, fill_mode="nearest"),
        keras.layers.RandomBrightness(0.15),
        keras.layers.RandomContrast(0.2),
    ]
    if not classes_changed(class_names or (), "mirrored"):
        layers.insert(0, keras.layers.RandomFlip("horizontal"))
    return ClipAugmentation(layers, class_names=class_names, seed=seed)

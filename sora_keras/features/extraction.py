"""A clip to the features of the wanted families, side by side, with a name for each column."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sora_keras.features.color import COLOR_NAMES, color_features
from sora_keras.features.motion import MOTION_NAMES, motion_features
from sora_keras.features.shape import SHAPE_NAMES, shape_features
from sora_keras.features.texture import TEXTURE_NAMES, texture_features
from sora_keras.video import Clip

_FAMILIES: dict[str, tuple[Callable[[Clip], np.ndarray], tuple[str, ...]]] = {
    "color": (color_features, COLOR_NAMES),
    "texture": (texture_features, TEXTURE_NAMES),
    "shape": (shape_features, SHAPE_NAMES),
    "motion": (motion_features, MOTION_NAMES),
}
FAMILIES = tuple(_FAMILIES)


def extract_features(clip: Clip, families: Sequence[str] = FAMILIES) -> np.ndarray:
    """Compute the features of every frame of a clip.

    The features of a frame depend on it and on the frames before it, never on later ones; the first frame's motion is
    zero. What the columns mean, and in which units, is written at `color_features`, `texture_features`,
    `shape_features` and `motion_features`.

    Args:
        clip: T frames, of any size, one alone too.
        families: which ones, in the order of the columns: `"color"`, `"texture"`, `"shape"`, `"motion"`.

    Returns:
        `float32 (T, D)`, finite; the columns are those of `feature_names(families)`.

    Raises:
        ValueError: if there is no such family, one is named twice, or none is.

    Example:
        >>> clip = read_clip("fights/fight/fi001.mp4", ClipSpec(num_frames=16, height=64, width=64))
        >>> extract_features(clip, ["color", "motion"]).shape
        (16, 93)
    """
    _check(families)
    return np.concatenate([_FAMILIES[family][0](clip) for family in families], axis=1)


def feature_names(families: Sequence[str] = FAMILIES) -> list[str]:
    """The names of the columns of `extract_features`; as many as there are features D, whatever the clip.

    Args:
        families: which ones, in the order of the columns.

    Returns:
        D names, each of which begins with its family's.

    Raises:
        ValueError: if there is no such family, one is named twice, or none is.

    Example:
        >>> feature_names(["motion"])[0]
        'motion_change_mean'
    """
    _check(families)
    return [name for family in families for name in _FAMILIES[family][1]]


def _check(families: Sequence[str]) -> None:
    if isinstance(families, str):
        raise ValueError(f"`families` must be a sequence of names, received {families!r}: write [{families!r}].")
    if not families or len(set(families)) < len(families) or not set(families) <= set(FAMILIES):
        raise ValueError(f"`families` must name some of {list(FAMILIES)}, each once, received {list(families)}.")

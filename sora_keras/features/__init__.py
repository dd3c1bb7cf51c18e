"""Clips to classical features, one row a frame, with named columns: NumPy, OpenCV, scikit-image, never TensorFlow."""

from sora_keras.features.color import color_features
from sora_keras.features.extraction import FAMILIES, extract_features, feature_names
from sora_keras.features.motion import motion_features
from sora_keras.features.shape import shape_features
from sora_keras.features.texture import texture_features

__all__ = [
    "FAMILIES",
    "color_features",
    "extract_features",
    "feature_names",
    "motion_features",
    "shape_features",
    "texture_features",
]

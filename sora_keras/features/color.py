"""A clip to the colors of each frame: histograms of hue, saturation and value; moments of red, green and blue."""

from __future__ import annotations

import cv2
import numpy as np

from sora_keras.video import Clip

NUM_BINS = 8
# OpenCV's hue of an 8-bit picture ends at 180 half degrees.
HSV_RANGES = {"hue": 180, "saturation": 256, "value": 256}
CHANNELS = ("red", "green", "blue")
MOMENTS = ("mean", "std", "skewness")

COLOR_NAMES = (
    *(f"color_{channel}_bin{index}" for channel in HSV_RANGES for index in range(NUM_BINS)),
    *(f"color_{channel}_{moment}" for moment in MOMENTS for channel in CHANNELS),
)


def color_features(clip: Clip) -> np.ndarray:
    """Describe which colors each frame has.

    | columns | what | unit |
    |---|---|---|
    | `color_{hue,saturation,value}_bin{0..7}` | histogram of eight equal bins, from hue 0 (red, and gray too), saturation 0 (gray), value 0 (black) upwards | share of the pixels |
    | `color_{red,green,blue}_mean` | mean | levels, 0 to 255 |
    | `color_{red,green,blue}_std` | standard deviation | levels |
    | `color_{red,green,blue}_skewness` | cube root of the third central moment, negative where dark pixels are the exceptions | levels |

    Args:
        clip: T frames, of any size.

    Returns:
        `float32 (T, 33)`, columns as in `COLOR_NAMES`.

    Example:
        >>> color_features(clip).shape
        (16, 33)

    Reference:
        Swain and Ballard, Color indexing, IJCV 7 (1991), 11-32. Stricker and Orengo, Similarity of color images, SPIE
        2420 (1995), 381-392.
    """  # noqa: E501
    return np.stack([np.concatenate([_histograms(frame), _moments(frame)]) for frame in clip.frames])


def _histograms(frame: np.ndarray) -> np.ndarray:
    """Frame `uint8 (H, W, 3)` to shares `float32 (24,)`."""
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
    counts = [
        cv2.calcHist([hsv], [channel], None, [NUM_BINS], [0, end]).ravel()
        for channel, end in enumerate(HSV_RANGES.values())
    ]
    return np.concatenate(counts) / np.float32(hsv[..., 0].size)


def _moments(frame: np.ndarray) -> np.ndarray:
    """Frame `uint8 (H, W, 3)` to levels `float32 (9,)`."""
    mean, std = cv2.meanStdDev(frame)
    counts = [cv2.calcHist([frame], [channel], None, [256], [0, 256]).ravel() for channel in range(3)]
    third = np.sum(counts * (np.arange(256) - mean) ** 3, axis=1) / frame[..., 0].size
    return np.concatenate([mean.ravel(), std.ravel(), np.cbrt(third)]).astype(np.float32)

"""A clip to the shapes in each frame: edges, contours of what is bright, Hu moments."""

from __future__ import annotations

import cv2
import numpy as np

from sora_keras.features.gray import gray_frames
from sora_keras.features.hu_moments import hu_moments
from sora_keras.video import Clip

SHAPE_NAMES = (
    "shape_edges",
    "shape_threshold",
    "shape_bright",
    "shape_contours",
    "shape_largest_area",
    "shape_largest_perimeter",
    "shape_largest_solidity",
    "shape_largest_extent",
    "shape_largest_aspect",
    *(f"shape_bright_hu{index}" for index in range(1, 8)),
)


def shape_features(clip: Clip) -> np.ndarray:
    """Describe the edges of each frame and the shapes of what is bright in it, told from what is dark by Otsu's method.

    | columns | what | unit |
    |---|---|---|
    | `shape_edges` | edges (Canny, upper threshold Otsu's, lower half of it) | share of the pixels |
    | `shape_threshold` | Otsu's threshold | gray levels, 0 to 255 |
    | `shape_bright` | what is above it | share of the pixels |
    | `shape_contours` | outer contours of it | number |
    | `shape_largest_area` | area inside the contour that surrounds most | share of the pixels |
    | `shape_largest_perimeter` | its length | perimeters of the frame |
    | `shape_largest_solidity` | its area over that of its convex hull | 0 to 1 |
    | `shape_largest_extent` | its area over that of its upright bounding box | 0 to 1 |
    | `shape_largest_aspect` | the shorter side of its smallest turned box over the longer | 0 to 1 |
    | `shape_bright_hu{1..7}` | Hu moments of what is bright | see `hu_moments` |

    Args:
        clip: T frames, of any size.

    Returns:
        `float32 (T, 16)`, columns as in `SHAPE_NAMES`. A flat frame has no shapes: zeros,
        and its level as the threshold.

    Example:
        >>> shape_features(clip).shape
        (16, 16)

    Reference:
        Canny, A computational approach to edge detection, PAMI 8 (1986), 679-698. Otsu, A threshold selection method
        from gray-level histograms, IEEE SMC 9 (1979), 62-66. Suzuki and Abe, Topological structural analysis of
        digitized binary images, CVGIP 30 (1985), 32-46.
    """
    return np.stack([_frame_features(gray) for gray in gray_frames(clip)])


def _frame_features(gray: np.ndarray) -> np.ndarray:
    """Frame `uint8 (H, W)` to `float32 (16,)`."""
    if gray.min() == gray.max():
        return np.array([0, gray[0, 0], *[0] * (len(SHAPE_NAMES) - 2)], np.float32)
    threshold, bright = cv2.threshold(gray, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    edges = cv2.Canny(gray, threshold / 2, threshold)
    contours, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    counts = [np.count_nonzero(edges) / gray.size, threshold, bright.mean(), len(contours)]
    largest = max(contours, key=cv2.contourArea, default=None)
    contour = np.zeros(5) if largest is None else _contour_features(largest, *gray.shape)
    return np.concatenate([counts, contour, hu_moments(bright)]).astype(np.float32)


def _contour_features(contour: np.ndarray, height: int, width: int) -> np.ndarray:
    """Contour `int32 (N, 1, 2)` to area, perimeter, solidity, extent and aspect."""
    area = cv2.contourArea(contour)
    *_, box_width, box_height = cv2.boundingRect(contour)
    _, sides, _ = cv2.minAreaRect(contour)
    return np.array(
        [
            area / (height * width),
            cv2.arcLength(contour, closed=True) / (2 * (height + width)),
            _ratio(area, cv2.contourArea(cv2.convexHull(contour))),
            area / (box_width * box_height),
            _ratio(min(sides), max(sides)),
        ]
    )


def _ratio(part: float, whole: float) -> float:
    """A contour that surrounds no area, such as a line, has none of it."""
    return part / whole if whole else 0.0

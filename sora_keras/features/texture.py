"""A clip to the texture of each frame: gray-level co-occurrence, energy of Gabor filters, histogram of gradients."""

from __future__ import annotations

import cv2
import numpy as np
import skimage

from sora_keras.features.gray import gray_frames
from sora_keras.video import Clip

GRAY_LEVELS = 16
PIXEL_DISTANCES = (1, 3)
ANGLES_DEGREES = (0, 45, 90, 135)
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
WAVELENGTH_PIXELS = 4
GRADIENT_SIDE_PIXELS = 32
GRADIENT_CELLS = 4
GRADIENT_BINS = 9

TEXTURE_NAMES = (
    *(f"texture_{prop}_{distance}px" for prop in PROPERTIES for distance in PIXEL_DISTANCES),
    *(
        f"texture_gabor_{wavelength}px_{angle}deg"
        for wavelength in (WAVELENGTH_PIXELS, 2 * WAVELENGTH_PIXELS)
        for angle in ANGLES_DEGREES
    ),
    *(
        f"texture_gradient_row{row}_column{column}_bin{index}"
        for row in range(GRADIENT_CELLS)
        for column in range(GRADIENT_CELLS)
        for index in range(GRADIENT_BINS)
    ),
)


def texture_features(clip: Clip) -> np.ndarray:
    """Describe how rough each frame is, and in which directions its edges run.

    | columns | what | unit |
    |---|---|---|
    | `texture_{contrast,dissimilarity,homogeneity,energy,correlation}_{1,3}px` | Haralick's properties of pairs of pixels 1 or 3 apart, the mean of four directions | gray levels of 16, squared and plain, for the first two; else 0 to 1, correlation -1 to 1 |
    | `texture_gabor_{4,8}px_{0,45,90,135}deg` | mean strength of waves of that length whose crests follow each other in that direction, clockwise from right | gray levels, 0 to 255 |
    | `texture_gradient_row{0..3}_column{0..3}_bin{0..8}` | histogram of gradients (HOG) of that cell of a 4 x 4 grid; bins of 20 degrees, clockwise from gradients to the right or left | 0 to 1; the squares of the grid add up to 1 |

    Args:
        clip: T frames, of any size.

    Returns:
        `float32 (T, 162)`, columns as in `TEXTURE_NAMES`.

    Example:
        >>> texture_features(clip).shape
        (16, 162)

    Reference:
        Haralick et al., Textural features for image classification, IEEE SMC 3 (1973), 610-621. Jain and Farrokhnia,
        Unsupervised texture segmentation using Gabor filters, 1991. Dalal and Triggs, Histograms of oriented gradients,
        CVPR 2005.
    """  # noqa: E501
    kernels = _gabor_kernels()
    return np.stack(
        [np.concatenate([_co_occurrence(gray), _gabor(gray, kernels), _gradients(gray)]) for gray in gray_frames(clip)]
    )


def _co_occurrence(gray: np.ndarray) -> np.ndarray:
    """Frame `uint8 (H, W)` to properties `float32 (10,)`."""
    matrices = skimage.feature.graycomatrix(
        gray // (256 // GRAY_LEVELS),
        PIXEL_DISTANCES,
        np.deg2rad(ANGLES_DEGREES),
        GRAY_LEVELS,
        symmetric=True,
        normed=True,
    )
    values = [skimage.feature.graycoprops(matrices, prop).mean(axis=1) for prop in PROPERTIES]
    return np.concatenate(values).astype(np.float32)


def _gabor_kernels() -> list[tuple[np.ndarray, np.ndarray]]:
    """Even and odd kernels of each angle, blind to a flat frame."""
    side, phases = 2 * WAVELENGTH_PIXELS + 1, (0, np.pi / 2)
    pairs = []
    for angle in np.deg2rad(ANGLES_DEGREES):
        even, odd = (
            cv2.getGaborKernel((side, side), WAVELENGTH_PIXELS / 2, angle, WAVELENGTH_PIXELS, 1.0, phase, cv2.CV_32F)
            for phase in phases
        )
        even -= even.mean()
        pairs.append((even / np.abs(even).sum(), odd / np.abs(odd).sum()))
    return pairs


def _gabor(gray: np.ndarray, kernels: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Frame `uint8 (H, W)` to the mean magnitudes of the responses, `float32 (8,)`."""
    # Waves twice as long are as long as the others in a picture half as large, at a sixteenth of the cost.
    pictures = [picture.astype(np.float32) for picture in (gray, cv2.pyrDown(gray))]
    magnitudes = [
        # OpenCV's magnitude rounds by where in memory the picture lies, so the same clip would differ between runs.
        np.hypot(cv2.filter2D(picture, -1, even), cv2.filter2D(picture, -1, odd)).mean()
        for picture in pictures
        for even, odd in kernels
    ]
    return np.array(magnitudes, np.float32)


def _gradients(gray: np.ndarray) -> np.ndarray:
    """Frame `uint8 (H, W)` to the histograms of its cells, `float32 (144,)`."""
    # One size for all, so that the number of columns does not depend on the frame's.
    small = cv2.resize(gray, (GRADIENT_SIDE_PIXELS,) * 2, interpolation=cv2.INTER_AREA)
    cell = GRADIENT_SIDE_PIXELS // GRADIENT_CELLS
    values = skimage.feature.hog(small, GRADIENT_BINS, (cell, cell), (GRADIENT_CELLS, GRADIENT_CELLS), "L2-Hys")
    return values.astype(np.float32)

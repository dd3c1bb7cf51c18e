"""Two frames in, where each pixel of the one is found in the other out."""

from __future__ import annotations

import cv2
import numpy as np

SMALLEST_SIDE = 12  # pixels, of the longer side; OpenCV's dense inverse search takes nothing smaller


def find_flow(target: np.ndarray, source: np.ndarray, is_fine: bool = False) -> np.ndarray:
    """Find each pixel of a frame in another frame, by dense inverse search.

    Args:
        target: `uint8 (H, W)`, gray, the longer side at least 12 pixels.
        source: `uint8 (H, W)`, gray.
        is_fine: take half as long again and be more exact.

    Returns:
        `float32 (H, W, 2)`, pixels to go from a place in `target` to that in `source`: columns, then rows.

    Example:
        >>> moved = move(source_frame, find_flow(target_gray, source_gray))

    Reference:
        Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016, https://arxiv.org/abs/1603.03590
    """
    preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM if is_fine else cv2.DISOPTICAL_FLOW_PRESET_FAST
    return cv2.DISOpticalFlow.create(preset).calc(target, source, None)


def move(source: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Bring the pixels of a frame to where the flow's target has them.

    Args:
        source: `(H, W, C)`.
        flow: `float32 (H, W, 2)`, as `find_flow` gives it, or a share of it for a place on the way.

    Returns:
        `(H, W, C)`, the dtype of `source`; beyond its edges the edge is repeated.

    Example:
        >>> halfway = move(source_frame, 0.5 * flow)
    """
    height, width = source.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    places = (columns + flow[..., 0]).astype(np.float32), (rows + flow[..., 1]).astype(np.float32)
    return cv2.remap(source, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

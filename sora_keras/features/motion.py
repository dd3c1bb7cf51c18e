"""A clip to the motion up to each frame: change, optical flow and its directions, motion history."""

from __future__ import annotations

import cv2
import numpy as np

from sora_keras.features.gray import gray_frames
from sora_keras.features.hu_moments import hu_moments
from sora_keras.video import Clip

CHANGED_LEVELS = 25
MOVING_PIXELS = 0.5
HISTORY_FRAMES = 8
GRID = 4
DIRECTIONS = ("right", "down_right", "down", "down_left", "left", "up_left", "up", "up_right")
SMALLEST_FLOW_SIDE_PIXELS = 16

MOTION_NAMES = (
    "motion_change_mean",
    "motion_change_std",
    "motion_changed",
    *(f"motion_change_row{row}_column{column}" for row in range(GRID) for column in range(GRID)),
    "motion_flow_x_mean",
    "motion_flow_y_mean",
    "motion_flow_x_std",
    "motion_flow_y_std",
    "motion_flow_length_mean",
    "motion_flow_length_std",
    "motion_flow_length_max",
    "motion_flow_moving",
    *(f"motion_flow_{direction}" for direction in DIRECTIONS),
    "motion_history_mean",
    "motion_history_active",
    *(f"motion_history_row{row}_column{column}" for row in range(GRID) for column in range(GRID)),
    *(f"motion_history_hu{index}" for index in range(1, 8)),
)


def motion_features(clip: Clip) -> np.ndarray:
    """Describe what moved between each frame and the one before it, and what moved lately.

    | columns | what | unit |
    |---|---|---|
    | `motion_change_{mean,std}` | absolute difference to the frame before | gray levels, 0 to 255 |
    | `motion_changed` | pixels that differ by 25 levels or more | share of the pixels |
    | `motion_change_row{0..3}_column{0..3}` | mean absolute difference in that cell of a 4 x 4 grid | gray levels |
    | `motion_flow_{x,y}_{mean,std}` | optical flow (DIS) to the right and downwards | pixels a frame |
    | `motion_flow_length_{mean,std,max}` | its length | pixels a frame |
    | `motion_flow_moving` | pixels whose flow is 0.5 pixels or longer | share of the pixels |
    | `motion_flow_{right,...,up_right}` | histogram of flow (HOF): lengths that point that way, to 22.5 degrees, over all pixels; they add up to the mean length | pixels a frame |
    | `motion_history_mean` | motion history image: 1 where a pixel has just changed by 25 levels, less by an eighth at each frame since | 0 to 1 |
    | `motion_history_active` | pixels that changed in the last 8 frames | share of the pixels |
    | `motion_history_row{0..3}_column{0..3}` | its mean in that cell of the grid | 0 to 1 |
    | `motion_history_hu{1..7}` | its Hu moments | see `hu_moments` |

    Args:
        clip: T frames, of any size. "A frame" in the units is the step from one frame to the next, however long.

    Returns:
        `float32 (T, 60)`, columns as in `MOTION_NAMES`. The first frame has nothing before it: zeros.

    Example:
        >>> motion_features(clip).shape
        (16, 60)

    Reference:
        Kroeger et al., Fast optical flow using dense inverse search, ECCV 2016. Laptev et al., Learning realistic human
        actions from movies, CVPR 2008 (HOF). Bobick and Davis, The recognition of human movement using temporal
        templates, PAMI 23 (2001), 257-267 (motion history).
    """  # noqa: E501
    gray = gray_frames(clip)
    history = np.zeros(gray.shape[1:], np.float32)
    features = np.zeros((len(gray), len(MOTION_NAMES)), np.float32)
    for index in range(1, len(gray)):
        change = cv2.absdiff(gray[index], gray[index - 1])
        history = motion_history(history, change)
        flow = optical_flow(gray[index - 1], gray[index])
        features[index] = np.concatenate([_describe_change(change), _describe_flow(flow), _describe_history(history)])
    return features


def optical_flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Find where every pixel of a frame went, to within a pixel if it went no farther than a tenth of the frame.

    Args:
        before: `uint8 (H, W)`, a gray frame of any size.
        after: the next one.

    Returns:
        `float32 (H, W, 2)`, pixels to the right and downwards.

    Example:
        >>> optical_flow(gray[0], gray[1]).shape
        (64, 64, 2)

    Reference:
        Kroeger et al., Fast optical flow using dense inverse search, ECCV 2016, https://arxiv.org/abs/1603.03590
    """
    height, width = before.shape
    # OpenCV refuses frames that are smaller than its patches.
    below, right = (max(0, SMALLEST_FLOW_SIDE_PIXELS - side) for side in (height, width))
    before, after = (cv2.copyMakeBorder(f, 0, below, 0, right, cv2.BORDER_REPLICATE) for f in (before, after))
    # Clips are small already: searching them at their full resolution, which the presets do not, more than halves the
    # error in the time of the medium preset.
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(0)
    return search.calc(before, after, None)[:height, :width]


def motion_history(history: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Carry a motion history image on by one frame.

    Args:
        history: `float32 (H, W)` in 0..1, as of the frame before; zeros at first.
        change: `uint8 (H, W)`, absolute difference of the frame to the one before.

    Returns:
        `float32 (H, W)`: 1 where the change is 25 levels or more, else an eighth less than before, at least 0.

    Example:
        >>> motion_history(np.zeros((1, 2), np.float32), np.array([[24, 25]], np.uint8))
        array([[0., 1.]], dtype=float32)
    """
    faded = np.maximum(history - np.float32(1 / HISTORY_FRAMES), 0)
    return np.where(change >= CHANGED_LEVELS, np.float32(1), faded)


def _describe_change(change: np.ndarray) -> np.ndarray:
    """Difference `uint8 (H, W)` to `(19,)`."""
    mean, std = cv2.meanStdDev(change)
    return np.concatenate([mean.ravel(), std.ravel(), [np.mean(change >= CHANGED_LEVELS)], _grid(change)])


def _describe_flow(flow: np.ndarray) -> np.ndarray:
    """Flow `float32 (H, W, 2)` to `(16,)`."""
    length, degrees = cv2.cartToPolar(flow[..., 0], flow[..., 1], angleInDegrees=True)
    (mean, std), (length_mean, length_std) = cv2.meanStdDev(flow), cv2.meanStdDev(length)
    num_directions = len(DIRECTIONS)
    direction = np.rint(degrees.ravel() * (num_directions / 360)).astype(np.int64) % num_directions
    histogram = np.bincount(direction, length.ravel(), num_directions) / length.size
    lengths = [length_mean.item(), length_std.item(), length.max(), np.mean(length >= MOVING_PIXELS)]
    return np.concatenate([mean.ravel(), std.ravel(), lengths, histogram])


def _describe_history(history: np.ndarray) -> np.ndarray:
    """Motion history `float32 (H, W)` to `(25,)`."""
    return np.concatenate([[history.mean(), np.mean(history > 0)], _grid(history), hu_moments(history)])


def _grid(values: np.ndarray) -> np.ndarray:
    """Means of `(H, W)` over the cells of the grid, row by row."""
    return cv2.resize(values.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA).ravel()

"""A video in, how much its pixels change along their motion from frame to frame out."""

from __future__ import annotations

import cv2
import numpy as np

from sora_keras.video.optical_flow import SMALLEST_SIDE, find_flow, move


def warping_error(video: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """Mean squared difference between each frame and the next one brought back along the motion.

    Pixels that are hidden in either frame, that leave the picture or that lie at the edge of a motion are left out.
    Low means steady, not good: a blurred or frozen video is steady too, so show PSNR beside it, and the error of the
    reference itself, which is not 0. With a clean reference all methods are measured along the same motion and the same
    pixels; the motion in a noisy video follows its noise.

    Args:
        video: `uint8 (T, H, W, 3)`, RGB, of at least two frames of at least 12x12 pixels.
        reference: the video to find motion in, of the same shape, such as the clean one; `None` takes `video`.

    Returns:
        `float64 (T - 1,)`, of pixel values from 0 to 1; NaN where no pixel is left.

    Raises:
        ValueError: if the videos do not match, or are not as above.

    Example:
        >>> warping_error(restored, clean).mean(), warping_error(clean).mean()  # doctest: +SKIP

    Reference:
        Lai et al., Learning Blind Video Temporal Consistency, ECCV 2018, https://arxiv.org/abs/1808.00449, section 4.2:
        E(t) = sum_i M_i |V_t(i) - warped V_{t+1}(i)|^2 / sum_i M_i, here over channels too; M by Ruder, Dosovitskiy and
        Brox, Artistic Style Transfer for Videos, 2016, https://arxiv.org/abs/1604.08610, equations 5 and 6. Their
        motion is FlowNet2's, ours that of dense inverse search: figures compare within this package only.
    """
    reference = video if reference is None else reference
    _check(video, reference)
    errors = np.full(len(video) - 1, np.nan)
    next_gray = cv2.cvtColor(reference[0], cv2.COLOR_RGB2GRAY)
    for index in range(len(errors)):
        gray, next_gray = next_gray, cv2.cvtColor(reference[index + 1], cv2.COLOR_RGB2GRAY)
        flow = find_flow(gray, next_gray, is_fine=True)
        seen = _seen_in_both(flow, find_flow(next_gray, gray, is_fine=True))
        if seen.any():
            difference = move(video[index + 1].astype(np.float32), flow) - video[index]
            errors[index] = np.mean((difference[seen] / 255) ** 2, dtype=np.float64)
    return errors


def _seen_in_both(flow: np.ndarray, flow_back: np.ndarray) -> np.ndarray:
    """Where `flow (H, W, 2)` can be trusted: going and coming back ends at the start, inside, off edges of motion."""
    height, width = flow.shape[:2]
    columns, rows = np.arange(width) + flow[..., 0], np.arange(height)[:, np.newaxis] + flow[..., 1]
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    back = move(flow_back, flow)
    length, length_back = (flow**2).sum(-1), (back**2).sum(-1)
    returns = ((flow + back) ** 2).sum(-1) <= 0.01 * (length + length_back) + 0.5
    down, right = np.gradient(flow, axis=(0, 1))
    smooth = (down**2 + right**2).sum(-1) <= 0.01 * length + 0.002
    return inside & returns & smooth


def _check(video: np.ndarray, reference: np.ndarray) -> None:
    for name, frames in (("video", video), ("reference", reference)):
        is_video = frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[-1] == 3
        if not is_video or len(frames) < 2 or min(frames.shape[1:3]) < SMALLEST_SIDE:
            raise ValueError(
                f"`{name}` must be uint8 of shape (T, H, W, 3), of at least 2 frames of at least "
                f"{SMALLEST_SIDE}x{SMALLEST_SIDE} pixels, received {frames.dtype} of shape {frames.shape}."
            )
    if video.shape != reference.shape:
        raise ValueError(f"`video` and `reference` must have one shape, received {video.shape} and {reference.shape}.")

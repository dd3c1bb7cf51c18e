"""A noisy `Clip` in, the same clip with less noise out: filters over space, over time, and along the motion.

Which one? `denoise_along_motion` where quality counts, `bilateral_over_space` where frames stand alone or time is
short; the Gaussians and medians where they must equal the layers of `sora_keras.layers` to the level. PSNR gained in
dB, mean over eight clean clips of 480x270 with added Gaussian noise, parameters chosen for each sigma on other clips
(with the default parameters in brackets), and milliseconds a frame on one thread, from
`tests/benchmarks/cleaning.py`:

| noise sigma, levels of 255 | 10            | 25            | 50            | ms |
|----------------------------|---------------|---------------|---------------|----|
| `denoise_along_motion`     | 8.5 (8.2)     | 11.6 (11.5)   | 12.0 (11.8)   | 45 |
| `bilateral_over_space`     | 6.7 (6.7)     | 8.2 (8.3)     | 8.7 (8.8)     | 7  |
| `gaussian_over_space`      | 2.3 (1.5)     | 5.8 (6.0)     | 8.1 (7.3)     | 1  |
| `median_over_space`        | 1.2 (1.2)     | 4.5 (4.8)     | 7.5 (5.9)     | 1  |
| `gaussian_over_time`       | 0.9 (0.8)     | 4.6 (4.6)     | 6.1 (5.8)     | 2  |
| `median_over_time`         | 0.6 (0.2)     | 3.2 (3.2)     | 4.0 (4.0)     | 1  |
| OpenCV's NLM, 3 frames     | 6.2           | 8.7           | 9.6           | 480|

The default parameters do best on average over the three sigmas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from sora_keras.video.clip import Clip
from sora_keras.video.optical_flow import SMALLEST_SIDE, find_flow, move


def gaussian_over_space(clip: Clip, sigma_pixels: float = 0.8) -> Clip:
    """Average each pixel with its neighbors in the frame, the near ones most.

    Args:
        clip: the noisy clip.
        sigma_pixels: standard deviation of the weights; 0.5 suits noise of sigma 10, 0.8 of 25, 1.3 of 50.

    Returns:
        The clip, smoother.

    Raises:
        ValueError: if `sigma_pixels` is not positive.

    Example:
        >>> gaussian_over_space(clip, sigma_pixels=1.5)
    """
    _check_positive("sigma_pixels", sigma_pixels)
    return _each_frame(clip, lambda frame: cv2.GaussianBlur(frame, (0, 0), sigma_pixels))


def median_over_space(clip: Clip, size_pixels: int = 3) -> Clip:
    """Replace each pixel by the median of its square neighborhood: removes single wild pixels, keeps edges.

    Args:
        clip: the noisy clip.
        size_pixels: side of the square, odd.

    Returns:
        The clip, each channel filtered on its own.

    Raises:
        ValueError: if `size_pixels` is even or less than 3.

    Example:
        >>> median_over_space(clip, size_pixels=5)
    """
    _check_odd("size_pixels", size_pixels)
    return _each_frame(clip, lambda frame: cv2.medianBlur(frame, size_pixels))


def bilateral_over_space(clip: Clip, noise_sigma: float | None = None, color_tolerance: float = 4.0) -> Clip:
    """Average each pixel with those of its neighbors in the frame that have about its color: edges stay sharp.

    Args:
        clip: the noisy clip.
        noise_sigma: standard deviation of the noise, in levels of 0..255; `None` estimates it, see `estimate_noise`.
        color_tolerance: standard deviation of the weights over color, in multiples of `noise_sigma`.

    Returns:
        The clip, smoother inside its regions.

    Raises:
        ValueError: if a number is not positive.

    Example:
        >>> bilateral_over_space(clip, noise_sigma=25)

    Reference:
        Tomasi and Manduchi, Bilateral filtering for gray and color images, ICCV 1998.
    """
    _check_positive("color_tolerance", color_tolerance)
    noise_sigma = _noise_sigma(clip, noise_sigma)
    if noise_sigma == 0:
        return clip
    return _each_frame(clip, lambda frame: cv2.bilateralFilter(frame, 7, color_tolerance * noise_sigma, 2.0))


def gaussian_over_time(clip: Clip, sigma_frames: float = 1.5) -> Clip:
    """Average each frame with its neighbors in time, the near ones most. What moves leaves a trail.

    Args:
        clip: the noisy clip.
        sigma_frames: standard deviation of the weights, in frames; less than 1 where much moves.

    Returns:
        The clip; before its first frame and after its last one those frames are repeated.

    Raises:
        ValueError: if `sigma_frames` is not positive.

    Example:
        >>> gaussian_over_time(clip, sigma_frames=1.2)
    """
    _check_positive("sigma_frames", sigma_frames)
    radius = math.ceil(3 * sigma_frames)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_frames) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)

    def average(window: list[np.ndarray]) -> np.ndarray:
        total = np.zeros(window[0].shape, np.float32)
        for weight, frame in zip(weights, window, strict=True):
            total += weight * frame
        return np.rint(total).astype(np.uint8)

    return _replace_frames(clip, (average(window) for window in _windows(clip.frames, radius)))


def median_over_time(clip: Clip, num_frames: int = 5) -> Clip:
    """Replace each pixel by its median over neighboring frames: what shows in one frame only vanishes.

    Args:
        clip: the noisy clip.
        num_frames: frames in the neighborhood, odd.

    Returns:
        The clip; before its first frame and after its last one those frames are repeated.

    Raises:
        ValueError: if `num_frames` is even or less than 3.

    Example:
        >>> median_over_time(clip, num_frames=5)
    """
    _check_odd("num_frames", num_frames)
    return _replace_frames(clip, (_median(window) for window in _windows(clip.frames, num_frames // 2)))


def denoise_along_motion(
    clip: Clip, noise_sigma: float | None = None, num_neighbors: int = 2, color_tolerance: float = 1.5
) -> Clip:
    """Average each frame with its neighbors moved into its place, then smooth what noise is left within the frame.

    Optical flow says where each pixel of a frame is found in the neighboring frames. Where a neighbor, so moved, still
    differs by more than the noise explains (something was hidden, or the flow is wrong), it has no weight. The rest of
    the noise is left to a bilateral filter.

    Args:
        clip: the noisy clip, its frames close in time.
        noise_sigma: standard deviation of the noise, in levels of 0..255; `None` estimates it, see `estimate_noise`.
        num_neighbors: frames to use on each side; 1 takes half the time and suits sigma 10, 3 gains 0.1 dB at 25.
        color_tolerance: of the bilateral filter at the end, in multiples of `noise_sigma`.

    Returns:
        The clip with less noise; the shape and the times are the same.

    Raises:
        ValueError: if a number is not positive, or both sides of the frames are smaller than 12 pixels.

    Example:
        >>> denoise_along_motion(clip, noise_sigma=25)

    Reference:
        Dubois and Sabri, Noise Reduction in Image Sequences Using Motion-Compensated Temporal Filtering, 1984,
        https://doi.org/10.1109/TCOM.1984.1096143; the flow is that of `sora_keras.video.optical_flow`.
    """
    _check_positive("num_neighbors", num_neighbors)
    height, width = clip.frames.shape[1:3]
    if max(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"Motion is found in frames of at least {SMALLEST_SIDE} pixels on the longer side, received {height} "
            f"x {width}: use larger frames or `bilateral_over_space`."
        )
    noise_sigma = _noise_sigma(clip, noise_sigma)
    if noise_sigma == 0:
        return clip
    frames = clip.frames
    grays = [_gray_for_flow(frame, noise_sigma) for frame in frames]

    def average(center: int) -> np.ndarray:
        first, end = max(0, center - num_neighbors), min(len(frames), center + num_neighbors + 1)
        neighbors = [index for index in range(first, end) if index != center]
        moved = (move(frames[index], find_flow(grays[center], grays[index])) for index in neighbors)
        return _average_alike(frames[center], moved, noise_sigma)

    averages = _replace_frames(clip, map(average, range(len(frames))))
    return bilateral_over_space(averages, noise_sigma, color_tolerance)


def estimate_noise(clip: Clip) -> float:
    """Estimate the standard deviation of a clip's noise, in levels of 0..255.

    The median absolute response to a mask that cancels flat and evenly changing areas. Texture raises it by at most
    about 1 level; strong noise is underestimated (43 for 50), as it is cut off at black and white.

    Args:
        clip: the clip.

    Returns:
        The median over frames; about 1 for a clean video.

    Example:
        >>> estimate_noise(clip)

    Reference:
        The mask is that of Immerkaer, Fast Noise Variance Estimation, 1996, https://doi.org/10.1006/cviu.1996.0060
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    medians = [np.median(np.abs(cv2.filter2D(frame, cv2.CV_32F, mask))) for frame in clip.frames]
    # 6 is the mask's norm, 0.6745 the median of the absolute value of a standard normal variable.
    return float(np.median(medians)) / (6 * 0.6745)


def _gray_for_flow(frame: np.ndarray, noise_sigma: float) -> np.ndarray:
    """Gray and blurred as much as the noise asks for, so that the flow follows the picture."""
    return cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (0, 0), max(0.8, math.sqrt(noise_sigma / 10)))


def _average_alike(frame: np.ndarray, others: Iterator[np.ndarray], noise_sigma: float) -> np.ndarray:
    """The mean of a frame and others, which count where noise alone can explain that they differ."""
    smooth = _smooth(frame)
    total, total_weight = frame.astype(np.float32), np.ones((*frame.shape[:2], 1), np.float32)
    for other in others:
        squared_difference = np.square(_smooth(other) - smooth).mean(axis=-1, keepdims=True)
        weight = np.exp(-squared_difference / (2 * (0.6 * noise_sigma) ** 2))
        total += weight * other
        total_weight += weight
    return np.rint(total / total_weight).astype(np.uint8)


def _smooth(frame: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 1.5)


def _median(frames: list[np.ndarray]) -> np.ndarray:
    """The median of an odd number of arrays, by dropping the smallest and the largest until one is left."""
    num_kept = len(frames) // 2 + 2
    kept, waiting = list(frames[:num_kept]), list(frames[num_kept:])
    while True:
        for index in range(1, len(kept)):
            kept[0], kept[index] = np.minimum(kept[0], kept[index]), np.maximum(kept[0], kept[index])
        for index in range(1, len(kept) - 1):
            kept[index], kept[-1] = np.minimum(kept[index], kept[-1]), np.maximum(kept[index], kept[-1])
        kept = kept[1:-1]
        if not waiting:
            return kept[0]
        kept.append(waiting.pop())


def _windows(frames: np.ndarray, radius: int) -> Iterator[list[np.ndarray]]:
    """Around each frame the `2 * radius + 1` nearest ones; beyond the ends the last one there is."""
    last = len(frames) - 1
    for center in range(len(frames)):
        yield [frames[min(max(index, 0), last)] for index in range(center - radius, center + radius + 1)]


def _each_frame(clip: Clip, filter_frame: Callable[[np.ndarray], np.ndarray]) -> Clip:
    return _replace_frames(clip, (filter_frame(np.ascontiguousarray(frame)) for frame in clip.frames))


def _replace_frames(clip: Clip, frames: Iterator[np.ndarray]) -> Clip:
    return Clip(np.stack(list(frames)), clip.times)


def _noise_sigma(clip: Clip, noise_sigma: float | None) -> float:
    if noise_sigma is None:
        return estimate_noise(clip)
    _check_positive("noise_sigma", noise_sigma)
    return noise_sigma


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` must be a positive number, received {value!r}.")


def _check_odd(name: str, value: int) -> None:
    if value < 3 or value % 2 == 0:
        raise ValueError(f"`{name}` must be an odd number of at least 3, received {value!r}.")

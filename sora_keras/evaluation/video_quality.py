"""A video and what it should look like in, how alike they are frame by frame out: PSNR, SSIM and MS-SSIM."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

PEAK = 255.0
WINDOW, SIGMA = 11, 1.5  # pixels: side and spread of the Gaussian window
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SMALLEST_SIDE = (WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1  # still a window's side at the coarsest scale
LUMA_WEIGHTS, LUMA_OFFSET = np.array([65.481, 128.553, 24.966]) / PEAK, 16.0


def psnr(video: np.ndarray, reference: np.ndarray, luma: bool = False, border: int = 0) -> np.ndarray:
    """Peak signal-to-noise ratio of each frame, in dB.

    A peak of 255 over the mean squared error of a frame's pixels and channels. Conventions differ: that of a video is
    the mean over its frames here, `psnr(...).mean()`; denoising papers take RGB, super-resolution papers `luma=True`
    and `border=scale`.

    Args:
        video: `uint8 (T, H, W, C)` of 3 channels, RGB, or 1; or one frame `(H, W, C)`.
        reference: what it should look like, of the same shape.
        luma: compare BT.601 luma of studio range, 16 to 235 and not rounded, instead of RGB.
        border: pixels along each edge to leave out.

    Returns:
        `float64 (T,)`, of shape `()` for one frame; infinite where a frame is the same as its reference.

    Raises:
        ValueError: if the two are not uint8, do not match, or nothing is left inside the border.

    Example:
        >>> noisy = np.full((1, 16, 16, 3), 110, np.uint8)
        >>> psnr(noisy, noisy - 10).round(2)  # 20 log10(255 / 10)
        array([28.13])

    Reference:
        PSNR = 10 log10(255^2 / MSE); Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, ITU-R BT.601.
    """
    return _each_frame(_psnr, video, reference, luma, border, smallest_side=1)


def ssim(video: np.ndarray, reference: np.ndarray, luma: bool = False, border: int = 0) -> np.ndarray:
    """Structural similarity of each frame, at most 1.

    As first published: a Gaussian window of 11 pixels and sigma 1.5, population covariance, windows that lie inside
    the frame only, each channel alone and then their mean. TensorFlow's averages in float32, and is wrong by 0.01 on
    frames of 1920x1080 on a CPU; this averages in float64.

    Args:
        video: `uint8 (T, H, W, C)` of 3 channels, RGB, or 1; or one frame `(H, W, C)`.
        reference: what it should look like, of the same shape.
        luma: compare luma, as in `psnr`.
        border: pixels along each edge to leave out.

    Returns:
        `float64 (T,)`, of shape `()` for one frame; 1 where a frame is the same as its reference.

    Raises:
        ValueError: if the two are not uint8, do not match, or have fewer than 11x11 pixels inside the border.

    Example:
        >>> ssim(denoised, clean).mean()  # doctest: +SKIP

    Reference:
        Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE Transactions on
        Image Processing 13(4), 2004.
    """
    return _each_frame(_ssim, video, reference, luma, border, smallest_side=WINDOW)


def ms_ssim(video: np.ndarray, reference: np.ndarray, luma: bool = False, border: int = 0) -> np.ndarray:
    """Structural similarity of each frame at five scales, at most 1.

    Contrast and structure count at every scale, luminance at the coarsest. A scale is halved by the mean of 2x2 pixels,
    an odd last row or column repeated. Negative terms count as 0, as TensorFlow has it.

    Args:
        video: `uint8 (T, H, W, C)` of 3 channels, RGB, or 1; or one frame `(H, W, C)`.
        reference: what it should look like, of the same shape.
        luma: compare luma, as in `psnr`.
        border: pixels along each edge to leave out.

    Returns:
        `float64 (T,)`, of shape `()` for one frame; 1 where a frame is the same as its reference.

    Raises:
        ValueError: if the two are not uint8, do not match, or have fewer than 161x161 pixels inside the border.

    Example:
        >>> ms_ssim(denoised, clean).mean()  # doctest: +SKIP

    Reference:
        Wang, Simoncelli and Bovik, Multiscale Structural Similarity for Image Quality Assessment, Asilomar Conference
        on Signals, Systems and Computers, 2003; weights 0.0448, 0.2856, 0.3001, 0.2363, 0.1333.
    """
    return _each_frame(_ms_ssim, video, reference, luma, border, smallest_side=SMALLEST_SIDE)


def _psnr(frame: np.ndarray, reference: np.ndarray) -> float:
    squared_error = np.mean((frame - reference) ** 2)
    return float(10 * np.log10(PEAK**2 / squared_error)) if squared_error else float("inf")


def _ssim(frame: np.ndarray, reference: np.ndarray) -> float:
    return float(_similarities(frame, reference)[0].mean())


def _ms_ssim(frame: np.ndarray, reference: np.ndarray) -> float:
    product = np.ones(frame.shape[-1])
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            frame, reference = _halve(frame), _halve(reference)
        with_luminance, without = _similarities(frame, reference)
        is_coarsest = scale == len(SCALE_WEIGHTS) - 1
        product *= np.maximum(with_luminance if is_coarsest else without, 0) ** weight
    return float(product.mean())


def _similarities(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SSIM of each channel `(C,)`, and the same without its luminance term."""
    mean_x, mean_y = _window_means(x), _window_means(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = _window_means(x * y) - product, _window_means(x**2 + y**2) - squares
    without_luminance = (2 * covariance + C2) / (variances + C2)
    luminance = (2 * product + C1) / (squares + C1)
    return (luminance * without_luminance).mean(axis=(0, 1)), without_luminance.mean(axis=(0, 1))


def _window_means(image: np.ndarray) -> np.ndarray:
    """Means under a Gaussian window wherever it lies inside `(H, W, C)`."""
    margin = WINDOW // 2
    # OpenCV drops a last axis of one.
    blurred = cv2.GaussianBlur(image, (WINDOW, WINDOW), SIGMA).reshape(image.shape)
    return blurred[margin:-margin, margin:-margin]


def _halve(image: np.ndarray) -> np.ndarray:
    height, width, channels = image.shape
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, channels).mean(axis=(1, 3))


def _each_frame(
    measure: Callable[[np.ndarray, np.ndarray], float],
    video: np.ndarray,
    reference: np.ndarray,
    luma: bool,
    border: int,
    smallest_side: int,
) -> np.ndarray:
    """Measure one frame after the other: no more than one is ever held as float64."""
    _check_pair(video, reference, luma)
    height, width = video.shape[-3] - 2 * border, video.shape[-2] - 2 * border
    if border < 0 or min(height, width) < smallest_side:
        raise ValueError(
            f"Frames must have at least {smallest_side}x{smallest_side} pixels inside the border, received "
            f"{video.shape[-3]}x{video.shape[-2]} with a border of {border}."
        )

    def prepare(frame: np.ndarray) -> np.ndarray:
        inside = frame[border : border + height, border : border + width].astype(np.float64)
        return (inside @ LUMA_WEIGHTS + LUMA_OFFSET)[..., np.newaxis] if luma else inside

    measured = np.empty(video.shape[:-3])
    for index in np.ndindex(measured.shape):
        measured[index] = measure(prepare(video[index]), prepare(reference[index]))
    return measured


def _check_pair(video: np.ndarray, reference: np.ndarray, luma: bool) -> None:
    for name, frames in (("video", video), ("reference", reference)):
        if frames.dtype != np.uint8 or frames.ndim < 3 or frames.shape[-1] not in ((3,) if luma else (1, 3)):
            channels = "3" if luma else "3 or 1"
            raise ValueError(
                f"`{name}` must be uint8 of shape (T, H, W, C) with {channels} channels, received {frames.dtype} of "
                f"shape {frames.shape}: round and clip floats first."
            )
    if video.shape != reference.shape:
        raise ValueError(f"`video` and `reference` must have one shape, received {video.shape} and {reference.shape}.")

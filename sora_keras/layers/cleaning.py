"""Noisy clips in, the same clips with less noise out, inside the graph: the layers of `sora_keras.video.denoising`.

Each layer gives what the function of its name gives on `uint8` clips, to one level; which one to take is said there.
They learn nothing, act in training and at inference alike, and keep dtype and shape.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

TIME, ROWS, COLUMNS = -4, -3, -2  # axes of (B, T, H, W, C) and of (T, H, W, C)


@keras.saving.register_keras_serializable(package="sora_keras")
class GaussianOverSpace(keras.layers.Layer):
    """Average each pixel with its neighbors in the frame, the near ones most.

    Args:
        sigma_pixels: standard deviation of the weights.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype.

    Returns:
        Frames of the same shape and dtype.

    Raises:
        ValueError: if `sigma_pixels` is not positive.

    Example:
        >>> frames = GaussianOverSpace(0.8)(frames)
    """

    def __init__(self, sigma_pixels: float = 0.8, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        _check_positive("sigma_pixels", sigma_pixels)
        self.sigma_pixels = sigma_pixels

    def call(self, frames: Any) -> Any:
        """Down the columns, then along the rows."""
        radius = round(3 * self.sigma_pixels)  # as OpenCV has it for uint8
        outputs = ops.cast(frames, self.compute_dtype)
        for axis in (ROWS, COLUMNS):
            outputs = _weighted_mean(outputs, axis, radius, self.sigma_pixels, mirror=True)
        return _as_dtype(outputs, frames.dtype)

    def compute_output_spec(self, frames: Any) -> Any:
        """As came in."""
        return keras.KerasTensor(frames.shape, dtype=frames.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "sigma_pixels": self.sigma_pixels}


@keras.saving.register_keras_serializable(package="sora_keras")
class GaussianOverTime(keras.layers.Layer):
    """Average each frame with its neighbors in time, the near ones most. What moves leaves a trail.

    Args:
        sigma_frames: standard deviation of the weights.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype.

    Returns:
        Frames of the same shape and dtype; beyond the ends the end frames are repeated.

    Raises:
        ValueError: if `sigma_frames` is not positive.

    Example:
        >>> frames = GaussianOverTime(1.5)(frames)
    """

    def __init__(self, sigma_frames: float = 1.5, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        _check_positive("sigma_frames", sigma_frames)
        self.sigma_frames = sigma_frames

    def call(self, frames: Any) -> Any:
        """A weighted mean over shifted clips."""
        outputs = ops.cast(frames, self.compute_dtype)
        outputs = _weighted_mean(outputs, TIME, math.ceil(3 * self.sigma_frames), self.sigma_frames, mirror=False)
        return _as_dtype(outputs, frames.dtype)

    def compute_output_spec(self, frames: Any) -> Any:
        """As came in."""
        return keras.KerasTensor(frames.shape, dtype=frames.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "sigma_frames": self.sigma_frames}


@keras.saving.register_keras_serializable(package="sora_keras")
class MedianOverSpace(keras.layers.Layer):
    """Replace each pixel by the median of its square neighborhood: removes single wild pixels, keeps edges.

    Args:
        size_pixels: side of the square, odd.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype.

    Returns:
        Frames of the same shape and dtype.

    Raises:
        ValueError: if `size_pixels` is even or less than 3.

    Example:
        >>> frames = MedianOverSpace(3)(frames)
    """

    def __init__(self, size_pixels: int = 3, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        _check_odd("size_pixels", size_pixels)
        self.size_pixels = size_pixels

    def call(self, frames: Any) -> Any:
        """The median of shifted clips."""
        radius = self.size_pixels // 2
        rows = _shifts(frames, ROWS, radius, mirror=False)
        return _median([shifted for row in rows for shifted in _shifts(row, COLUMNS, radius, mirror=False)])

    def compute_output_spec(self, frames: Any) -> Any:
        """As came in."""
        return keras.KerasTensor(frames.shape, dtype=frames.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "size_pixels": self.size_pixels}


@keras.saving.register_keras_serializable(package="sora_keras")
class MedianOverTime(keras.layers.Layer):
    """Replace each pixel by its median over neighboring frames: what shows in one frame only vanishes.

    Args:
        num_frames: frames in the neighborhood, odd.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype.

    Returns:
        Frames of the same shape and dtype; beyond the ends the end frames are repeated.

    Raises:
        ValueError: if `num_frames` is even or less than 3.

    Example:
        >>> frames = MedianOverTime(5)(frames)
    """

    def __init__(self, num_frames: int = 5, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        _check_odd("num_frames", num_frames)
        self.num_frames = num_frames

    def call(self, frames: Any) -> Any:
        """The median of shifted clips."""
        return _median(_shifts(frames, TIME, self.num_frames // 2, mirror=False))

    def compute_output_spec(self, frames: Any) -> Any:
        """As came in."""
        return keras.KerasTensor(frames.shape, dtype=frames.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "num_frames": self.num_frames}


@keras.saving.register_keras_serializable(package="sora_keras")
class BilateralOverSpace(keras.layers.Layer):
    """Average each pixel with those of its neighbors in the frame that have about its color: edges stay sharp.

    Args:
        noise_sigma: standard deviation of the noise, in the frames' own units.
        color_tolerance: standard deviation of the weights over color, in multiples of `noise_sigma`.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype.

    Returns:
        Frames of the same shape and dtype.

    Raises:
        ValueError: if a number is not positive.

    Example:
        >>> frames = BilateralOverSpace(noise_sigma=25)(frames)

    Reference:
        Tomasi and Manduchi, Bilateral filtering for gray and color images, ICCV 1998.
    """

    def __init__(self, noise_sigma: float, color_tolerance: float = 4.0, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        _check_positive("noise_sigma", noise_sigma)
        _check_positive("color_tolerance", color_tolerance)
        self.noise_sigma = noise_sigma
        self.color_tolerance = color_tolerance

    def call(self, frames: Any) -> Any:
        """A mean of shifted clips over a disk, weighted by distance in space and in color."""
        radius, sigma_space, sigma_color = 3, 2.0, self.color_tolerance * self.noise_sigma
        inputs = ops.cast(frames, self.compute_dtype)
        total, total_weight = ops.zeros_like(inputs), ops.zeros_like(inputs[..., :1])
        for row, shifted_rows in enumerate(_shifts(inputs, ROWS, radius, mirror=True), -radius):
            for column, shifted in enumerate(_shifts(shifted_rows, COLUMNS, radius, mirror=True), -radius):
                squared_distance = row**2 + column**2
                if squared_distance > radius**2:
                    continue
                color_distance = ops.sum(ops.abs(shifted - inputs), axis=-1, keepdims=True)
                exponent = -squared_distance / (2 * sigma_space**2) - ops.square(color_distance / sigma_color) / 2
                weight = ops.exp(exponent)
                total, total_weight = total + weight * shifted, total_weight + weight
        return _as_dtype(total / total_weight, frames.dtype)

    def compute_output_spec(self, frames: Any) -> Any:
        """As came in."""
        return keras.KerasTensor(frames.shape, dtype=frames.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "noise_sigma": self.noise_sigma, "color_tolerance": self.color_tolerance}


def _shifts(frames: Any, axis: int, radius: int, mirror: bool) -> list[Any]:
    """The frames shifted by `-radius` to `radius` along an axis; beyond the ends mirrored, or the end repeated."""
    axis += len(frames.shape)
    length = ops.shape(frames)[axis]
    positions = ops.arange(-radius, length + radius, dtype="int32")
    if mirror:
        # The end itself is not repeated, so that the average does not lean on it.
        positions = ops.abs(positions)
        positions = (length - 1) - ops.abs((length - 1) - positions)
    padded = ops.take(frames, ops.clip(positions, 0, length - 1), axis=axis)
    before = (slice(None),) * axis
    return [padded[before + (slice(start, start + length),)] for start in range(2 * radius + 1)]


def _weighted_mean(frames: Any, axis: int, radius: int, sigma: float, mirror: bool) -> Any:
    """With the weights of a normal distribution."""
    weights = [math.exp(-0.5 * (distance / sigma) ** 2) for distance in range(-radius, radius + 1)]
    shifts = _shifts(frames, axis, radius, mirror)
    return sum(weight / sum(weights) * shifted for weight, shifted in zip(weights, shifts, strict=True))


def _median(tensors: list[Any]) -> Any:
    """The median of an odd number of tensors, by dropping the smallest and the largest until one is left."""
    num_kept = len(tensors) // 2 + 2
    kept, waiting = tensors[:num_kept], tensors[num_kept:]
    while True:
        for index in range(1, len(kept)):
            kept[0], kept[index] = ops.minimum(kept[0], kept[index]), ops.maximum(kept[0], kept[index])
        for index in range(1, len(kept) - 1):
            kept[index], kept[-1] = ops.minimum(kept[index], kept[-1]), ops.maximum(kept[index], kept[-1])
        kept = kept[1:-1]
        if not waiting:
            return kept[0]
        kept.append(waiting.pop())


def _as_dtype(frames: Any, dtype: str) -> Any:
    """Back to the frames' dtype, whole numbers rounded; a mean needs no clipping."""
    return ops.cast(ops.round(frames) if "int" in keras.backend.standardize_dtype(dtype) else frames, dtype)


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` must be a positive number, received {value!r}.")


def _check_odd(name: str, value: int) -> None:
    if value < 3 or value % 2 == 0:
        raise ValueError(f"`{name}` must be an odd number of at least 3, received {value!r}.")

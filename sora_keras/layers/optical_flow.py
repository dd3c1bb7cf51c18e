"""Frames in, where each part of the frame before went out: optical flow inside the graph, without weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

SMALLEST_SIDE = 6  # of the coarsest pictures
LARGEST_STEP = 1.0  # cells an iteration; what is farther is found on a coarser picture
GRADIENT_NOISE = 1e-4  # squared slope, in grays of 0..1 a cell, below which a picture counts as flat


@keras.saving.register_keras_serializable(package="sora_keras")
class OpticalFlow(keras.layers.Layer):
    """Follow every cell of the frame before to the frame, from coarse pictures to fine ones. Causal.

    Pyramidal Lucas-Kanade: at each level a window around each cell is moved until its grays agree, by Gauss-Newton
    steps. Flat places, which could have gone anywhere, stay where a coarser picture put them. The first frame has no
    flow.

    Args:
        stride: pixels of a frame to a cell of the flow, in each direction.
        window: side of the windows whose average, taken twice, is compared; in cells, odd.
        num_iterations: steps at each level.

    Call arguments:
        frames: `(B, T, H, W, C)` in 0..255, any dtype; the mean of the channels is compared.

    Returns:
        `float32 (B, T, H // stride, W // stride, 2)`: pixels of the frame, to the right and downwards.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> OpticalFlow()(keras.Input((16, 64, 64, 3))).shape
        (None, 16, 32, 32, 2)

    Reference:
        Bouguet, Pyramidal Implementation of the Lucas Kanade Feature Tracker, 2000. Baker and Matthews, Lucas-Kanade 20
        Years On: A Unifying Framework, 2004.
    """

    def __init__(self, stride: int = 2, window: int = 5, num_iterations: int = 3, **kwargs: Any) -> None:
        # Half precision would lose what flow is made of, small differences of grays.
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        for name, value in (("stride", stride), ("window", window), ("num_iterations", num_iterations)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, received {value!r}.")
        if window % 2 == 0:
            raise ValueError(f"`window` must be odd, to have a middle, received {window!r}.")
        self.stride = stride
        self.window = window
        self.num_iterations = num_iterations

    def call(self, frames: Any) -> Any:
        """Pairs of pictures, halved again and again, then followed from the smallest to the largest."""
        gray = ops.mean(ops.cast(frames, "float32") / 255, axis=-1)
        pairs = ops.stack([ops.concatenate([gray[:, :1], gray[:, :-1]], axis=1), gray], axis=-1)
        num_clips, num_frames, *size = ops.shape(pairs)
        pictures = [_shrink(ops.reshape(pairs, (-1, *size)), self.stride)]
        while min(pictures[-1].shape[1:3]) >= 2 * SMALLEST_SIDE:
            pictures.append(_shrink(pictures[-1], 2))
        flow = ops.zeros_like(pictures[-1])
        for picture in reversed(pictures):
            flow = self._follow(picture, _enlarge(flow, *picture.shape[1:3]))
        return ops.reshape(flow * self.stride, (num_clips, num_frames, *flow.shape[1:]))

    def _follow(self, picture: Any, flow: Any) -> Any:
        """Picture pairs `(N, h, w, 2)` and the flow known so far to better flow, both `(N, h, w, 2)` in cells."""
        before, after = picture[..., 0], picture[..., 1]
        slope_x, slope_y = _slopes(before)
        products = self._average([slope_x * slope_x, slope_x * slope_y, slope_y * slope_y])
        xx, xy, yy = products[..., 0] + GRADIENT_NOISE, products[..., 1], products[..., 2] + GRADIENT_NOISE
        determinant = xx * yy - xy * xy
        for _ in range(self.num_iterations):
            # Solving for the whole flow, not for the step alone, keeps neighbors, each followed by itself, together.
            missing = before - _sample(after, flow) + slope_x * flow[..., 0] + slope_y * flow[..., 1]
            towards = self._average([slope_x * missing, slope_y * missing]) + GRADIENT_NOISE * flow
            x, y = towards[..., 0], towards[..., 1]
            solved = ops.stack([(yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant], axis=-1)
            flow = flow + ops.clip(solved - flow, -LARGEST_STEP, LARGEST_STEP)
        return flow

    def _average(self, channels: list[Any]) -> Any:
        """Over the window around each cell, twice: the middle must weigh most, or the steps diverge."""
        averages = ops.stack(channels, axis=-1)
        for _ in range(2):
            averages = ops.average_pool(averages, self.window, strides=1, padding="same")
        return averages

    def compute_output_spec(self, frames: Any) -> Any:
        """Two numbers a cell."""
        num_clips, num_frames, height, width, _ = frames.shape
        return keras.KerasTensor((num_clips, num_frames, height // self.stride, width // self.stride, 2), "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        arguments = {"stride": self.stride, "window": self.window, "num_iterations": self.num_iterations}
        return {**super().get_config(), **arguments}


def _shrink(picture: Any, factor: int) -> Any:
    """Averages of squares of cells; the strides are given because Keras gets them wrong on JAX otherwise."""
    return ops.average_pool(picture, factor, strides=factor)


def _enlarge(flow: Any, height: int, width: int) -> Any:
    """Flow of a coarser picture, in the cells of one of that size."""
    if tuple(flow.shape[1:3]) == (height, width):
        return flow
    return 2.0 * ops.image.resize(flow, (height, width), interpolation="bilinear", data_format="channels_last")


def _slopes(picture: Any) -> tuple[Any, Any]:
    """Central differences of `(N, h, w)` to the right and downwards; at the border, half of what is known."""
    padded = ops.pad(picture, ((0, 0), (1, 1), (1, 1)), mode="symmetric")
    slope_x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    slope_y = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    return slope_x, slope_y


def _sample(picture: Any, flow: Any) -> Any:
    """The grays of `(N, h, w)` where the flow points, between the four cells around; outside, those of the border."""
    height, width = picture.shape[1:]
    columns = ops.arange(width, dtype="float32") + flow[..., 0]
    rows = ops.expand_dims(ops.arange(height, dtype="float32"), -1) + flow[..., 1]
    columns, rows = ops.clip(columns, 0, width - 1), ops.clip(rows, 0, height - 1)
    left, top = ops.floor(ops.minimum(columns, width - 2)), ops.floor(ops.minimum(rows, height - 2))
    right_share, lower_share = columns - left, rows - top
    corner = ops.cast(ops.reshape(top * width + left, (-1, height * width)), "int32")
    grays = ops.reshape(picture, (-1, height * width))

    def look(offset: int) -> Any:
        return ops.reshape(ops.take_along_axis(grays, corner + offset, axis=1), (-1, height, width))

    upper = look(0) * (1 - right_share) + look(1) * right_share
    lower = look(width) * (1 - right_share) + look(width + 1) * right_share
    return upper * (1 - lower_share) + lower * lower_share

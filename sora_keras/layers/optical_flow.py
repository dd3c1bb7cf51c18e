"""Frames in, where each part of the frame before went out: optical flow inside the graph, without weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sora_keras.layers.warping import warp

SMALLEST_SIDE = 6  # of the coarsest pictures
LARGEST_STEP = 1.0  # cells an iteration; what is farther is found on a coarser picture
GRADIENT_NOISE = 1e-4  # squared slope, in grays of 0..1 a cell, below which a picture counts as flat
STILL_ERROR = 1e-5  # squared error, in grays of 0..1, that two pictures of one thing have anyway
STILL_TO_MOVED = (1.05, 1.45)  # errors without to errors with the flow: still below, moved above, between in between


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
        prefers_still: take a place for still unless moving explains it clearly better. Noise otherwise seems to move
            what does not; makes up for it in noisy videos of cameras that stand, and elsewhere costs little.

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

    def __init__(
        self,
        stride: int = 2,
        window: int = 5,
        num_iterations: int = 3,
        prefers_still: bool = False,
        **kwargs: Any,
    ) -> None:
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
        self.prefers_still = prefers_still

    def call(self, frames: Any) -> Any:
        """Each frame with the one before it; the first one with itself."""
        num_clips, num_frames = ops.shape(frames)[:2]
        before = ops.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        flow = self.between(*(ops.reshape(part, (-1, *frames.shape[2:])) for part in (before, frames)))
        return ops.reshape(flow, (num_clips, num_frames, *flow.shape[1:]))

    def between(self, before: Any, after: Any) -> Any:
        """Where each cell of one picture is in another: halved again and again, then followed from small to large.

        Args:
            before: `(N, H, W, C)` in 0..255.
            after: `(N, H, W, C)` in 0..255.

        Returns:
            `float32 (N, H // stride, W // stride, 2)`, as the layer itself gives it.
        """
        pair = ops.stack([ops.mean(ops.cast(part, "float32") / 255, axis=-1) for part in (before, after)], axis=-1)
        pictures = [_shrink(pair, self.stride)]
        while min(pictures[-1].shape[1:3]) >= 2 * SMALLEST_SIDE:
            pictures.append(_shrink(pictures[-1], 2))
        flow = ops.zeros_like(pictures[-1])
        for picture in reversed(pictures):
            flow = self._follow(picture, _enlarge(flow, *picture.shape[1:3]))
        if self.prefers_still:
            flow = self._still_where_as_good(pictures[0], flow)
        return flow * self.stride

    def _follow(self, picture: Any, flow: Any) -> Any:
        """Picture pairs `(N, h, w, 2)` and the flow known so far to better flow, both `(N, h, w, 2)` in cells."""
        before, after = picture[..., 0], picture[..., 1]
        slope_x, slope_y = _slopes(before)
        products = self._average([slope_x * slope_x, slope_x * slope_y, slope_y * slope_y])
        xx, xy, yy = products[..., 0] + GRADIENT_NOISE, products[..., 1], products[..., 2] + GRADIENT_NOISE
        determinant = xx * yy - xy * xy
        for _ in range(self.num_iterations):
            # Solving for the whole flow, not for the step alone, keeps neighbors, each followed by itself, together.
            missing = before - warp(after[..., None], flow)[..., 0] + slope_x * flow[..., 0] + slope_y * flow[..., 1]
            towards = self._average([slope_x * missing, slope_y * missing]) + GRADIENT_NOISE * flow
            x, y = towards[..., 0], towards[..., 1]
            solved = ops.stack([(yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant], axis=-1)
            flow = flow + ops.clip(solved - flow, -LARGEST_STEP, LARGEST_STEP)
        return flow

    def _still_where_as_good(self, picture: Any, flow: Any) -> Any:
        """Less of the flow, the less it explains."""
        before, after = picture[..., 0], picture[..., 1]
        moved = warp(after[..., None], flow)[..., 0]
        errors = self._average([ops.square(before - after), ops.square(before - moved)])
        ratio = errors[..., :1] / (errors[..., 1:] + STILL_ERROR)
        still, surely_moved = STILL_TO_MOVED
        return flow * ops.clip((ratio - still) / (surely_moved - still), 0.0, 1.0)

    def _average(self, channels: list[Any]) -> Any:
        """Over the window around each cell, twice: the middle must weigh most, or the steps diverge."""
        averages = ops.stack(channels, axis=-1)
        for _ in range(2):
            # Rows, then columns: the same, and faster.
            for size in ((self.window, 1), (1, self.window)):
                averages = ops.average_pool(averages, size, strides=1, padding="same")
        return averages

    def compute_output_spec(self, frames: Any) -> Any:
        """Two numbers a cell."""
        num_clips, num_frames, height, width, _ = frames.shape
        return keras.KerasTensor((num_clips, num_frames, height // self.stride, width // self.stride, 2), "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "stride": self.stride,
            "window": self.window,
            "num_iterations": self.num_iterations,
            "prefers_still": self.prefers_still,
        }


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

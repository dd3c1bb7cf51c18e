"""A damaged frame, and what is known from the frames before it, in; the restored frame out."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from sora_keras.layers.folding import fold, unfold
from sora_keras.layers.optical_flow import OpticalFlow
from sora_keras.layers.warping import warp

SCALES = (1, 2, 4)
MULTIPLE = 4  # of which height and width are multiples
FLOW_STRIDE = 2  # for frames that keep their size; those that grow are small already
FLOW_WINDOW = 7  # wide enough that noise does not look like motion
CHANGE_WEIGHT = 10.0  # brings squares of gray values to about the size of gray values


@keras.saving.register_keras_serializable(package="sora_keras")
class RestorationCell(layers.Layer):
    """One step of a recurrent convolutional network that restores a video frame by frame.

    The last output and some of the last features are brought to where the motion put them since. A small U-shaped
    network sees both beside the frame; for each pixel it says how far to trust the past, and what to add. For
    `sora_keras.layers.FrameRecurrence`.

    Args:
        filters: channels of the features; twice as many where they are coarse.
        num_blocks: residual blocks of two convolutions, on the coarse features.
        scale: how many times as high and wide the output is: 1, 2 or 4.
        is_recurrent: `False` sees every frame alone.

    Call arguments:
        frame: `float (B, H, W, 3)` in 0..1, H and W multiples of 4.
        states: the last output and the features kept; zeros before the first frame.

    Returns:
        The restored frame, `(B, scale * H, scale * W, 3)`, about 0..1, and the new states.

    Raises:
        ValueError: if an argument is out of its range, or H or W is no multiple of 4.

    Reference:
        Sajjadi et al., Frame-Recurrent Video Super-Resolution, 2018, https://arxiv.org/abs/1801.04590
    """

    def __init__(
        self, filters: int = 24, num_blocks: int = 2, scale: int = 1, is_recurrent: bool = True, **kwargs: Any
    ) -> None:
        # In half precision only the convolutions gain; gray values and flow would lose what they are made of.
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        for name, value in (("filters", filters), ("num_blocks", num_blocks)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, received {value!r}.")
        if scale not in SCALES:
            raise ValueError(f"`scale` must be one of {SCALES}, received {scale!r}.")
        self.filters, self.num_blocks, self.scale, self.is_recurrent = filters, num_blocks, scale, is_recurrent
        self.num_remembered = max(1, filters // 4)  # moving features costs as much as making them
        self.cell_size = 2 if scale == 1 else 1  # pixels of the frame to a cell of the features, in each direction
        self.fold_size = self.cell_size * scale  # pixels of the output to a cell
        self.flow = OpticalFlow(FLOW_STRIDE if scale == 1 else 1, FLOW_WINDOW, 2, prefers_still=True, name="flow")
        self.enter = _convolution(filters, "enter")
        self.shrink = _convolution(2 * filters, "shrink", strides=2)
        self.blocks = [
            keras.Sequential(
                [_convolution(2 * filters, "first"), _convolution(2 * filters, "second", activation=None)],
                name=f"block_{index}",
            )
            for index in range(num_blocks)
        ]
        self.enlarge = layers.Conv2D(4 * filters, 1, name="enlarge")
        self.leave = _convolution(filters, "leave")
        # Nothing to add at first, and half of everything from the past.
        self.decide = layers.Conv2D(4 * self.fold_size**2, 3, padding="same", kernel_initializer="zeros", name="decide")

    def build(self, frame_shape: Any) -> None:
        """Build for that size of frames; the weights fit any."""
        _, height, width, channels = frame_shape
        if height % MULTIPLE or width % MULTIPLE:
            raise ValueError(f"Frames must have sides of multiples of {MULTIPLE}, received {height} x {width}.")
        cells = (height // self.cell_size, width // self.cell_size)
        self.state_size = self.state_shapes(height, width)
        past_channels = channels * self.fold_size**2 + 1 + self.num_remembered if self.is_recurrent else 0
        half = (None, cells[0] // 2, cells[1] // 2, 2 * self.filters)
        self.enter.build((None, *cells, channels * self.cell_size**2 + past_channels))
        self.shrink.build((None, *cells, self.filters))
        for block in self.blocks:
            block.build(half)
        self.enlarge.build(half)
        self.leave.build((None, *cells, self.filters))
        self.decide.build((None, *cells, self.filters))

    def state_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """The shapes of the states for frames of that size."""
        return [
            (height * self.scale, width * self.scale, 3),
            (height // self.cell_size, width // self.cell_size, self.num_remembered),
        ]

    def call(self, frame: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Align, look, decide."""
        height, width = frame.shape[1:3]
        frame = ops.cast(frame, "float32")
        base = _resize(frame, height * self.scale, width * self.scale, "bicubic")
        seen = fold(frame - 0.5, self.cell_size)
        if self.is_recurrent:
            past, features = self._align(frame, *states)
            change = fold(base - past, self.fold_size)
            # Where they differ beyond the noise, the past is not to be trusted; a mean around tells that apart.
            amount = CHANGE_WEIGHT * _average(ops.mean(ops.square(change), axis=-1, keepdims=True))
            seen = ops.concatenate([seen, change, amount, features], axis=-1)
        features = self._look(seen)
        decisions = unfold(ops.cast(self.decide(features), "float32"), self.fold_size)
        restored = base + decisions[..., :3]
        if self.is_recurrent:
            restored = restored + ops.sigmoid(decisions[..., 3:]) * (past - base)
        return restored, [restored, ops.cast(features[..., : self.num_remembered], "float32")]

    def _align(self, frame: Any, past: Any, features: Any) -> tuple[Any, Any]:
        """What the states hold, moved to where it is in the frame."""
        small = past if self.scale == 1 else ops.average_pool(past, self.scale, strides=self.scale)
        flow = ops.stop_gradient(self.flow.between(255 * frame, 255 * small))
        past_flow = _resize(flow, *past.shape[1:3]) * self.scale
        return warp(past, past_flow), warp(features, _resize(flow, *features.shape[1:3]) / self.cell_size)

    def _look(self, seen: Any) -> Any:
        """Features of the cells, by way of coarser ones."""
        fine = self.enter(seen)
        coarse = self.shrink(fine)
        for block in self.blocks:
            coarse = coarse + block(coarse)
        return self.leave(fine + unfold(self.enlarge(coarse), 2))

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros: nothing seen yet."""
        return [ops.zeros((batch_size, *shape), "float32") for shape in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        arguments = {"filters": self.filters, "num_blocks": self.num_blocks, "scale": self.scale}
        return {**super().get_config(), **arguments, "is_recurrent": self.is_recurrent}


def _convolution(filters: int, name: str, strides: int = 1, activation: str | None = "relu") -> layers.Layer:
    return layers.Conv2D(filters, 3, strides, padding="same", activation=activation, name=name)


def _average(pictures: Any) -> Any:
    """Around each cell, the near ones most."""
    for _ in range(2):
        pictures = ops.average_pool(pictures, 3, strides=1, padding="same")
    return pictures


def _resize(pictures: Any, height: int, width: int, interpolation: str = "bilinear") -> Any:
    if tuple(pictures.shape[1:3]) == (height, width):
        return pictures
    return ops.image.resize(pictures, (height, width), interpolation=interpolation, data_format="channels_last")

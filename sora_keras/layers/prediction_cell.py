"""A frame and a state in, the next frame and state out: what moves is moved, what appears is painted."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from sora_keras.layers.cell_mixing import mix_cells
from sora_keras.layers.conv_lstm_cell import ConvLSTMCell
from sora_keras.layers.folding import fold, unfold
from sora_keras.layers.local_motion import LocalMotion

# Logits of what is the better guess while nothing is learned: that all stays where it is, and little is painted.
STAYING, PAINTING = 3.0, 2.0


@keras.saving.register_keras_serializable(package="sora_keras")
class PredictionCell(layers.Layer):
    """One step of next-frame prediction: Conv2D encoder, ConvLSTM at two scales, decoder.

    The decoder does not paint the next frame alone. It says how each cell of the frame moves, in a few ways at once,
    and mixes the moved frames and a painted one by masks for each pixel. A network learns motion from far fewer clips
    than it takes to learn to paint everything that can move.

    Args:
        filters: filters at a fourth, an eighth and a sixteenth of the frame's size.
        num_motions: ways K to move the frame, mixed pixel by pixel.
        cell_size: side of a cell in pixels, and the farthest motion between two frames.

    Call arguments:
        inputs: `(B, H, W, C + 1)`, the frame in 0..1, then 1 where it is to be read, and 0 where the prediction made
            the step before takes its place.
        states: the prediction and the frame of the step before, then outputs and memories of the two ConvLSTMs.

    Returns:
        The next frame `(B, H, W, C)` in 0..1, and the new states.

    Raises:
        ValueError: if there are not three filters, or the frame cannot be halved twice in whole cells.

    Reference:
        Finn et al., Unsupervised Learning for Physical Interaction through Video Prediction, 2016,
        https://arxiv.org/abs/1605.07157, here with a kernel for each cell; products of filters as in Memisevic,
        Learning to Relate Images, 2013, https://arxiv.org/abs/1110.0107
    """

    def __init__(
        self, filters: tuple[int, int, int] = (32, 64, 96), num_motions: int = 2, cell_size: int = 4, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if len(filters) != 3:
            raise ValueError(f"`filters` must hold three numbers, one for each scale, received {tuple(filters)!r}.")
        if num_motions < 0:
            raise ValueError(f"`num_motions` must be at least 0, received {num_motions!r}.")
        self.filters = tuple(filters)
        self.num_motions = num_motions
        self.cell_size = cell_size
        fine, middle, coarse = self.filters
        self.read = layers.Conv2D(3 * fine, 3, padding="same", name="read")
        self.read_on = _convolution(fine, 3, 1, "read_on")
        self.shrink = _convolution(middle, 3, 2, "shrink")
        self.shrink_more = _convolution(coarse, 3, 2, "shrink_more")
        self.remember = ConvLSTMCell(middle, name="remember")
        self.remember_coarse = ConvLSTMCell(coarse, name="remember_coarse")
        self.join_middle = _convolution(middle, 3, 1, "join_middle")
        self.join_fine = _convolution(fine, 3, 1, "join_fine")
        if num_motions:
            self.motions = layers.Conv2D(num_motions * 2 * (2 * cell_size + 1), 1, name="motions")
            self.move = LocalMotion(cell_size, name="move")

    def build(self, inputs_shape: Any) -> None:
        """Build for that size of frames; their channels are one less than the input's."""
        _, height, width, channels = inputs_shape
        self.frame_shape = (height, width, channels - 1)
        unit = 4 * self.cell_size
        if height % unit or width % unit:
            raise ValueError(f"Frames must have sides of multiples of {unit} pixels, received {height} x {width}.")
        fine, middle, coarse = self.filters
        sizes = [(None, height // size, width // size) for size in (self.cell_size, 2 * self.cell_size, unit)]
        self.read.build((*sizes[0], 2 * self.cell_size**2 * self.frame_shape[-1]))
        self.read_on.build((*sizes[0], 2 * fine))
        self.shrink.build((*sizes[0], fine))
        self.remember.build((*sizes[1], middle))
        self.shrink_more.build((*sizes[1], middle))
        self.remember_coarse.build((*sizes[2], coarse))
        self.join_middle.build((*sizes[1], coarse + middle))
        self.join_fine.build((*sizes[0], middle + fine))
        num_masks = 0
        if self.num_motions:
            self.motions.build((*sizes[0], fine))
            num_masks = self.num_motions + 1
        self.paint = layers.Conv2D(self.cell_size**2 * (num_masks + self.frame_shape[-1]), 1, name="paint")
        self.paint.build((*sizes[0], fine))
        self.state_size = [self.frame_shape, self.frame_shape]
        self.state_size += [(*sizes[1][1:], middle)] * 2 + [(*sizes[2][1:], coarse)] * 2

    def call(self, inputs: Any, states: Any) -> Any:
        """Encode, remember, decode."""
        predicted, before, *memories = states
        is_read = inputs[..., -1:]
        frame = is_read * inputs[..., :-1] + (1.0 - is_read) * predicted
        seen = self._see(frame, before)
        middle, middle_memory = self.remember(self.shrink(seen), memories[:2])
        coarse, coarse_memory = self.remember_coarse(self.shrink_more(middle), memories[2:])
        decoded = self.join_middle(ops.concatenate([_enlarge(coarse), middle], axis=-1))
        decoded = self.join_fine(ops.concatenate([_enlarge(decoded), seen], axis=-1))
        if self.num_motions:
            next_frame = self._compose(frame, decoded)
        else:
            next_frame = frame + unfold(self.paint(decoded), self.cell_size)
        return next_frame, [next_frame, frame, *middle_memory, *coarse_memory]

    def _see(self, frame: Any, before: Any) -> Any:
        """Two frames to features of their cells. Products of filters answer to motion, whatever it is that moves."""
        # The same sums as a convolution of pixels in steps of a cell, whose gradient takes a CPU many times as long.
        cells = fold(ops.concatenate([frame, before], axis=-1), self.cell_size)
        maps, left, right = ops.split(self.read(cells), 3, axis=-1)
        return self.read_on(ops.concatenate([ops.leaky_relu(maps), left * right], axis=-1))

    def _compose(self, frame: Any, decoded: Any) -> Any:
        """The frame and the decoded features of its cells to the next frame."""
        height, width, channels = self.frame_shape
        size, num_motions = self.cell_size, self.num_motions
        rows, columns = height // size, width // size
        stay = STAYING * ops.one_hot(size, 2 * size + 1, dtype=decoded.dtype)
        scores = [
            ops.reshape(x, (-1, rows, columns, num_motions, 2 * size + 1)) + stay
            for x in ops.split(self.motions(decoded), 2, axis=-1)
        ]
        moved = self.move(frame, *scores)
        masks, painted = ops.split(self.paint(decoded), [size**2 * (num_motions + 1)], axis=-1)
        painted = ops.reshape(ops.sigmoid(painted), (-1, rows, columns, 1, size, channels, size))
        hidden = PAINTING * ops.repeat(ops.one_hot(num_motions, num_motions + 1, dtype=masks.dtype), size**2)
        return mix_cells(ops.concatenate([moved, painted], axis=3), masks - hidden)

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros: nothing seen yet."""
        return [ops.zeros((batch_size, *shape), self.compute_dtype) for shape in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        arguments = {"filters": list(self.filters), "num_motions": self.num_motions, "cell_size": self.cell_size}
        return {**super().get_config(), **arguments}


def _enlarge(maps: Any) -> Any:
    """Each number to a square of four. XLA cannot compile the gradient of `UpSampling2D`."""
    height, width, channels = maps.shape[1:]
    squares = ops.broadcast_to(maps[:, :, None, :, None], (ops.shape(maps)[0], height, 2, width, 2, channels))
    return ops.reshape(squares, (-1, 2 * height, 2 * width, channels))


def _convolution(filters: int, kernel_size: int, strides: int, name: str) -> layers.Layer:
    return layers.Conv2D(filters, kernel_size, strides, padding="same", activation="leaky_relu", name=name)

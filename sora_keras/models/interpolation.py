"""Two frames in, the frame halfway between them out: slow motion."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from sora_keras.layers.cell_mixing import mix_cells
from sora_keras.layers.halfway_frames import HalfwayFrames
from sora_keras.layers.local_motion import LocalMotion
from sora_keras.models.presets import load_preset, save_preset
from sora_keras.models.rebuilding import rebuild

CELL_SIZE = 4
# Logits of what is the better guess while nothing is learned: to follow the flow, and no farther.
FOLLOWING, STAYING = 3.0, 6.0


@keras.saving.register_keras_serializable(package="sora_keras")
class FrameInterpolator(keras.Model):
    """A functional model that makes the frame between two. Arrives compiled.

    Optical flow moves both frames to the middle, whatever the distance. From what does not agree there, a small network
    learns how far each cell of them still has to move, at most four pixels, and which of them shows each pixel best;
    where the flow is wrong, the frames as given may show it better. Untrained it nearly averages the two moved ones.

    Args:
        height: of the frames, a multiple of 16.
        width: likewise.
        filters: filters at a fourth, an eighth and a sixteenth of the frame's size.
        num_channels: 3 for RGB frames, 1 for gray ones.
        learning_rate: Adam's, as compiled.

    Call arguments:
        pairs: `uint8 (B, 2, H, W, C)`, neighbors in time.

    Returns:
        `float32 (B, H, W, C)` in 0..255, not rounded.

    Raises:
        ValueError: if the sides are no multiples of 16.

    Example:
        >>> model = FrameInterpolator(64, 64)
        >>> model.fit(triples[:, ::2], triples[:, 1], epochs=10)
        >>> model.slow_down(video.frames).shape  # from (9, 480, 640, 3)
        (17, 480, 640, 3)

    Reference:
        Niklaus et al., Video Frame Interpolation via Adaptive Separable Convolution, 2017,
        https://arxiv.org/abs/1708.01692, after the flow of Jiang et al., Super SloMo, 2018,
        https://arxiv.org/abs/1712.00080
    """

    def __init__(
        self,
        height: int,
        width: int,
        filters: tuple[int, int, int] = (32, 48, 64),
        num_channels: int = 3,
        learning_rate: float = 1e-3,
        name: str | None = "frame_interpolator",
        **kwargs: Any,
    ) -> None:
        if height % 16 or width % 16 or min(height, width) < 16:
            raise ValueError(f"Frames must have sides of multiples of 16 pixels, received {height} x {width}.")
        pairs = keras.Input((2, height, width, num_channels), dtype="uint8", name="pairs")
        before, after, flow = HalfwayFrames(name="halfway")(pairs)
        shown = [
            layers.Rescaling(1.0, name=f"as_{name}")(pairs[:, index]) for index, name in enumerate(("first", "last"))
        ]
        frames = [before, after, *shown]
        decoded = _decode(ops.concatenate([*(frame / 255 for frame in frames), flow / 8], axis=-1), filters)
        cells = [
            LocalMotion(CELL_SIZE, name=f"move_{index}")(frame, *_scores(decoded, index))
            for index, frame in enumerate(frames)
        ]
        masks = layers.Conv2D(len(frames) * CELL_SIZE**2, 1, kernel_initializer="zeros", name="masks")(decoded)
        following = np.repeat([FOLLOWING, FOLLOWING, 0, 0], CELL_SIZE**2).astype("float32")
        middle = mix_cells(ops.concatenate(cells, axis=3), masks + following)
        super().__init__(inputs=pairs, outputs=middle, name=name, **kwargs)
        self.height = height
        self.width = width
        self.filters = filters
        self.num_channels = num_channels
        self.learning_rate = learning_rate
        self.compile(optimizer=keras.optimizers.Adam(learning_rate), loss="mean_absolute_error")

    def slow_down(self, frames: np.ndarray) -> np.ndarray:
        """Put a frame between each two of a video; once more for a quarter of the speed.

        Args:
            frames: `uint8 (T, H, W, C)`, of any size.

        Returns:
            `uint8 (2 * T - 1, H, W, C)`, every second one as given.

        Raises:
            ValueError: if there are fewer than two frames.

        Example:
            >>> slow = model.slow_down(model.slow_down(frames))
        """
        if len(frames) < 2:
            raise ValueError(f"`frames` must hold at least 2 frames, to have one between, received {len(frames)}.")
        height, width = frames.shape[1:3]
        padded = np.pad(frames, ((0, 0), (0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
        model = self.at_size(*padded.shape[1:3])
        slow = np.repeat(frames, 2, axis=0)[:-1]
        for index in range(len(frames) - 1):
            middle = model.predict_on_batch(padded[None, index : index + 2])[0, :height, :width]
            slow[2 * index + 1] = np.clip(np.round(middle), 0, 255)
        return slow

    def at_size(self, height: int, width: int) -> FrameInterpolator:
        """This model for frames of another size, with a copy of its weights."""
        if (height, width) == (self.height, self.width):
            return self
        model = FrameInterpolator(height, width, self.filters, self.num_channels, self.learning_rate)
        model.set_weights(self.get_weights())
        return model

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "height": self.height,
            "width": self.width,
            "filters": list(self.filters),
            "num_channels": self.num_channels,
            "learning_rate": self.learning_rate,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> FrameInterpolator:
        """The inverse of `get_config`."""
        return rebuild(cls, {**config, "filters": tuple(config["filters"])})

    @classmethod
    def from_preset(cls, path: str | os.PathLike[str]) -> FrameInterpolator:
        """Load the model that `save_to_preset` wrote to that folder."""
        return load_preset(path, cls)

    def save_to_preset(self, path: str | os.PathLike[str]) -> None:
        """Write this model, weights and all, to a folder that `from_preset` reads."""
        save_preset(self, path)


def _decode(seen: keras.KerasTensor, filters: tuple[int, int, int]) -> keras.KerasTensor:
    """Pictures to features of their cells, `(B, H / 4, W / 4, F)`; products of filters answer to what disagrees."""
    fine, middle, coarse = filters
    read = layers.Conv2D(3 * fine, 3 * CELL_SIZE, CELL_SIZE, padding="same", name="read")(seen)
    maps, left, right = ops.split(read, 3, axis=-1)
    levels = [_convolution(fine, 1, "read_on")(ops.concatenate([ops.leaky_relu(maps), left * right], axis=-1))]
    for size, level in ((middle, "middle"), (coarse, "coarse")):
        levels.append(_convolution(size, 2, f"shrink_to_{level}")(levels[-1]))
    decoded = levels.pop()
    for size, level in ((middle, "middle"), (fine, "fine")):
        enlarged = layers.UpSampling2D(2, name=f"enlarge_to_{level}")(decoded)
        decoded = _convolution(size, 1, f"join_{level}")(ops.concatenate([enlarged, levels.pop()], axis=-1))
    return decoded


def _scores(decoded: keras.KerasTensor, index: int) -> list[keras.KerasTensor]:
    """Features of cells to the logits of the rows and of the columns that the pixels of a frame come from."""
    num_places = 2 * CELL_SIZE + 1
    scores = layers.Conv2D(2 * num_places, 1, kernel_initializer="zeros", name=f"motion_{index}")(decoded)
    stay = STAYING * np.eye(num_places, dtype="float32")[CELL_SIZE]
    return [ops.expand_dims(part, 3) + stay for part in ops.split(scores, 2, axis=-1)]


def _convolution(filters: int, strides: int, name: str) -> layers.Layer:
    return layers.Conv2D(filters, 3, strides, padding="same", activation="leaky_relu", name=name)

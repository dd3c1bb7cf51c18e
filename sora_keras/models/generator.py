"""Frames in, for each one the frame that will follow it out, and from there on as many as wanted."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from sora_keras.layers.frame_recurrence import FrameRecurrence
from sora_keras.layers.prediction_cell import PredictionCell
from sora_keras.layers.scheduled_sampling import ScheduledSampling
from sora_keras.models.presets import load_preset, save_preset
from sora_keras.models.rebuilding import rebuild
from sora_keras.video.clip import ClipSpec

STATES = ("predicted", "before", "middle_output", "middle_memory", "coarse_output", "coarse_memory")


@keras.saving.register_keras_serializable(package="sora_keras")
class SoraGenerator(keras.Model):
    """A functional model that predicts frames: Conv2D encoder, ConvLSTM middle, decoder. Arrives compiled.

    Train it by plain `fit` on pairs of frames and the frames that follow them, `(frames[:, :-1], frames[:, 1:])`. Each
    frame is predicted from those before it. With `num_context_frames` training shows it its own predictions in place of
    the frames behind those, more and more, as `predict_frames` will: see
    `sora_keras.layers.scheduled_sampling.ScheduledSampling`.

    Args:
        clip_spec: the clips it reads; T may differ from `clip_spec.num_frames` at any call. Height and width are
            multiples of `4 * cell_size`.
        filters: filters at a fourth, an eighth and a sixteenth of the frame's size; ConvLSTMs are the latter two.
        num_motions: ways to move the frame, mixed pixel by pixel; 0 adds to the frame what changes, and moves nothing.
        cell_size: side in pixels of the cells that move as one, and the farthest motion between two frames.
        num_channels: 3 for RGB frames, 1 for gray ones.
        num_context_frames: frames that training always shows, at the beginning of each clip; `None` shows all.
        sampling_steps: training batches until only those are shown; 0 begins so.
        learning_rate: Adam's, as compiled.

    Call arguments:
        frames: `uint8 (B, T, H, W, C)`, C being `num_channels`.

    Returns:
        For each frame the next one, `float32 (B, T, H, W, C)` in 0..255, not rounded.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> model = SoraGenerator(ClipSpec(20, 64, 64), num_channels=1, num_context_frames=10, sampling_steps=2000)
        >>> model.fit(clips.map(lambda frames: (frames[:, :-1], frames[:, 1:])), epochs=10)
        >>> model.predict_frames(frames[:, :10], num_frames=10).shape
        (8, 10, 64, 64, 1)

    Reference:
        Shi et al., Convolutional LSTM Network, 2015, https://arxiv.org/abs/1506.04214; Bengio et al., Scheduled
        Sampling, 2015, https://arxiv.org/abs/1506.03099; Finn et al., Unsupervised Learning for Physical Interaction
        through Video Prediction, 2016, https://arxiv.org/abs/1605.07157
    """

    def __init__(
        self,
        clip_spec: ClipSpec,
        filters: tuple[int, int, int] = (32, 64, 96),
        num_motions: int = 2,
        cell_size: int = 4,
        num_channels: int = 3,
        num_context_frames: int | None = None,
        sampling_steps: int = 0,
        learning_rate: float = 1e-3,
        name: str | None = "sora_generator",
        **kwargs: Any,
    ) -> None:
        if num_channels not in (1, 3):
            raise ValueError(f"`num_channels` must be 1 for gray or 3 for RGB, received {num_channels!r}.")
        shape = (clip_spec.height, clip_spec.width, num_channels)
        scale = layers.Rescaling(1 / 255, name="scale")
        sampling = ScheduledSampling(num_context_frames, sampling_steps, name="scheduled_sampling")
        recurrence = FrameRecurrence(PredictionCell(filters, num_motions, cell_size, name="cell"), name="recurrence")
        unscale = layers.Rescaling(255.0, dtype="float32", name="next_frames")

        frames = keras.Input((None, *shape), dtype="uint8", name="frames")
        predicted, *_ = recurrence(sampling(scale(frames)))
        super().__init__(inputs=frames, outputs=unscale(predicted), name=name, **kwargs)

        is_read = keras.Input((None,), dtype="float32", name="is_read")
        rolled, *_ = recurrence(_with_plane(scale(frames), is_read))
        self.rollout_model = keras.Model([frames, is_read], unscale(rolled), name="rollout")
        self.step_model = _step_model(shape, scale, recurrence, unscale)
        self.clip_spec = clip_spec
        self.filters = tuple(filters)
        self.num_motions = num_motions
        self.cell_size = cell_size
        self.num_channels = num_channels
        self.num_context_frames = num_context_frames
        self.sampling_steps = sampling_steps
        self.learning_rate = learning_rate
        self.compile(optimizer=keras.optimizers.Adam(learning_rate), loss="mean_squared_error")

    def predict_frames(self, frames: np.ndarray, num_frames: int, batch_size: int = 16) -> np.ndarray:
        """Predict what follows: after the frames given, the model reads what it predicted.

        Args:
            frames: `uint8 (B, T, H, W, C)`.
            num_frames: how many frames N to predict.
            batch_size: clips at a time.

        Returns:
            `float32 (B, N, H, W, C)` in 0..255, not rounded.

        Raises:
            ValueError: if `num_frames` is less than 1, or the frames are of another shape or type.

        Example:
            >>> model.predict_frames(clip.frames[None], num_frames=10)
        """
        if num_frames < 1:
            raise ValueError(f"`num_frames` must be at least 1, received {num_frames!r}.")
        expected = self.input.shape[2:]
        if frames.dtype != np.uint8 or frames.ndim != 5 or frames.shape[2:] != expected or not frames.shape[1]:
            raise ValueError(
                f"`frames` must be uint8 of shape (B, T, {', '.join(map(str, expected))}), received {frames.dtype} of "
                f"shape {frames.shape}."
            )
        num_seen = frames.shape[1]
        unknown = np.zeros((len(frames), num_frames - 1, *frames.shape[2:]), frames.dtype)
        is_read = np.zeros((len(frames), num_seen + num_frames - 1), np.float32)
        is_read[:, :num_seen] = 1
        inputs = [np.concatenate([frames, unknown], axis=1), is_read]
        predicted: np.ndarray = self.rollout_model.predict(inputs, batch_size=batch_size, verbose=0)
        return predicted[:, num_seen - 1 :]

    def predict_next_frame(
        self, frame: np.ndarray, state: dict[str, np.ndarray] | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Read one frame of a long video, or of one that has no end, and predict the next one.

        Frame by frame this gives what the model gives for the whole clip.

        Args:
            frame: `uint8 (B, H, W, C)`, of B videos.
            state: what was returned for the frame before; `None` for the first one.

        Returns:
            The next frame, `float32 (B, H, W, C)` in 0..255, and the state by name.

        Example:
            >>> state = None
            >>> for frame in frames:
            ...     next_frame, state = model.predict_next_frame(frame[None], state)
        """
        outputs = self.step_model.predict_on_batch({"frame": frame, **(state or self.initial_state(len(frame)))})
        return outputs.pop("frame"), outputs

    def initial_state(self, batch_size: int = 1) -> dict[str, np.ndarray]:
        """What `step_model` reads beside the first `frame`, zeros `float32` by name; it returns the same names."""
        shapes = {name: self.step_model.input[name].shape[1:] for name in STATES}
        return {name: np.zeros((batch_size, *shape), np.float32) for name, shape in shapes.items()}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "clip_spec": self.clip_spec.get_config(),
            "filters": list(self.filters),
            "num_motions": self.num_motions,
            "cell_size": self.cell_size,
            "num_channels": self.num_channels,
            "num_context_frames": self.num_context_frames,
            "sampling_steps": self.sampling_steps,
            "learning_rate": self.learning_rate,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> SoraGenerator:
        """The inverse of `get_config`."""
        return rebuild(cls, {**config, "clip_spec": ClipSpec.from_config(config["clip_spec"])})

    @classmethod
    def from_preset(cls, path: str | os.PathLike[str]) -> SoraGenerator:
        """Load the model that `save_to_preset` wrote to that folder."""
        return load_preset(path, cls)

    def save_to_preset(self, path: str | os.PathLike[str]) -> None:
        """Write this model, weights and all, to a folder that `from_preset` reads."""
        save_preset(self, path)


def _with_plane(frames: Any, is_read: Any) -> Any:
    """Frames `(B, T, H, W, C)` and whether each is read, `(B, T)`, together."""
    plane = is_read[:, :, None, None, None] * ops.ones_like(frames[..., :1])
    return ops.concatenate([frames, plane], axis=-1)


def _step_model(
    shape: tuple[int, int, int], scale: layers.Layer, recurrence: FrameRecurrence, unscale: layers.Layer
) -> keras.Model:
    """A frame and a state to the next frame and state."""
    frame = keras.Input(shape, dtype="uint8", name="frame")
    states = [
        keras.Input(tuple(shape), name=name) for name, shape in zip(STATES, recurrence.cell.state_size, strict=True)
    ]
    scaled = scale(frame[:, None])
    inputs = ops.concatenate([scaled, ops.ones_like(scaled[..., :1])], axis=-1)
    predicted, *new_states = recurrence(inputs, initial_state=states)
    outputs = {"frame": unscale(predicted)[:, 0], **dict(zip(STATES, new_states, strict=True))}
    return keras.Model({"frame": frame, **dict(zip(STATES, states, strict=True))}, outputs, name="step")

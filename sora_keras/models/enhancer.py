"""Bad frames to good ones: by the right colors, or by a recurrent network that restores what was lost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from sora_keras.layers.restoration_cell import RestorationCell
from sora_keras.models.backbone import SoraBackbone
from sora_keras.models.color_correction import ParameterError, correct_colors
from sora_keras.models.presets import load_preset, save_preset
from sora_keras.models.rebuilding import rebuild
from sora_keras.models.restoration import STATES, restore_frame, restore_frames
from sora_keras.video.clip import ClipSpec

MODES = ("parameters", "restore")


@keras.saving.register_keras_serializable(package="sora_keras")
class SoraEnhancer(keras.Model):
    """A functional model that makes frames better. Arrives compiled.

    With `mode="parameters"` it tells what brightness, contrast and saturation a clip lacks, slowly changing or the same
    for all its frames, and applies them, see `sora_keras.layers.ColorAdjustment`. Colors alone change, so the same
    parameters suit the frames in their full size.

    With `mode="restore"` a recurrent convolutional network, see `sora_keras.layers.RestorationCell`, goes through the
    frames and takes away what was done to them: noise, blur, the blocks of strong compression, or a lower resolution.
    Which of these, the pairs that it is trained on say. It restores small clips while it is trained, and videos of any
    size and length afterwards, frame by frame, by `step_model`. `sora_keras.enhance` does that with files.

    Args:
        backbone: what makes the representation; reads frames alone. It is shown the frames with the colors of usual
            ones, so that scenes look the same to it however they were spoiled. `None` where it restores.
        mode: `"parameters"` or `"restore"`.
        smoothing: of how many frames the parameters are averaged around each frame; `None` gives the whole clip one
            average.
        limits: the largest brightness (in levels of 0..255), contrast and saturation (in factors of two), either way.
        parameters_weight: weight, as compiled, of the error of the parameters beside that of the frames, for clips that
            were spoiled by known ones, as `sora_keras.layers.RandomColorDistortion` does.
        clip_spec: restoring: the clips it is trained on, height and width multiples of 4; with a backbone, its own.
        scale: restoring: how many times as high and as wide the frames come out, 1, 2 or 4.
        filters: restoring: channels of the features.
        num_blocks: restoring: residual blocks.
        is_recurrent: restoring: `False` restores each frame alone.
        learning_rate: Adam's, as compiled.

    Call arguments:
        inputs: frames `uint8 (B, T, H, W, 3)`, RGB.

    Returns:
        dict of `frames`, `float32 (B, T, scale * H, scale * W, 3)` in 0..255, not rounded, and with `mode="parameters"`
        also `parameters`, `float32 (B, T, 3)`: brightness, contrast and saturation as `ColorAdjustment` takes them. As
        compiled, it learns by the squared error of the frames; where it restores, by the absolute error.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> model = SoraEnhancer(SoraBackbone(ClipSpec(num_frames=8, height=64, width=64), motion=None))
        >>> model.fit(pairs, epochs=10)  # (bad, {"frames": good}), see RandomColorDistortion
        >>> model.predict(bad)["parameters"].shape
        (32, 8, 3)
        >>> model = SoraEnhancer(mode="restore", clip_spec=ClipSpec(num_frames=6, height=64, width=64), scale=4)
        >>> model.fit(pairs, epochs=10)  # see `patch_dataset`, `FrameNoise`, `ShrunkFrames`
    """

    def __init__(
        self,
        backbone: SoraBackbone | None = None,
        mode: str = "parameters",
        smoothing: int | None = None,
        limits: Sequence[float] = (48.0, 0.75, 1.0),
        parameters_weight: float = 0.0,
        clip_spec: ClipSpec | None = None,
        scale: int = 1,
        filters: int = 24,
        num_blocks: int = 2,
        is_recurrent: bool = True,
        learning_rate: float = 1e-3,
        name: str | None = "sora_enhancer",
        **kwargs: Any,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"`mode` must be one of {', '.join(map(repr, MODES))}, received {mode!r}.")
        limits = _checked_limits(limits)
        losses: dict[str, Any] = {"frames": "mse" if mode == "parameters" else "mae"}
        loss_weights = None
        cell = None
        if mode == "parameters":
            checked_backbone = _checked_backbone(backbone)
            _check_parameter_arguments(smoothing, parameters_weight, scale)
            clip_spec = checked_backbone.clip_spec
            inputs, outputs = correct_colors(checked_backbone, smoothing, limits)
            if parameters_weight:
                losses["parameters"] = ParameterError(limits)
                loss_weights = {"frames": 1.0, "parameters": parameters_weight}
        else:
            clip_spec = _checked_clip_spec(backbone, clip_spec)
            cell = RestorationCell(filters, num_blocks, scale, is_recurrent, name="cell")
            inputs, outputs = restore_frames(clip_spec, cell)
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
        self.backbone = backbone
        self.mode = mode
        self.smoothing = smoothing
        self.limits = limits
        self.parameters_weight = parameters_weight
        self.clip_spec = clip_spec
        self.scale = scale
        self.filters = filters
        self.num_blocks = num_blocks
        self.is_recurrent = is_recurrent
        self.learning_rate = learning_rate
        self._cell = cell
        self.compile(keras.optimizers.Adam(learning_rate), loss=losses, loss_weights=loss_weights)

    def step_model(self, height: int, width: int) -> keras.Model:
        """What restores one frame of a video, of any size, after the ones before it. It has the same weights.

        Args:
            height: H of the frames, a multiple of 4.
            width: W of the frames, a multiple of 4.

        Returns:
            A model from a dict of `frame`, `uint8 (B, H, W, 3)`, and what `initial_state` gives, to a dict of `frame`,
            `float32 (B, scale * H, scale * W, 3)` in 0..255, and the state for the frame that follows.

        Raises:
            ValueError: if this model does not restore, or H or W is no multiple of 4.

        Example:
            >>> step, state = model.step_model(720, 1280), model.initial_state(1, 720, 1280)
            >>> for frame in frames:
            ...     state = step.predict_on_batch({"frame": frame[None], **state})
            ...     restored = state.pop("frame")
        """
        return restore_frame(self._restoring_cell(), height, width)

    def initial_state(self, batch_size: int, height: int, width: int) -> dict[str, np.ndarray]:
        """What `step_model` takes beside the first frame: zeros `float32`, by name."""
        shapes = self._restoring_cell().state_shapes(height, width)
        return {name: np.zeros((batch_size, *shape), np.float32) for name, shape in zip(STATES, shapes, strict=True)}

    def _restoring_cell(self) -> RestorationCell:
        if self._cell is None:
            raise ValueError(f'Only `mode="restore"` goes frame by frame, this model has mode={self.mode!r}.')
        return self._cell

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone) if self.backbone else None,
            "mode": self.mode,
            "smoothing": self.smoothing,
            "limits": list(self.limits),
            "parameters_weight": self.parameters_weight,
            "clip_spec": None if self.backbone else self.clip_spec.get_config(),
            "scale": self.scale,
            "filters": self.filters,
            "num_blocks": self.num_blocks,
            "is_recurrent": self.is_recurrent,
            "learning_rate": self.learning_rate,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> SoraEnhancer:
        """The inverse of `get_config`."""
        backbone, clip_spec = config["backbone"], config["clip_spec"]
        if backbone:
            backbone = keras.saving.deserialize_keras_object(backbone, custom_objects=custom_objects)
        if clip_spec:
            clip_spec = ClipSpec.from_config(clip_spec)
        return rebuild(cls, {**config, "backbone": backbone, "clip_spec": clip_spec})

    @classmethod
    def from_preset(cls, path: str | os.PathLike[str], clip_spec: ClipSpec | None = None) -> SoraEnhancer:
        """Load the model that `save_to_preset` wrote to that folder.

        Args:
            path: the folder.
            clip_spec: for a model that restores, other clips to read with the same weights, such as larger frames to
                export it for.

        Returns:
            The model.

        Raises:
            ValueError: if there is no such model, or it does not restore and a `clip_spec` is given.

        Example:
            >>> SoraEnhancer.from_preset("saved_models/denoise", ClipSpec(num_frames=3, height=720, width=1280))
        """
        model = load_preset(path, cls)
        if clip_spec is None:
            return model
        if model.mode != "restore":
            raise ValueError(
                f"Only models that restore read clips of any size; {os.fspath(path)!r} has mode={model.mode!r}: leave "
                "`clip_spec` out."
            )
        resized = cls.from_config({**model.get_config(), "clip_spec": clip_spec.get_config()})
        resized.set_weights(model.get_weights())
        return resized

    def save_to_preset(self, path: str | os.PathLike[str]) -> None:
        """Write this model, weights and all, to a folder that `from_preset` reads."""
        save_preset(self, path)


def _checked_backbone(backbone: SoraBackbone | None) -> SoraBackbone:
    if backbone is None:
        raise ValueError('`mode="parameters"` needs a `backbone`, such as SoraBackbone(ClipSpec()), received None.')
    names = [tensor.name for tensor in keras.tree.flatten(backbone.input)]
    if names != ["frames"]:
        raise ValueError(f"`backbone` must read frames alone, received one that reads {', '.join(sorted(names))}.")
    return backbone


def _check_parameter_arguments(smoothing: int | None, parameters_weight: float, scale: int) -> None:
    if smoothing is not None and (isinstance(smoothing, bool) or not isinstance(smoothing, int) or smoothing < 1):
        raise ValueError(f"`smoothing` must be a number of frames of at least 1, or None, received {smoothing!r}.")
    if not parameters_weight >= 0:
        raise ValueError(f"`parameters_weight` must be at least 0, received {parameters_weight!r}.")
    if scale != 1:
        raise ValueError(f'`mode="parameters"` keeps the size of frames, received scale={scale!r}; use mode="restore".')


def _checked_clip_spec(backbone: SoraBackbone | None, clip_spec: ClipSpec | None) -> ClipSpec:
    if backbone is not None or clip_spec is None:
        raise ValueError(
            '`mode="restore"` has no backbone but needs a `clip_spec`, such as ClipSpec(6, 64, 64), received '
            f"backbone={backbone!r} and clip_spec={clip_spec!r}."
        )
    return clip_spec


def _checked_limits(limits: Sequence[float]) -> tuple[float, float, float]:
    numbers = [float(limit) for limit in limits]
    if len(numbers) != 3 or not min(numbers) > 0:
        raise ValueError(f"`limits` must hold three positive numbers, received {numbers}.")
    return numbers[0], numbers[1], numbers[2]

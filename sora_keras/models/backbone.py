"""Frames, their features, their sound, to representations: Conv2D for each frame, LSTM over the frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from sora_keras.models.audio_stream import sound_features, sound_input
from sora_keras.models.column_normalization import normalize_columns
from sora_keras.models.frame_streams import MOTIONS, POOLINGS, frame_features, smallest_side
from sora_keras.models.presets import BACKBONES, load_preset, save_preset
from sora_keras.models.rebuilding import rebuild
from sora_keras.models.sequence import SEQUENCES, average_frame, read_sequence, spread_over_frames
from sora_keras.video.clip import ClipSpec

SAME_ENCODER = "frame_encoder"  # in a configuration, for a motion encoder that is the frame encoder


@keras.saving.register_keras_serializable(package="sora_keras")
class SoraBackbone(keras.Model):
    """A functional model from frames to frame-level, sequence-level and fused representations.

    Each frame, beside its change since the frame before, passes through blocks of 3x3 Conv2D, ReLU and 2x2 max pooling
    and is averaged over space; LSTM layers read the frames in order. Scaling happens inside: feed `uint8` frames.

    Args:
        clip_spec: the clips it reads; T may differ from `clip_spec.num_frames` at any call.
        filters: Conv2D filters, one block each; none, `()`, to read `num_features` or `sound_samples` alone.
        units: units of the layers that read the frames in order, one layer each.
        motion: how the blocks see motion, each way causal: `"difference"` appends the change since the frame before to
            the channels, `"shift"` takes an eighth of the channels between two blocks from the frame before, `"flow"`
            lets blocks of their own read the optical flow since the frame before; `None` shows the frames alone.
        sequence: what reads the frames in order: `"lstm"` or `"gru"` (causal), `"lstm_attention"` (the same, with a
            learned average in the embedding), `"bidirectional_lstm"` or `"attention"` (transformer blocks), which look
            both ways.
        dropout: share of the features dropped before each of these layers while training, 0 to 1.
        l2: L2 penalty on the kernels.
        frame_encoder: a Keras model `(H, W, 3)` -> `(D,)` on frames in 0..255 that takes the place of the Conv2D
            blocks for appearance, with its features normalized; `filters` then read the motion alone. Set its
            `trainable` beforehand. See `sora_keras.models.image_encoder`.
        motion_encoder: such a model, or the same one, that reads the change since the frame before, shown as a picture
            around gray, in place of the blocks; goes with `motion="difference"`. What changes, seen by a network that
            knows images, tells actions better than the frames do. With `filters=()` and no `frame_encoder` it is all
            that is read.
        num_features: columns N of a second input, features computed beforehand for each frame, such as those of
            `sora_keras.features.extract_features`. They are read beside the network's own, each column normalized
            by its mean and spread over the clips trained on.
        normalization: means and variances of the three color channels, in units of 0..255, by which frames are brought
            to mean 0 and variance 1, as `sora_keras.data.channel_statistics` finds them in a dataset; by default
            0..255 becomes -1..1.
        has_padding: whether clips of fewer frames come with others behind them, to be ignored; adds the input
            `padding_mask`.
        sound_samples: samples S of a further input, the sound around each frame at 16 kHz, as a dataset made with the
            same `sound_samples` yields it. Zeros stand for missing sound, which training makes of a fifth of the clips,
            so that the model does without.
        rematerialize: whether training computes what blocks and encoders made of each frame again in the backward pass,
            in place of keeping it: a tenth of the memory for a seventh more time, the same gradients.
        pooling: what the blocks make of a picture: `"avg"`, the average over space, or `"max"`, the maximum, which
            finds what is small and does not mind how often it is there.

    Call arguments:
        inputs: frames `uint8 (B, T, H, W, 3)`, RGB; with further inputs a dict of `frames`, `features`,
            `float32 (B, T, N)`, `sound`, `float32 (B, T, S)` in -1..1, and `padding_mask`, `bool (B, T)`, true for the
            real frames, which come first and are at least one; with `filters=()` no `frames`, and what is read alone
            may come as an array.

    Returns:
        dict of `frame_features (B, T, D)`, `sequence_features (B, T, E)` and `embedding (B, F)`, the summary of the
        sequence, such as the last frame's features, beside the mean and the spread over time of the frame features, so
        `F = E + 2 D`.

    Raises:
        ValueError: if an argument is out of its range, or the frames are too small for the blocks.

    Example:
        >>> backbone = SoraBackbone(ClipSpec(num_frames=16, height=64, width=64))
        >>> backbone(np.zeros((1, 16, 64, 64, 3), "uint8"))["embedding"].shape
        (1, 640)
        >>> num_features = len(sora_keras.features.feature_names(["motion"]))
        >>> fused = SoraBackbone(ClipSpec(), num_features=num_features)
        >>> alone = SoraBackbone(ClipSpec(), filters=(), num_features=num_features)
        >>> hearing = SoraBackbone(ClipSpec(), sound_samples=4000)
        >>> adapted = SoraBackbone(ClipSpec(), normalization=sora_keras.data.channel_statistics(train))

    Reference:
        Donahue et al., Long-term Recurrent Convolutional Networks, 2015, https://arxiv.org/abs/1411.4389
    """

    def __init__(
        self,
        clip_spec: ClipSpec,
        filters: tuple[int, ...] = (64, 128, 256),
        units: tuple[int, ...] = (128, 128),
        motion: str | None = "difference",
        sequence: str = "lstm",
        dropout: float = 0.0,
        l2: float = 0.0,
        frame_encoder: keras.Model | None = None,
        motion_encoder: keras.Model | None = None,
        num_features: int = 0,
        normalization: Sequence[Sequence[float]] | None = None,
        has_padding: bool = False,
        sound_samples: int = 0,
        rematerialize: bool = False,
        pooling: str = "avg",
        name: str | None = "sora_backbone",
        **kwargs: Any,
    ) -> None:
        _check_choice("motion", motion, MOTIONS)
        _check_choice("sequence", sequence, SEQUENCES)
        _check_choice("pooling", pooling, tuple(POOLINGS))
        _check_arguments(clip_spec, filters, units, motion, frame_encoder, motion_encoder, num_features, sound_samples)
        normalization = _checked_statistics(normalization)
        has_frames = bool(filters) or frame_encoder is not None or motion_encoder is not None
        inputs = _inputs(clip_spec, has_frames, num_features, has_padding, sound_samples)
        padding_mask = inputs.get("padding_mask")
        parts: list[keras.KerasTensor] = []
        encoded: list[keras.KerasTensor] = []
        if has_frames:
            features, encoded = frame_features(
                inputs["frames"], filters, motion, l2, frame_encoder, motion_encoder, normalization, padding_mask,
                rematerialize, pooling,
            )  # fmt: skip
            parts.append(features)
        if num_features:
            parts.append(normalize_columns(inputs["features"], padding_mask, "normalize_features", "zeros"))
        if sound_samples:
            parts.append(sound_features(inputs["sound"], l2))
        fused = parts[0] if len(parts) == 1 else layers.Concatenate(name="fused_features")(parts)
        sequence_features, summary = read_sequence(fused, sequence, units, dropout, l2, padding_mask)
        average = average_frame(fused, padding_mask, "average_frame")
        spread = spread_over_frames(fused, average, padding_mask, "average_square")
        embedding = layers.Concatenate(name="embedding")([summary, average, spread])
        outputs = {"frame_features": fused, "sequence_features": sequence_features, "embedding": embedding}
        super().__init__(inputs=_input_structure(inputs), outputs=outputs, name=name, **kwargs)
        self.clip_spec = clip_spec
        self.filters = tuple(filters)
        self.units = tuple(units)
        self.motion = motion
        self.sequence = sequence
        self.dropout = dropout
        self.l2 = l2
        self.frame_encoder = frame_encoder
        self.motion_encoder = motion_encoder
        self.num_features = num_features
        self.normalization = normalization
        self.has_padding = has_padding
        self.sound_samples = sound_samples
        self.rematerialize = rematerialize
        self.pooling = pooling
        self.encoder_outputs = encoded

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        shares = self.motion_encoder is not None and self.motion_encoder is self.frame_encoder
        return {
            "clip_spec": self.clip_spec.get_config(),
            "filters": list(self.filters),
            "units": list(self.units),
            "motion": self.motion,
            "sequence": self.sequence,
            "dropout": self.dropout,
            "l2": self.l2,
            "frame_encoder": keras.saving.serialize_keras_object(self.frame_encoder),
            "motion_encoder": SAME_ENCODER if shares else keras.saving.serialize_keras_object(self.motion_encoder),
            "num_features": self.num_features,
            "normalization": self.normalization,
            "has_padding": self.has_padding,
            "sound_samples": self.sound_samples,
            "rematerialize": self.rematerialize,
            "pooling": self.pooling,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> SoraBackbone:
        """The inverse of `get_config`."""
        encoder, motion_encoder = (
            keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("frame_encoder", "motion_encoder")
        )
        encoders = {
            "frame_encoder": encoder,
            "motion_encoder": encoder if motion_encoder == SAME_ENCODER else motion_encoder,
        }
        clip_spec = ClipSpec.from_config(config["clip_spec"])
        return rebuild(cls, {**config, **encoders, "clip_spec": clip_spec})

    @classmethod
    def from_preset(cls, name_or_path: str | os.PathLike[str], clip_spec: ClipSpec | None = None) -> SoraBackbone:
        """Build the preset of that name, or load the backbone that `save_to_preset` wrote to that folder.

        Args:
            name_or_path: a name in `sora_keras.models.presets.BACKBONES`, or a folder.
            clip_spec: the clips to read, for a name; a folder has its own.

        Returns:
            The backbone, with random weights for a name, but for what is pretrained, and with the saved weights for a
            folder.

        Raises:
            ValueError: if there is no such preset.
            FileNotFoundError: if the weights of a pretrained one are not installed.

        Example:
            >>> SoraBackbone.from_preset("small", ClipSpec(num_frames=12, height=32, width=32))
        """
        if name_or_path in BACKBONES:
            clip_spec = clip_spec or ClipSpec()
            return cls(clip_spec, **BACKBONES[str(name_or_path)](clip_spec))
        return load_preset(name_or_path, cls)

    def save_to_preset(self, path: str | os.PathLike[str]) -> None:
        """Write this backbone, weights and all, to a folder that `from_preset` reads."""
        save_preset(self, path)


def _inputs(
    clip_spec: ClipSpec, has_frames: bool, num_features: int, has_padding: bool, sound_samples: int
) -> dict[str, keras.KerasTensor]:
    """The model's inputs by name."""
    inputs = {}
    if has_frames:
        inputs["frames"] = keras.Input((None, *clip_spec.shape[1:]), dtype="uint8", name="frames")
    if num_features:
        inputs["features"] = keras.Input((None, num_features), dtype="float32", name="features")
    if sound_samples:
        inputs["sound"] = sound_input(sound_samples)
    if has_padding:
        inputs["padding_mask"] = keras.Input((None,), dtype="bool", name="padding_mask")
    return inputs


def _input_structure(inputs: dict[str, keras.KerasTensor]) -> Any:
    """What Keras takes as the model's inputs, by name."""
    if len(inputs) > 1:
        return inputs
    # Keras feeds a list of one from an array, and from a dict with other entries too, such as frames nobody reads.
    return inputs["frames"] if "frames" in inputs else list(inputs.values())


def _checked_statistics(normalization: Sequence[Sequence[float]] | None) -> list[list[float]] | None:
    """Means and variances as plain numbers."""
    if normalization is None:
        return None
    statistics = [[float(value) for value in values] for values in normalization]
    if [len(values) for values in statistics] != [3, 3] or min(statistics[1]) <= 0:
        raise ValueError(
            f"`normalization` must hold the means and the positive variances of three channels, received {statistics}."
        )
    return statistics


def _check_choice(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}, received {value!r}.")


def _check_arguments(
    clip_spec: ClipSpec,
    filters: tuple[int, ...],
    units: tuple[int, ...],
    motion: str | None,
    frame_encoder: keras.Model | None,
    motion_encoder: keras.Model | None,
    num_features: int,
    sound_samples: int,
) -> None:
    if isinstance(num_features, bool) or not isinstance(num_features, int) or num_features < 0:
        raise ValueError(
            f"`num_features` must be a whole number of at least 0, the columns of the features, received "
            f"{num_features!r}."
        )
    for name, sizes in (("filters", filters), ("units", units)):
        encoded = motion_encoder is not None or (frame_encoder is not None and motion is None)
        has_others = encoded or ((num_features or sound_samples) and frame_encoder is None)
        alone = name == "filters" and has_others
        if not (sizes or alone) or any(size < 1 for size in sizes):
            raise ValueError(f"`{name}` must hold at least one positive number, received {tuple(sizes)!r}.")
    smallest = smallest_side(filters, motion)
    if filters and min(clip_spec.height, clip_spec.width) < smallest:
        raise ValueError(
            f"{len(filters)} blocks, with motion {motion!r}, need frames of at least {smallest} x {smallest}, received "
            f"{clip_spec.height} x {clip_spec.width}: use larger frames or fewer `filters`."
        )
    if motion_encoder is not None and motion != "difference":
        raise ValueError(
            f'`motion_encoder` reads what changes and goes with `motion="difference"`, received {motion!r}.'
        )
    for name, encoder in (("frame_encoder", frame_encoder), ("motion_encoder", motion_encoder)):
        if encoder is not None and len(encoder.output_shape) != 2:
            raise ValueError(
                f"`{name}` must map one frame to one vector, output shape (B, D), received {encoder.output_shape}: "
                'end it with a pooling layer (`pooling="avg"` in keras.applications).'
            )

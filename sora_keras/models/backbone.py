"""Frames, or their features, to representations: Conv2D for each frame, LSTM over the frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from sora_keras.layers import TemporalDifference, TimeDistributed
from sora_keras.models.presets import BACKBONES, load_preset, save_preset
from sora_keras.video.clip import ClipSpec

LARGEST_DEVIATION = 5.0
CACHED_ACTIVATION_BYTES = 8 * 2**20  # what a CPU's last-level cache holds beside the weights


@keras.saving.register_keras_serializable(package="sora_keras")
class SoraBackbone(keras.Model):
    """A functional model from frames to frame-level, sequence-level and fused representations.

    Each frame, beside its change since the frame before, passes through blocks of 3x3 Conv2D, ReLU and 2x2 max pooling
    and is averaged over space; LSTM layers read the frames in order. Scaling happens inside: feed `uint8` frames.

    Args:
        clip_spec: the clips it reads; T may differ from `clip_spec.num_frames` at any call.
        filters: Conv2D filters, one block each; none, `()`, to read `num_features` alone.
        lstm_units: LSTM units, one layer each.
        motion: `"difference"` appends the change since the previous frame to the input channels (causal), `None` shows
            the frames alone.
        dropout: share of the features dropped before each LSTM layer while training, 0 to 1.
        l2: L2 penalty on the kernels.
        frame_encoder: a Keras model `(H, W, 3)` -> `(D,)` on frames in 0..255 that takes the place of the Conv2D
            blocks for appearance, with its features normalized; `filters` then read the motion alone. Set its
            `trainable` beforehand.
        num_features: columns N of a second input, features computed beforehand for each frame, such as those of
            `sora_keras.features.extract_features`. The LSTM reads them beside the network's own, each column normalized
            by its mean and spread over the clips trained on.
        normalization: means and variances of the three color channels, in units of 0..255, by which frames are brought
            to mean 0 and variance 1, as `sora_keras.data.channel_statistics` finds them in a dataset; by default
            0..255 becomes -1..1.

    Call arguments:
        inputs: frames `uint8 (B, T, H, W, 3)`, RGB; with `num_features` a dict of `frames` and `features`,
            `float32 (B, T, N)`; with `filters=()` the `features` alone, as an array or in a dict.

    Returns:
        dict of `frame_features (B, T, D)`, `sequence_features (B, T, E)` and `embedding (B, F)`, the last frame's
        sequence features beside the mean of the frame features, so `F = E + D`.

    Raises:
        ValueError: if an argument is out of its range, or the frames are too small for the blocks.

    Example:
        >>> backbone = SoraBackbone(ClipSpec(num_frames=16, height=64, width=64))
        >>> backbone(np.zeros((1, 16, 64, 64, 3), "uint8"))["embedding"].shape
        (1, 384)
        >>> num_features = len(sora_keras.features.feature_names(["motion"]))
        >>> fused = SoraBackbone(ClipSpec(), num_features=num_features)
        >>> alone = SoraBackbone(ClipSpec(), filters=(), num_features=num_features)
        >>> adapted = SoraBackbone(ClipSpec(), normalization=sora_keras.data.channel_statistics(train))

    Reference:
        Donahue et al., Long-term Recurrent Convolutional Networks, 2015, https://arxiv.org/abs/1411.4389
    """

    def __init__(
        self,
        clip_spec: ClipSpec,
        filters: tuple[int, ...] = (64, 128, 256),
        lstm_units: tuple[int, ...] = (128, 128),
        motion: str | None = "difference",
        dropout: float = 0.0,
        l2: float = 0.0,
        frame_encoder: keras.Model | None = None,
        num_features: int = 0,
        normalization: Sequence[Sequence[float]] | None = None,
        name: str | None = "sora_backbone",
        **kwargs: Any,
    ) -> None:
        _check_arguments(clip_spec, filters, lstm_units, motion, frame_encoder, num_features)
        normalization = _checked_statistics(normalization)
        inputs, parts = {}, []
        if filters:
            inputs["frames"] = keras.Input((None, *clip_spec.shape[1:]), dtype="uint8", name="frames")
            parts.append(_frame_features(inputs["frames"], filters, motion, l2, frame_encoder, normalization))
        if num_features:
            inputs["features"] = keras.Input((None, num_features), dtype="float32", name="features")
            parts.append(_normalize(inputs["features"]))
        frame_features = parts[0] if len(parts) == 1 else layers.Concatenate(name="fused_features")(parts)
        sequence = frame_features
        for index, units in enumerate(lstm_units):
            if dropout:
                sequence = layers.Dropout(dropout, name=f"dropout_{index}")(sequence)
            sequence = layers.LSTM(units, return_sequences=True, kernel_regularizer=_penalty(l2), name=f"lstm_{index}")(
                sequence
            )
        average = layers.GlobalAveragePooling1D(name="average_frame")(frame_features)
        embedding = layers.Concatenate(name="embedding")([sequence[:, -1], average])
        outputs = {"frame_features": frame_features, "sequence_features": sequence, "embedding": embedding}
        super().__init__(inputs=_input_structure(inputs), outputs=outputs, name=name, **kwargs)
        self.clip_spec = clip_spec
        self.filters = tuple(filters)
        self.lstm_units = tuple(lstm_units)
        self.motion = motion
        self.dropout = dropout
        self.l2 = l2
        self.frame_encoder = frame_encoder
        self.num_features = num_features
        self.normalization = normalization

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "clip_spec": self.clip_spec.get_config(),
            "filters": list(self.filters),
            "lstm_units": list(self.lstm_units),
            "motion": self.motion,
            "dropout": self.dropout,
            "l2": self.l2,
            "frame_encoder": keras.saving.serialize_keras_object(self.frame_encoder),
            "num_features": self.num_features,
            "normalization": self.normalization,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> SoraBackbone:
        """The inverse of `get_config`."""
        encoder = keras.saving.deserialize_keras_object(config["frame_encoder"], custom_objects=custom_objects)
        clip_spec = ClipSpec.from_config(config["clip_spec"])
        backbone = cls(**{**config, "clip_spec": clip_spec, "frame_encoder": encoder, "trainable": True})
        if not config.get("trainable", True):
            backbone.trainable = False  # only now does it reach the layers
        return backbone

    @classmethod
    def from_preset(cls, name_or_path: str | os.PathLike[str], clip_spec: ClipSpec | None = None) -> SoraBackbone:
        """Build the preset of that name, or load the backbone that `save_to_preset` wrote to that folder.

        Args:
            name_or_path: a name in `sora_keras.models.presets.BACKBONES`, or a folder.
            clip_spec: the clips to read, for a name; a folder has its own.

        Returns:
            The backbone, with random weights for a name and with the saved weights for a folder.

        Raises:
            ValueError: if there is no such preset.

        Example:
            >>> SoraBackbone.from_preset("small", ClipSpec(num_frames=12, height=32, width=32))
        """
        if name_or_path in BACKBONES:
            return cls(clip_spec or ClipSpec(), **BACKBONES[str(name_or_path)]())
        return load_preset(name_or_path, cls)

    def save_to_preset(self, path: str | os.PathLike[str]) -> None:
        """Write this backbone, weights and all, to a folder that `from_preset` reads."""
        save_preset(self, path)


def _input_structure(inputs: dict[str, keras.KerasTensor]) -> Any:
    """What Keras takes as the model's inputs, by name."""
    if "features" not in inputs:
        return inputs["frames"]
    # Keras feeds a list of one from an array, and from a dict with other entries too, such as frames nobody reads.
    return inputs if "frames" in inputs else [inputs["features"]]


def _frame_features(
    frames: keras.KerasTensor,
    filters: tuple[int, ...],
    motion: str | None,
    l2: float,
    frame_encoder: keras.Model | None,
    normalization: list[list[float]] | None,
) -> keras.KerasTensor:
    """Frames `uint8 (B, T, H, W, 3)` to features `(B, T, D)`."""
    if normalization is None:
        scaled = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(frames)
    else:
        mean, variance = normalization
        scaled = layers.Normalization(mean=mean, variance=variance, name="scale")(frames)
    pair = TemporalDifference(name="difference")(scaled) if motion else scaled
    if frame_encoder is None:
        return _distribute(_conv_encoder(pair.shape[2:], filters, l2, "frame_encoder"), filters[0])(pair)
    # Encoders differ in the size of their features; beside the motion's they must not drown it.
    appearance = layers.LayerNormalization(name="normalize")(_distribute(frame_encoder, 64)(frames))
    if motion is None:
        return appearance
    change = _distribute(_conv_encoder((*pair.shape[2:4], 3), filters, l2, "motion_encoder"), filters[0])(pair[..., 3:])
    return layers.Concatenate(name="frame_features")([appearance, change])


def _normalize(features: keras.KerasTensor) -> keras.KerasTensor:
    """Columns of any units to columns of mean 0 and spread 1, by statistics that `fit` gathers as it goes."""
    # Keras's defaults suit activations and long trainings. Here columns may be shares of a thousandth, and a variance
    # that begins at 1, or an epsilon of 0.001, would hide them for hundreds of steps.
    normalized = layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-6,
        center=False,
        scale=False,
        moving_variance_initializer="zeros",
        name="normalize_features",
    )(features)
    # A column that hardly varied in training would drown all others where it does.
    return ops.clip(normalized, -LARGEST_DEVIATION, LARGEST_DEVIATION)


def _conv_encoder(shape: tuple[int, ...], filters: tuple[int, ...], l2: float, name: str) -> keras.Model:
    """Blocks of 3x3 convolution, ReLU and 2x2 max pooling, averaged over space: `(H, W, C)` -> `(D,)`."""
    image = x = keras.Input(shape, name="image")
    for index, channels in enumerate(filters):
        x = layers.Conv2D(
            channels, 3, padding="same", activation="relu", kernel_regularizer=_penalty(l2), name=f"conv_{index}"
        )(x)
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
    return keras.Model(image, layers.GlobalAveragePooling2D(name="average")(x), name=name)


def _distribute(encoder: keras.Model, widest_channels: int) -> TimeDistributed:
    """Over all frames; on a CPU, at inference, only as many at once as its cache holds."""
    height, width = encoder.input_shape[1:3]
    frames_at_once = max(1, CACHED_ACTIVATION_BYTES // (4 * height * width * widest_channels))
    on_cpu = keras.config.backend() == "tensorflow" and not keras.distribution.list_devices("gpu")
    return TimeDistributed(encoder, frames_at_once=frames_at_once if on_cpu else None, name=f"each_{encoder.name}")


def _penalty(l2: float) -> keras.regularizers.Regularizer | None:
    return keras.regularizers.L2(l2) if l2 else None


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


def _check_arguments(
    clip_spec: ClipSpec,
    filters: tuple[int, ...],
    lstm_units: tuple[int, ...],
    motion: str | None,
    frame_encoder: keras.Model | None,
    num_features: int,
) -> None:
    if isinstance(num_features, bool) or not isinstance(num_features, int) or num_features < 0:
        raise ValueError(
            f"`num_features` must be a whole number of at least 0, the columns of the features, received "
            f"{num_features!r}."
        )
    if motion not in (None, "difference"):
        raise ValueError(f'`motion` must be "difference" or None, received {motion!r}.')
    for name, sizes in (("filters", filters), ("lstm_units", lstm_units)):
        alone = name == "filters" and num_features and frame_encoder is None
        if not (sizes or alone) or any(size < 1 for size in sizes):
            raise ValueError(f"`{name}` must hold at least one positive number, received {tuple(sizes)!r}.")
    smallest_side = 2 ** len(filters)
    if min(clip_spec.height, clip_spec.width) < smallest_side:
        raise ValueError(
            f"{len(filters)} blocks halve the frame {len(filters)} times and need frames of at least {smallest_side} x "
            f"{smallest_side}, received {clip_spec.height} x {clip_spec.width}: use larger frames or fewer `filters`."
        )
    if frame_encoder is not None and len(frame_encoder.output_shape) != 2:
        raise ValueError(
            f"`frame_encoder` must map one frame to one vector, output shape (B, D), received "
            f'{frame_encoder.output_shape}: end it with a pooling layer (`pooling="avg"` in keras.applications).'
        )

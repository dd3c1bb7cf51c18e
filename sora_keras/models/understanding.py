"""Frames to the labels of several vocabularies: which of them hold in a clip, and at which of its frames."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from sora_keras.layers.top_pooling import TopPooling
from sora_keras.models.backbone import SoraBackbone
from sora_keras.models.known_crossentropy import KnownBinaryCrossentropy
from sora_keras.models.presets import load_preset, save_preset
from sora_keras.models.rebuilding import rebuild
from sora_keras.video.clip import ClipSpec

POOLINGS = ("attention", "top")
FRAMES_SUFFIX = "_frames"


@keras.saving.register_keras_serializable(package="sora_keras")
class SoraUnderstanding(keras.Model):
    """A functional model that tags a clip and locates its labels in time, from one sequence. Arrives compiled.

    A Dense layer scores each frame by what the sequence layers made of it; a clip's score is pooled from its frames'.
    So clip labels alone teach it where to look, and timed labels, where there are any, teach both. Labels that are -1
    are left out of the loss: see `sora_keras.data.vocabulary_labels`.

    Args:
        backbone: what makes the representation. One that looks both ways, such as
            `sequence="bidirectional_lstm"`, locates best.
        vocabularies: name of each vocabulary -> names of its K labels, of which any number may hold at once.
        pooling: how frames make a clip: `"attention"`, an average with learned weights for each label, or `"top"`, the
            average of the highest eighth.
        dropout: share of the sequence features dropped while training, 0 to 1.
        learning_rate: Adam's, as compiled.
        l2: L2 penalty on the weights of its Dense layers.
        with_frame_features: whether frames are scored by their own features beside those of the sequence: for what one
            frame shows, such as who somebody is.
        thresholds: for each vocabulary, the probability from which on each label is taken to hold; by default 0.5. Set
            them by `sora_keras.evaluation.best_thresholds` on videos for validation: `model.thresholds = ...`.

    Call arguments:
        inputs: what its backbone reads. Where it has padding, map the `padding_mask` into the dataset.

    Returns:
        For each vocabulary, under its name, the clip's logits `(B, K)`, and with `_frames` behind it, the frames'
        logits `(B, T, K)`; `keras.ops.sigmoid` makes them probabilities.

    Raises:
        ValueError: if an argument is out of its range, or a vocabulary is empty, names a label twice or cannot be the
            name of an output.

    Example:
        >>> vocabularies = {"event": ["walk", "fall"], "person": ["anna", "ben"]}
        >>> model = SoraUnderstanding(SoraBackbone(ClipSpec(32, 64, 64, 4.0)), vocabularies)
        >>> model.fit(video_dataset_from_manifest(rows, model.clip_spec, vocabularies=vocabularies), epochs=10)
        >>> model(frames)["event_frames"].shape
        (8, 32, 2)
    """

    def __init__(
        self,
        backbone: SoraBackbone,
        vocabularies: Mapping[str, Sequence[str]],
        pooling: str = "attention",
        dropout: float = 0.2,
        learning_rate: float = 1e-3,
        l2: float = 0.0,
        with_frame_features: bool = False,
        thresholds: Mapping[str, Sequence[float]] | None = None,
        name: str | None = "sora_understanding",
        **kwargs: Any,
    ) -> None:
        vocabularies = _checked_vocabularies(vocabularies)
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be one of {', '.join(map(repr, POOLINGS))}, received {pooling!r}.")
        features = backbone.output["sequence_features"]
        if backbone.has_padding:
            features = ops.multiply(features, 1.0)  # leaves behind the mask by which Keras would weigh the loss again
        if with_frame_features:
            features = layers.Concatenate(name="scored_features")([features, backbone.output["frame_features"]])
        if dropout:
            features = layers.Dropout(dropout, name="dropout")(features)
        mask = backbone.input["padding_mask"] if backbone.has_padding else None
        outputs = {}
        for vocabulary, names in vocabularies.items():
            frames = _scores(features, len(names), l2, vocabulary + FRAMES_SUFFIX)
            if pooling == "top":
                clip = TopPooling(name=f"{vocabulary}_top", dtype="float32")(frames, mask=mask)
            else:
                clip = _attended(features, frames, mask, l2, vocabulary)
            outputs[vocabulary], outputs[vocabulary + FRAMES_SUFFIX] = clip, frames
        super().__init__(inputs=backbone.input, outputs=outputs, name=name, **kwargs)
        self.backbone = backbone
        self.vocabularies = vocabularies
        self.pooling = pooling
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.l2 = l2
        self.with_frame_features = with_frame_features
        self.thresholds = thresholds or {vocabulary: [0.5] * len(names) for vocabulary, names in vocabularies.items()}
        self.compile(
            optimizer=keras.optimizers.Adam(learning_rate),
            loss={output: KnownBinaryCrossentropy() for output in outputs},
        )

    @property
    def clip_spec(self) -> ClipSpec:
        """The `ClipSpec` of the clips it reads."""
        return self.backbone.clip_spec

    @property
    def thresholds(self) -> dict[str, list[float]]:
        """For each vocabulary, the probability from which on each label is taken to hold."""
        return {vocabulary: list(values) for vocabulary, values in self._thresholds}

    @thresholds.setter
    def thresholds(self, thresholds: Mapping[str, Sequence[float]]) -> None:
        if unknown := sorted(set(thresholds) - set(self.vocabularies)):
            raise ValueError(f"`thresholds` has {unknown}, the model has the vocabularies {list(self.vocabularies)}.")
        for vocabulary, names in self.vocabularies.items():
            values = list(thresholds.get(vocabulary, ()))
            if len(values) != len(names) or not all(0 <= value <= 1 for value in values):
                raise ValueError(
                    f"`thresholds` must hold {len(names)} probabilities from 0 to 1 for the vocabulary "
                    f"{vocabulary!r}, received {values}."
                )
        # Plain tuples: Keras would make a tracked dict of a dict.
        self._thresholds = tuple((name, tuple(map(float, thresholds[name]))) for name in self.vocabularies)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "vocabularies": {name: list(labels) for name, labels in self.vocabularies.items()},
            "pooling": self.pooling,
            "dropout": self.dropout,
            "learning_rate": self.learning_rate,
            "l2": self.l2,
            "with_frame_features": self.with_frame_features,
            "thresholds": self.thresholds,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_preset(cls, path: str | os.PathLike[str]) -> SoraUnderstanding:
        """Load the model that `save_to_preset` wrote to that folder."""
        return load_preset(path, cls)

    def save_to_preset(self, path: str | os.PathLike[str]) -> None:
        """Write this model, weights and all, to a folder that `from_preset` reads."""
        save_preset(self, path)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> SoraUnderstanding:
        """The inverse of `get_config`."""
        backbone = keras.saving.deserialize_keras_object(config["backbone"], custom_objects=custom_objects)
        return rebuild(cls, {**config, "backbone": backbone})


def _checked_vocabularies(vocabularies: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    checked = {str(vocabulary): [str(name) for name in names] for vocabulary, names in vocabularies.items()}
    if not checked:
        raise ValueError("`vocabularies` must name at least one vocabulary, received none.")
    for vocabulary, names in checked.items():
        if not vocabulary.isidentifier() or vocabulary.endswith(FRAMES_SUFFIX):
            raise ValueError(
                f"A vocabulary must be named like a variable, and not end with {FRAMES_SUFFIX}, since it names an "
                f"output of the model, received {vocabulary!r}."
            )
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"The vocabulary {vocabulary!r} must hold at least one label, none twice, received {names}."
            )
        for name in names:
            if not name.isprintable():
                raise ValueError(f"Labels must be printable text, received {name!r} in {vocabulary!r}.")
    return checked


def _scores(features: keras.KerasTensor, num_labels: int, l2: float, name: str) -> keras.KerasTensor:
    """A number for each frame and label, `(B, T, K)`."""
    penalty = keras.regularizers.L2(l2) if l2 else None
    return layers.Dense(num_labels, kernel_regularizer=penalty, name=name, dtype="float32")(features)


def _attended(
    features: keras.KerasTensor, frames: keras.KerasTensor, mask: keras.KerasTensor | None, l2: float, name: str
) -> keras.KerasTensor:
    """Frame logits `(B, T, K)` to the clip's `(B, K)`: an average with learned weights for each label."""
    attention = _scores(features, frames.shape[-1], l2, f"{name}_attention")
    if mask is not None:
        attention = ops.where(mask[:, :, None], attention, -1e9)
    weights = layers.Softmax(axis=1, name=f"{name}_weights", dtype="float32")(attention)
    return ops.sum(weights * frames, axis=1)

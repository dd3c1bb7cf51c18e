"""Frames to one class: a backbone's embedding, then a Dense layer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from sora_keras.models.backbone import SoraBackbone
from sora_keras.models.presets import BACKBONES, load_preset, save_preset
from sora_keras.models.rebuilding import rebuild
from sora_keras.video.clip import ClipSpec


@keras.saving.register_keras_serializable(package="sora_keras")
class SoraClassifier(keras.Model):
    """A functional model that names the one class of a clip. Arrives compiled; recompile freely.

    Args:
        backbone: what makes the representation.
        class_names: names of the K classes, in the order of the labels.
        dropout: share of the embedding dropped while training, 0 to 1.
        learning_rate: Adam's, as compiled.
        l2: L2 penalty on the weights of its Dense layer.

    Call arguments:
        inputs: what its backbone reads: frames `uint8 (B, T, H, W, 3)`, RGB, or features, or a dict of both.

    Returns:
        Logits `(B, K)`; `keras.ops.softmax` makes them probabilities.

    Raises:
        ValueError: if fewer than two class names are given, one is given twice, or one is no printable text.

    Example:
        >>> model = SoraClassifier(SoraBackbone(ClipSpec()), class_names=["fight", "no_fight"])
        >>> model.fit(train, validation_data=validation, epochs=10)
    """

    def __init__(
        self,
        backbone: SoraBackbone,
        class_names: Sequence[str],
        dropout: float = 0.2,
        learning_rate: float = 1e-3,
        l2: float = 0.0,
        name: str | None = "sora_classifier",
        **kwargs: Any,
    ) -> None:
        class_names = [str(class_name) for class_name in class_names]
        if len(class_names) < 2 or len(set(class_names)) < len(class_names):
            raise ValueError(f"`class_names` must hold at least two different names, received {class_names}.")
        for class_name in class_names:
            if not class_name.isprintable():
                raise ValueError(f"Class names must be printable text, received {class_name!r}: rename its folder.")
        embedding = backbone.output["embedding"]
        if dropout:
            embedding = layers.Dropout(dropout, name="dropout")(embedding)
        penalty = keras.regularizers.L2(l2) if l2 else None
        logits = layers.Dense(len(class_names), kernel_regularizer=penalty, name="logits", dtype="float32")(embedding)
        super().__init__(inputs=backbone.input, outputs=logits, name=name, **kwargs)
        self.backbone = backbone
        self.class_names = class_names
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.l2 = l2
        self.compile(
            optimizer=keras.optimizers.Adam(learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )

    @property
    def clip_spec(self) -> ClipSpec:
        """The `ClipSpec` of the clips it reads."""
        return self.backbone.clip_spec

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "class_names": self.class_names,
            "dropout": self.dropout,
            "learning_rate": self.learning_rate,
            "l2": self.l2,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_preset(
        cls,
        name_or_path: str | os.PathLike[str],
        class_names: Sequence[str] | None = None,
        clip_spec: ClipSpec | None = None,
        **kwargs: Any,
    ) -> SoraClassifier:
        """Load the classifier that `save_to_preset` wrote to that folder, or build one on a backbone preset.

        Args:
            name_or_path: a folder, or a name in `sora_keras.models.presets.BACKBONES`.
            class_names: names of the classes, for a backbone preset; a folder has its own.
            clip_spec: the clips to read, likewise.
            **kwargs: the constructor's other arguments, likewise.

        Returns:
            The classifier.

        Raises:
            ValueError: if there is no such preset, or `class_names` is missing.

        Example:
            >>> SoraClassifier.from_preset("small", class_names=["fight", "no_fight"])
        """
        if name_or_path not in BACKBONES:
            return load_preset(name_or_path, cls)
        if class_names is None:
            raise ValueError(f"The preset {name_or_path!r} is a backbone without a head: give `class_names`.")
        return cls(SoraBackbone.from_preset(name_or_path, clip_spec), class_names, **kwargs)

    def save_to_preset(self, path: str | os.PathLike[str]) -> None:
        """Write this classifier, weights and all, to a folder that `from_preset` reads."""
        save_preset(self, path)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> SoraClassifier:
        """The inverse of `get_config`."""
        backbone = keras.saving.deserialize_keras_object(config["backbone"], custom_objects=custom_objects)
        return rebuild(cls, {**config, "backbone": backbone})

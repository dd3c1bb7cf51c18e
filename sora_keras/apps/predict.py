"""Video files and a trained classifier to a class for each video."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from sora_keras.models import SoraClassifier
from sora_keras.models.presets import FILE_NAME, load_preset
from sora_keras.serving import load_bundle
from sora_keras.serving.bundle import versions_in
from sora_keras.video import ClipSpec, VideoError, read_clip


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a classifier says of one video.

    Args:
        path: the file.
        probabilities: of each class, the most probable first; empty where the file cannot be read.
        error: why it cannot be read, else `None`.
    """

    path: str
    probabilities: dict[str, float]
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The most probable class."""
        return next(iter(self.probabilities), None)


def predict_videos(model_path: str | os.PathLike[str], paths: Sequence[str | os.PathLike[str]]) -> Iterator[Prediction]:
    """Name the class of each video.

    Args:
        model_path: a folder that `sora_keras.export` or `save_to_preset` wrote; the exported model goes first.
        paths: the video files.

    Yields:
        A prediction for each file, in order; a file that cannot be read yields its error.

    Raises:
        ValueError: if there is no model.

    Example:
        >>> for prediction in predict_videos("saved_models/fights", ["street.mp4"]):
        ...     print(prediction.path, prediction.label)
    """
    clip_spec, class_names, predict = _load(model_path)
    for path in paths:
        try:
            clip = read_clip(path, clip_spec)
        except VideoError as error:
            yield Prediction(os.fspath(path), {}, error.reason)
            continue
        probabilities = predict(clip.frames[None])[0]
        order = np.argsort(-probabilities, kind="stable")
        yield Prediction(os.fspath(path), {class_names[index]: float(probabilities[index]) for index in order})


def _load(model_path: str | os.PathLike[str]) -> tuple[ClipSpec, list[str], Callable[[np.ndarray], np.ndarray]]:
    folder = Path(model_path)
    if versions_in(folder) or (folder / "saved_model.pb").is_file():
        bundle = load_bundle(folder)
        return bundle.clip_spec, bundle.class_names, bundle.predict
    if not (folder / FILE_NAME).is_file():
        raise ValueError(
            f"{folder} holds no model: expected numbered versions that `sora-keras export` writes, or {FILE_NAME} that "
            "`sora-keras train` writes."
        )
    import keras

    model = load_preset(folder, SoraClassifier)

    def predict(frames: np.ndarray) -> np.ndarray:
        return keras.ops.convert_to_numpy(keras.ops.softmax(model(frames, training=False)))

    return model.clip_spec, model.class_names, predict

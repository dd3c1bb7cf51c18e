"""A folder of videos, one sub-folder a class, to a trained, judged and exported classifier."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras

from sora_keras.data import split_rows, video_dataset_from_manifest
from sora_keras.data.manifest import (
    Row,
    check_classes,
    check_groups_per_class,
    class_names_of,
    find_group_column,
    rows_from_directory,
)
from sora_keras.evaluation import Evaluation, evaluate_classifier, save_report
from sora_keras.models import SoraClassifier
from sora_keras.serving import export
from sora_keras.training import training_callbacks
from sora_keras.video import ClipSpec

CACHED_BYTES_AT_MOST = 2 * 2**30


def train_on_directory(
    directory: str | os.PathLike[str],
    to: str | os.PathLike[str],
    clip_spec: ClipSpec | None = None,
    preset: str = "small",
    groups: str | None = None,
    test_split: float = 0.2,
    validation_split: float = 0.2,
    epochs: int = 40,
    batch_size: int = 16,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> Evaluation:
    """Train on a part of the videos, stop by a second part, judge on a third, and export.

    Args:
        directory: the folder, one sub-folder a class.
        to: folder to write: `model.keras`, `report/`, `training/` (logs) and a new numbered version to serve. Killed
            on the way, the same call goes on at the last finished epoch.
        clip_spec: the clips to read; by default 16 frames of 64x64 spread over each video.
        preset: name of a backbone preset.
        groups: column of a CSV file in the folder that says which videos belong together; by default `group`, if a
            CSV file there has one.
        test_split: share of the videos to judge on.
        validation_split: share of the others to choose the best epoch by.
        epochs: passes over the training videos at most.
        batch_size: clips in a batch.
        learning_rate: Adam's, at the start.
        seed: the same seed makes the same splits, order and first weights.

    Returns:
        The evaluation on the test videos, as saved in `to/report`; a video that cannot be read is left out, and logged.

    Raises:
        ValueError: if a number is out of its range, or the folder does not hold enough readable videos of at least two
            classes, or `to` holds a training that was interrupted with other arguments.
        OSError: if `to` cannot be written.

    Example:
        >>> train_on_directory("videos", to="saved_models/videos").metrics["accuracy"]
    """
    _check_numbers(epochs, batch_size, learning_rate, seed)
    keras.utils.set_random_seed(seed)
    clip_spec = clip_spec or ClipSpec()
    rows = rows_from_directory(directory, groups=groups or find_group_column(directory))
    class_names = class_names_of(rows)
    check_classes(directory, class_names)
    check_groups_per_class(rows, least=3)  # one to train, one to validate and one to test on
    model = SoraClassifier.from_preset(preset, class_names, clip_spec, learning_rate=learning_rate)
    others, test_rows = split_rows(rows, test_split, seed)
    train_rows, validation_rows = split_rows(others, validation_split, seed)
    _make_folder(Path(to))
    arguments = {
        "directory": os.fspath(Path(directory).resolve()), "clip_spec": clip_spec.get_config(), "preset": str(preset),
        "groups": groups, "test_split": test_split, "validation_split": validation_split, "batch_size": batch_size,
        "learning_rate": learning_rate, "seed": seed,
    }  # fmt: skip
    _check_resumed(Path(to) / "training", arguments)
    cache = len(rows) * _bytes_per_clip(clip_spec) <= CACHED_BYTES_AT_MOST

    def dataset(part: list[Row], shuffle: bool = False, sampling: str = "uniform") -> Any:
        return video_dataset_from_manifest(
            part, clip_spec, "int", class_names, batch_size, shuffle, seed, sampling, cache=cache
        )

    train = dataset(train_rows, shuffle=True, sampling="uniform" if cache else "random_window")
    validation, test = dataset(validation_rows), dataset(test_rows)
    with warnings.catch_warnings():
        # Without a cache, what cannot be read makes an epoch shorter than foreseen, and Keras takes that for a lack.
        warnings.filterwarnings("ignore", message="Your input ran out of data", category=UserWarning)
        history = model.fit(
            train,
            validation_data=validation,
            epochs=epochs,
            callbacks=training_callbacks(Path(to) / "training"),
            shuffle=False,  # the dataset shuffles itself
            verbose="auto" if sys.stdout.isatty() else 2,
        )
    model.save_to_preset(to)
    evaluation = evaluate_classifier(model, test)
    title = f"{Path(to).name} on its test videos"
    save_report(evaluation.metrics, Path(to) / "report", history.history, evaluation.mistakes, title)
    export(model, to)
    return evaluation


def _check_numbers(epochs: int, batch_size: int, learning_rate: float, seed: int) -> None:
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1, received {epochs!r}.")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, received {batch_size!r}.")
    if not 0 < learning_rate < float("inf"):
        raise ValueError(f"`learning_rate` must be a positive number, received {learning_rate!r}.")
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must be from 0 to {2**32 - 1}, received {seed!r}.")


def _make_folder(folder: Path) -> None:
    """Before hours of training, not after, find out whether the folder can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"{folder} cannot be written ({error.strerror}): name another folder.") from error


def _check_resumed(folder: Path, arguments: dict[str, Any]) -> None:
    """Refuse to go on with an interrupted training of other arguments, and keep those of this one beside its logs."""
    file = folder / "arguments.json"
    is_resumed = (folder / "backup").is_dir() and file.is_file()
    began = json.loads(file.read_text(encoding="utf-8")) if is_resumed else arguments
    if changed := {name: began.get(name) for name in arguments if began.get(name) != arguments[name]}:
        raise ValueError(
            f"{folder} holds a training that was interrupted with {changed}: go on with the same, or remove that "
            "folder to start anew."
        )
    folder.mkdir(exist_ok=True)
    file.write_text(json.dumps(arguments, indent=1) + "\n", encoding="utf-8")


def _bytes_per_clip(clip_spec: ClipSpec) -> int:
    frames, height, width, channels = clip_spec.shape
    return frames * height * width * channels

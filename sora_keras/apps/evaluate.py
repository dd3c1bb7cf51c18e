"""A trained classifier and a folder of labeled videos to a saved report."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from sora_keras.data import video_dataset_from_manifest
from sora_keras.data.datasets.directory import rows_from
from sora_keras.data.manifest import class_names_of
from sora_keras.evaluation import Evaluation, evaluate_classifier, save_report
from sora_keras.models import SoraClassifier


def evaluate_on_directory(
    model_path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    to: str | os.PathLike[str],
    groups: str | None = None,
) -> Evaluation:
    """Judge a trained model on every video of a folder.

    Args:
        model_path: folder that `train_on_directory` or `save_to_preset` wrote.
        directory: the folder of videos, one sub-folder a class, or a CSV manifest.
        to: folder for the report.
        groups: CSV column that says which videos belong together; by default `group`, if a CSV file there has one.

    Returns:
        The evaluation, as saved in `to`.

    Raises:
        ValueError: if there is no model, or the folder has a class that the model does not know.

    Example:
        >>> evaluate_on_directory("saved_models/videos", "new_videos", to="report").metrics["accuracy"]
    """
    model = SoraClassifier.from_preset(model_path)
    _warn_if_trained_on(Path(model_path), Path(directory))
    rows = rows_from(directory, groups)
    if unknown := sorted(set(class_names_of(rows)) - set(model.class_names)):
        raise ValueError(
            f"{os.fspath(directory)} has the classes {unknown}, which the model does not know; its classes are "
            f"{model.class_names}: rename or leave out those sub-folders."
        )
    dataset = video_dataset_from_manifest(
        rows, model.clip_spec, class_names=model.class_names, batch_size=8, shuffle=False
    )
    evaluation = evaluate_classifier(model, dataset)
    title = f"{Path(model_path).name} on {Path(directory).name}"
    save_report(evaluation.metrics, to, mistakes=evaluation.mistakes, title=title)
    return evaluation


def _warn_if_trained_on(model_path: Path, directory: Path) -> None:
    file = model_path / "training" / "arguments.json"
    if file.is_file() and json.loads(file.read_text(encoding="utf-8"))["directory"] == str(directory.resolve()):
        logging.getLogger(__name__).warning(
            "the model was trained on videos of %s: the figures say little of new ones; %s does",
            directory,
            model_path / "report" / "report.md",
        )

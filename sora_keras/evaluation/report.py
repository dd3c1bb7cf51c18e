"""Metrics to a folder with a report: exact numbers for machines, a page for people, pictures for both."""

from __future__ import annotations

import contextlib
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sora_keras.evaluation.mistake import Mistake
from sora_keras.evaluation.plots import plot_confusion_matrix, plot_learning_curves, plot_mistakes

FEW_GROUPS = 20


def save_report(
    metrics: dict[str, Any],
    directory: str | os.PathLike[str],
    history: Mapping[str, Sequence[float]] | None = None,
    mistakes: Sequence[Mistake] | None = None,
    title: str = "Evaluation",
) -> Path:
    """Writes `report.json`, `report.md` and the pictures it shows; each file appears whole or not at all.

    Args:
        metrics: as `classification_metrics` returns them.
        directory: folder to write to; created where it is missing.
        history: `History.history` of Keras, for the learning curves.
        mistakes: `Evaluation.mistakes`, for the contact sheet.
        title: the headline of the page.

    Returns:
        The path of `report.md`.

    Raises:
        OSError: if the folder cannot be created or written.
    """
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        pictures = _save_pictures(metrics, directory, history, mistakes)
        numbers = _plain({"title": title, "metrics": metrics, "history": history, "mistakes": _rows(mistakes)})
        _save_text(json.dumps(numbers, indent=1, allow_nan=False), directory / "report.json")
        _save_text(_page(metrics, title, pictures), directory / "report.md")
    except OSError as error:
        raise OSError(f"The report must go to a folder that can be written, received {directory}: {error}.") from error
    return directory / "report.md"


def _save_pictures(
    metrics: dict[str, Any],
    directory: Path,
    history: Mapping[str, Sequence[float]] | None,
    mistakes: Sequence[Mistake] | None,
) -> dict[str, str]:
    """Draws what there is to draw; returns headings and file names."""
    pictures = {"Confusion matrix": "confusion_matrix.png"}
    with _replacing(directory / "confusion_matrix.png") as path:
        plot_confusion_matrix(np.array(metrics["confusion_matrix"]), metrics["class_names"], path)
    if history:
        pictures["Learning curves"] = "learning_curves.png"
        with _replacing(directory / "learning_curves.png") as path:
            plot_learning_curves(history, path)
    if mistakes:
        pictures["Most confident mistakes"] = "mistakes.png"
        with _replacing(directory / "mistakes.png") as path:
            plot_mistakes(mistakes, path)
    return pictures


def _page(metrics: dict[str, Any], title: str, pictures: dict[str, str]) -> str:
    parts = [f"# {title}", _headline(metrics), _table(metrics), _how_sure(metrics)]
    parts += [f"## {heading}\n\n![{heading}]({file_name})" for heading, file_name in pictures.items()]
    return "\n\n".join(parts) + "\n"


def _headline(metrics: dict[str, Any]) -> str:
    lines = [
        f"**Accuracy {_score(metrics, 'accuracy')}**; always answering the most frequent class scores "
        f"{metrics['chance']:.1%}.",
        "",
    ]
    if metrics["top_k"] < len(metrics["class_names"]):
        lines.append(f"- top-{metrics['top_k']} accuracy {_score(metrics, 'top_k_accuracy')}")
    lines.append(f"- macro F1 {_score(metrics, 'macro_f1')}")
    groups = "" if metrics["num_groups"] is None else f" from {metrics['num_groups']} groups"
    lines.append(f"- {metrics['num_clips']} clips{groups}, {len(metrics['class_names'])} classes")
    return "\n".join(lines)


def _table(metrics: dict[str, Any]) -> str:
    lines = ["## Classes", "", "| class | clips | precision | recall | F1 |", "|---|---:|---:|---:|---:|"]
    for row in metrics["per_class"]:
        scores = " | ".join(_score(row, name) for name in ("precision", "recall", "f1"))
        lines.append(f"| {_cell(row['name'])} | {row['support']} | {scores} |")
    return "\n".join(lines)


def _how_sure(metrics: dict[str, Any]) -> str:
    methods = metrics["interval_methods"]
    text = (
        f"In brackets: {metrics['confidence']:.0%} intervals. Accuracy: {methods['accuracy']}. Classes: "
        f"{methods['per_class']}. Macro F1: {methods['macro_f1']}."
    )
    if metrics["num_groups"] is None:
        return text + " They take the clips for independent; clips of one source are not, and need wider intervals."
    if metrics["num_groups"] < FEW_GROUPS:
        return text + f" Intervals over as few as {metrics['num_groups']} groups tend to be too narrow."
    return text


def _score(row: dict[str, Any], name: str) -> str:
    if row[name] is None:
        return "undefined"
    low, high = row[f"{name}_interval"]
    return f"{row[name]:.1%} [{low:.1%}, {high:.1%}]"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _rows(mistakes: Sequence[Mistake] | None) -> list[dict[str, Any]]:
    names = ("true_name", "predicted_name", "probability", "path")
    return [{name: getattr(mistake, name) for name in names} for mistake in mistakes or ()]


def _plain(value: Any) -> Any:
    """The value in what JSON knows; NaN and infinity, which it does not, become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _save_text(text: str, path: Path) -> None:
    with _replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Another name to write under; it becomes `path` when all is written, and vanishes when anything fails."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

"""A trained model with its data and metrics in, a page that says what it is and what it cost out."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sora_keras.atomic import appearing_when_whole
from sora_keras.data.manifest import Row
from sora_keras.models import describe_model
from sora_keras.training.data_hashes import data_hashes
from sora_keras.version import __version__

PASSES = 3  # forward once, backward twice that
LIMITS = (
    "Judged on videos of the same source as those it learned from: elsewhere expect less, and measure. Who may be "
    "harmed by its errors has not been written down yet: do so before it decides anything about people."
)


def write_model_card(
    path: str | os.PathLike[str],
    model: keras.Model,
    parts: Mapping[str, Sequence[Row]],
    metrics: Mapping[str, Any],
    history: Mapping[str, Sequence[float]],
    command: str | None = None,
    limits: str = LIMITS,
    clips_an_epoch: int | None = None,
) -> Path:
    """Write down what somebody needs who is to trust the model, repeat the training or pay for it.

    Args:
        path: Markdown file to write, such as `model_card.md` beside `model.keras`.
        model: the trained model.
        parts: the rows it was trained, validated and tested on, by part: `train`, `validation`, `test`.
        metrics: as `classification_metrics` gives them: each score that has its interval is listed.
        history: figures by epoch, as `fit` returns them; `seconds` of `EpochSeconds` makes the cost.
        command: what was run; by default this process's command line.
        limits: where it fails, and who may be harmed by its errors.
        clips_an_epoch: how many clips as large as those of the model's `clip_spec` an epoch read; by default one of
            each row.

    Returns:
        The path.

    Raises:
        ValueError: if there is no part `train`.
        OSError: if the file cannot be written.

    Example:
        >>> parts = {"train": train.rows, "validation": validation.rows, "test": test.rows}
        >>> write_model_card("saved_models/fights/model_card.md", model, parts, evaluation.metrics, history.history)
    """
    if "train" not in parts:
        raise ValueError(f"`parts` must have one named 'train', received {list(parts)}.")
    path = Path(path)
    sections = {
        "Model": _model(model),
        "Data": _data(parts),
        "Metrics": _metrics(metrics),
        "Training": _training(model, clips_an_epoch or len(parts["train"]), history, command),
        "Versions": _versions(),
    }
    lines = [f"# {path.resolve().parent.name}", ""]
    for title, facts in sections.items():
        lines += [f"## {title}", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {_cell(fact)} |" for name, fact in facts.items()]
        lines.append("")
    lines += ["## Limits", "", limits, ""]
    with appearing_when_whole(path) as unfinished:
        unfinished.write_text("\n".join(lines), encoding="utf-8")
    return path


def _model(model: keras.Model) -> dict[str, Any]:
    facts = {"kind": type(model).__name__, "parameters": f"{model.count_params():,}"}
    if clip_spec := getattr(model, "clip_spec", None):
        facts["clips"] = ", ".join(f"{name} {value}" for name, value in clip_spec.get_config().items())
    if class_names := getattr(model, "class_names", None):
        facts["classes"] = ", ".join(class_names)
    return facts


def _data(parts: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    sizes = {part: f"{len(rows)} videos of {len({row.group for row in rows})} groups" for part, rows in parts.items()}
    data_hash, split_hash = data_hashes(parts)
    return {**sizes, "data hash": f"`{data_hash}`", "split hash": f"`{split_hash}`"}


def _metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    confidence = f"{100 * metrics.get('confidence', 0.95):g} %"
    facts = {}
    for name, value in metrics.items():
        if f"{name}_interval" in metrics and value is not None:
            low, high = metrics[f"{name}_interval"]
            facts[name.replace("_", " ")] = f"{value:.3f} ({confidence} interval {low:.3f} to {high:.3f})"
    counts = {"most frequent class alone": "chance", "test clips": "num_clips", "test groups": "num_groups"}
    for title, name in counts.items():
        if metrics.get(name) is not None:
            facts[title] = f"{metrics[name]:.3f}" if name == "chance" else metrics[name]
    return facts


def _training(
    model: keras.Model, num_clips: int, history: Mapping[str, Sequence[float]], command: str | None
) -> dict[str, Any]:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if command is None else command
    devices = keras.distribution.list_devices("gpu")
    seconds, num_epochs = float(np.sum(history.get("seconds", ()))), len(next(iter(history.values()), ()))
    facts = {
        "command": f"`{command}`",
        "finished": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "epochs": num_epochs,
        "device": ", ".join(devices) or f"CPU, {os.cpu_count()} cores, {platform.machine()}",
    }
    if seconds:
        facts["cost"] = f"{seconds * max(1, len(devices)):.0f} device-seconds of fitting, validation included"
    if hasattr(model, "clip_spec"):
        flops = PASSES * describe_model(model, repeats=0).flops_per_clip * num_clips * num_epochs
        facts["operations"] = f"{flops:.2e} FLOPs (clips x epochs x forward and backward pass)"
    return facts


def _versions() -> dict[str, Any]:
    backend = keras.config.backend()
    facts = {
        "sora_keras": __version__, "Python": platform.python_version(), "Keras": keras.version(), "backend": backend,
        "TensorFlow": tf.__version__, "NumPy": np.__version__,
    }  # fmt: skip
    return facts if backend == "tensorflow" else facts | {backend: importlib.metadata.version(backend)}


def _cell(fact: Any) -> str:
    return str(fact).replace("|", "\\|").replace("\n", " ")

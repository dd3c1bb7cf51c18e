"""Predictions to judgment: metrics with intervals, plots and reports; loaded lazily, so importing the room is quick."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sora_keras.evaluation.classification import Evaluation, evaluate_classifier
    from sora_keras.evaluation.intervals import wilson_interval
    from sora_keras.evaluation.metrics import classification_metrics
    from sora_keras.evaluation.mistake import Mistake
    from sora_keras.evaluation.plots import plot_confusion_matrix, plot_learning_curves, plot_mistakes
    from sora_keras.evaluation.report import save_report

__all__ = [
    "Evaluation",
    "Mistake",
    "classification_metrics",
    "evaluate_classifier",
    "plot_confusion_matrix",
    "plot_learning_curves",
    "plot_mistakes",
    "save_report",
    "wilson_interval",
]

_FILES = {
    "Evaluation": "classification",
    "Mistake": "mistake",
    "classification_metrics": "metrics",
    "evaluate_classifier": "classification",
    "plot_confusion_matrix": "plots",
    "plot_learning_curves": "plots",
    "plot_mistakes": "plots",
    "save_report": "report",
    "wilson_interval": "intervals",
}


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_FILES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

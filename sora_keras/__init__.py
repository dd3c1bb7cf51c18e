"""Learn video representations with TimeDistributed Conv2D and LSTM layers in Keras, and put them to work.

Names are loaded when they are first used: importing the package does not import TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sora_keras import apps, data, evaluation, layers, models, serving, training, video
    from sora_keras.data import video_dataset_from_directory, video_dataset_from_manifest
    from sora_keras.evaluation import evaluate_classifier, save_report
    from sora_keras.models import SoraBackbone, SoraClassifier
    from sora_keras.serving import export, load_bundle
    from sora_keras.video import Clip, ClipSpec, read_clip, write_video

__version__ = "0.1.0"

_ROOMS = ("apps", "data", "evaluation", "layers", "models", "serving", "training", "video")
_ROOM_OF = {
    "Clip": "video",
    "ClipSpec": "video",
    "SoraBackbone": "models",
    "SoraClassifier": "models",
    "evaluate_classifier": "evaluation",
    "export": "serving",
    "load_bundle": "serving",
    "read_clip": "video",
    "save_report": "evaluation",
    "video_dataset_from_directory": "data",
    "video_dataset_from_manifest": "data",
    "write_video": "video",
}

__all__ = [
    "Clip",
    "ClipSpec",
    "SoraBackbone",
    "SoraClassifier",
    "apps",
    "data",
    "evaluate_classifier",
    "evaluation",
    "export",
    "layers",
    "load_bundle",
    "models",
    "read_clip",
    "save_report",
    "serving",
    "training",
    "video",
    "video_dataset_from_directory",
    "video_dataset_from_manifest",
    "write_video",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"sora_keras.{name}")
    if name in _ROOM_OF:
        return getattr(importlib.import_module(f"sora_keras.{_ROOM_OF[name]}"), name)
    raise AttributeError(f"module 'sora_keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""The arguments of a training in, a refusal to go on with a killed training of other arguments out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sora_keras.atomic import appearing_when_whole
from sora_keras.training.callbacks import STATE_FILE


def check_interrupted(directory: str | os.PathLike[str], arguments: Mapping[str, Any]) -> None:
    """Keep the arguments beside the logs, and refuse others while a killed training waits to go on.

    Args:
        directory: the folder of `training_callbacks`.
        arguments: what the training depends on, as JSON can hold it.

    Raises:
        ValueError: if a training was interrupted there with other arguments.

    Example:
        >>> check_interrupted("saved_models/fights/training", {"seed": 0, "batch_size": 16})
    """
    directory = Path(directory)
    file = directory / "arguments.json"
    is_resumed = (directory / STATE_FILE).is_file() and file.is_file()
    began = json.loads(file.read_text(encoding="utf-8")) if is_resumed else arguments
    if changed := {name: began.get(name) for name in arguments if began.get(name) != arguments[name]}:
        raise ValueError(
            f"{directory} holds a training that was interrupted with {changed}: go on with the same, or remove that "
            "folder to start anew."
        )
    directory.mkdir(parents=True, exist_ok=True)
    with appearing_when_whole(file) as unfinished:
        unfinished.write_text(json.dumps(arguments, indent=1) + "\n", encoding="utf-8")

"""The file that `keras.callbacks.CSVLogger` writes in, its epochs out."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from sora_keras.atomic import appearing_when_whole


def read_log(path: str | os.PathLike[str]) -> dict[str, list[float]]:
    """Read every epoch's figures, those before a kill included.

    Args:
        path: the file.

    Returns:
        As `History.history` of Keras: the figures by name, each a list with an entry an epoch.

    Example:
        >>> read_log("saved_models/fights/training/log.csv")["val_loss"]
    """
    with open(path, newline="") as file:
        lines = list(csv.DictReader(file))
    return {name: [float(line[name]) for line in lines] for name in (lines[0] if lines else ()) if name != "epoch"}


def cut_log(path: str | os.PathLike[str], num_epochs: int) -> None:
    """Leave out the epochs that will be logged again: a kill may come between an epoch's line and its state.

    Args:
        path: the file; nothing happens where there is none.
        num_epochs: how many epochs stay.
    """
    path = Path(path)
    if path.is_file():
        lines = path.read_bytes().splitlines(keepends=True)
        with appearing_when_whole(path) as unfinished:
            unfinished.write_bytes(b"".join(lines[: 1 + num_epochs]))

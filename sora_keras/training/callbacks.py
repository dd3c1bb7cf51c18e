"""What `fit` does besides fitting: stop at the best weights, adapt the learning rate, log, resume after a kill."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from sora_keras.training.early_stopping import ResumableEarlyStopping


def training_callbacks(
    directory: str | os.PathLike[str], monitor: str = "val_loss", patience: int = 8
) -> list[keras.callbacks.Callback]:
    """Keras's callbacks with the settings that most trainings want.

    The learning rate is halved when `monitor` has not improved for half of `patience` epochs, training stops after
    `patience` and goes back to the best weights, and a NaN loss ends it. After a kill, the same command goes on at the
    last finished epoch and still knows the best one; once training has ended, it starts anew. Give each training (seed,
    split, settings) a folder of its own, or one goes on where another was killed.

    Args:
        directory: gets `log.csv`, `tensorboard/` and, while training, `backup/`.
        monitor: the figure to watch.
        patience: epochs without improvement before training stops.

    Returns:
        Callbacks for `fit`.

    Raises:
        ValueError: if `patience` is less than 1.

    Example:
        >>> model.fit(train, validation_data=validation, callbacks=training_callbacks("saved_models/fights/training"))
    """
    if patience < 1:
        raise ValueError(f"`patience` must be at least 1 epoch, received {patience!r}.")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    backup = directory / "backup"
    resuming = backup.is_dir() and any(backup.iterdir())
    return [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.ReduceLROnPlateau(monitor, factor=0.5, patience=max(1, patience // 2)),
        ResumableEarlyStopping(backup / "best.npz", monitor, patience),
        keras.callbacks.CSVLogger(directory / "log.csv", append=resuming),
        keras.callbacks.TensorBoard(directory / "tensorboard"),
        keras.callbacks.BackupAndRestore(backup, double_checkpoint=True),  # a kill may hit the writing itself
    ]

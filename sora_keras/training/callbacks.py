"""What `fit` does besides fitting: stop at the best weights, adapt the learning rate, log, resume after a kill."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from sora_keras.data.epoch_order import EpochOrder
from sora_keras.training.epoch_seconds import EpochSeconds
from sora_keras.training.exact_resume import ExactResume, epochs_before
from sora_keras.training.log import cut_log

STATE_FILE = "state.npz"


def training_callbacks(
    directory: str | os.PathLike[str],
    monitor: str = "val_loss",
    patience: int = 8,
    model: keras.Model | None = None,
    epoch_order: EpochOrder | None = None,
) -> list[keras.callbacks.Callback]:
    """Keras's callbacks with the settings that most trainings want.

    The learning rate is halved when `monitor` has not improved for half of `patience` epochs, training stops after
    `patience` and goes back to the best weights, and a NaN loss ends it. After a kill, the same command goes on at the
    last whole epoch, to the weights of an unbroken training; once training has ended, it starts anew. Give each
    training (seed, split, settings) a folder of its own, or one goes on where another was killed.

    Args:
        directory: gets `log.csv`, `tensorboard/` and, while training, `state.npz`.
        monitor: the figure to watch.
        patience: epochs without improvement before training stops.
        model: the compiled model, for what depends on its optimizer: a learning-rate schedule is left alone, averaged
            weights (`compile_for_training(ema_momentum=...)`) are those to validate and to keep.
        epoch_order: of the training data, `dataset.epoch_order`, so that a resumed training sees the same order.

    Returns:
        Callbacks for `fit`.

    Raises:
        ValueError: if `patience` is less than 1.

    Example:
        >>> callbacks = training_callbacks("saved_models/fights/training", model=model, epoch_order=train.epoch_order)
        >>> model.fit(train, validation_data=validation, callbacks=callbacks)
    """
    if patience < 1:
        raise ValueError(f"`patience` must be at least 1 epoch, received {patience!r}.")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    log, state = directory / "log.csv", directory / STATE_FILE
    num_epochs = epochs_before(state)
    cut_log(log, num_epochs)
    optimizer = model.optimizer if model is not None else None
    counting: list[keras.callbacks.Callback] = [
        keras.callbacks.EarlyStopping(monitor, patience=patience, restore_best_weights=True)
    ]
    if optimizer is None or isinstance(optimizer.learning_rate, keras.Variable):  # a schedule gives a number each step
        counting.insert(0, keras.callbacks.ReduceLROnPlateau(monitor, factor=0.5, patience=max(1, patience // 2)))
    has_averages = getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False)
    return [
        keras.callbacks.TerminateOnNaN(),
        *([keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if has_averages else []),
        *counting,
        EpochSeconds(),
        keras.callbacks.CSVLogger(log, append=num_epochs > 0),
        keras.callbacks.TensorBoard(directory / "tensorboard"),
        ExactResume(state, counting, epoch_order),
    ]

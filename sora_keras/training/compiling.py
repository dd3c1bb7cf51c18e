"""A task model in, the same compiled with an optimizer to train it well out."""

from __future__ import annotations

import keras

from sora_keras.models.smoothed_crossentropy import SmoothedCrossentropy


def compile_for_training(
    model: keras.Model,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
    weight_decay: float = 0.0,
    label_smoothing: float = 0.0,
    ema_momentum: float | None = None,
    clip_norm: float | None = None,
    accumulation_steps: int = 1,
) -> None:
    """Compile a model that arrives compiled anew: its loss and metrics stay, its optimizer is AdamW.

    Args:
        model: a task model.
        learning_rate: a number, or a schedule such as `warmup_cosine`.
        weight_decay: AdamW's, on kernels only: biases and the scales of normalization are left alone.
        label_smoothing: share of each label spread over all classes, for a model with one whole-number label a clip.
        ema_momentum: also keep a moving average of the weights, with this momentum (0.99: over some 100 steps).
            `training_callbacks(model=model)` validates and keeps the averages; without it, `fit` ends on them.
        clip_norm: largest norm of all gradients together.
        accumulation_steps: batches whose gradients make one step, for the effect of a batch that many times larger.

    Raises:
        ValueError: if an argument is out of its range, or `label_smoothing` is given where the loss is another one.

    Example:
        >>> model = SoraClassifier.from_preset("small", ["fight", "no_fight"])
        >>> compile_for_training(model, warmup_cosine(2e-3, 40 * len(train)), weight_decay=1e-4, clip_norm=1.0)

    Reference:
        Loshchilov, Hutter: Decoupled Weight Decay Regularization, 2019.
    """
    _check_arguments(weight_decay, ema_momentum, clip_norm, accumulation_steps)
    optimizer = keras.optimizers.AdamW(
        learning_rate,
        weight_decay=weight_decay,
        global_clipnorm=clip_norm,
        use_ema=ema_momentum is not None,
        ema_momentum=0.99 if ema_momentum is None else ema_momentum,
        gradient_accumulation_steps=accumulation_steps if accumulation_steps > 1 else None,
    )
    optimizer.exclude_from_weight_decay([variable for variable in model.trainable_variables if len(variable.shape) < 2])
    config = model.get_compile_config()
    loss, metrics = (keras.saving.deserialize_keras_object(config[name]) for name in ("loss", "metrics"))
    if label_smoothing:
        if not isinstance(loss, keras.losses.SparseCategoricalCrossentropy | SmoothedCrossentropy):
            raise ValueError(
                f"`label_smoothing={label_smoothing!r}` goes with a loss on whole-number labels, this model has "
                f"{loss!r}: compile it with the smoothing of that loss."
            )
        loss = SmoothedCrossentropy(label_smoothing)
    model.compile(optimizer, loss, config["loss_weights"], metrics)


def _check_arguments(
    weight_decay: float, ema_momentum: float | None, clip_norm: float | None, accumulation_steps: int
) -> None:
    if not 0 <= weight_decay < float("inf"):
        raise ValueError(f"`weight_decay` must be a number of at least 0, received {weight_decay!r}.")
    if ema_momentum is not None and not 0 <= ema_momentum < 1:
        raise ValueError(f"`ema_momentum` must be from 0 to below 1, or None, received {ema_momentum!r}.")
    if clip_norm is not None and not 0 < clip_norm < float("inf"):
        raise ValueError(f"`clip_norm` must be a positive number, or None, received {clip_norm!r}.")
    if accumulation_steps < 1:
        raise ValueError(f"`accumulation_steps` must be at least 1, received {accumulation_steps!r}.")

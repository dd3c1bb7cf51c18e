"""A learning rate and a number of steps in, a schedule for the optimizer out."""

from __future__ import annotations

import keras


def warmup_cosine(
    learning_rate: float, num_steps: int, warmup: float = 0.1
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Rise from zero in a straight line, then fall to zero along half a cosine.

    Args:
        learning_rate: the peak.
        num_steps: batches of the whole training: epochs times batches an epoch.
        warmup: share of them to rise in, from 0 to below 1.

    Returns:
        A `keras.optimizers.schedules.CosineDecay`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> compile_for_training(model, warmup_cosine(2e-3, num_steps=40 * len(train)))

    Reference:
        Loshchilov, Hutter: SGDR, 2017, without restarts: `learning_rate / 2 * (1 + cos(pi * step / num_steps))`.
    """
    if not 0 < learning_rate < float("inf"):
        raise ValueError(f"`learning_rate` must be a positive number, received {learning_rate!r}.")
    if num_steps < 1:
        raise ValueError(f"`num_steps` must be at least 1, received {num_steps!r}.")
    if not 0 <= warmup < 1:
        raise ValueError(f"`warmup` must be a share from 0 to below 1, received {warmup!r}.")
    warmup_steps = round(warmup * num_steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else learning_rate,
        decay_steps=max(1, num_steps - warmup_steps),
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )

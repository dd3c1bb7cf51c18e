"""Choices of layers, clips and penalties in, KerasTuner's `HyperModel`s that build them out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import keras_tuner

from sora_keras.models import SoraBackbone, SoraClassifier
from sora_keras.training.memory_estimate import training_bytes
from sora_keras.video.clip import ClipSpec

GIBIBYTE = 2**30


class BackboneHyperModel(keras_tuner.HyperModel):
    """The backbones to choose from, and the clips they read.

    Each argument lists the values to try; a single one is fixed. The first trial takes those of the preset `small`,
    where they are among them.

    Args:
        clip_spec: the clips, where the search does not change them.
        num_frames: frames T a clip; by default those of `clip_spec`. A clip lasts as long as one of `clip_spec`,
            whatever its number of frames.
        sizes: height and width of a frame, in pixels; by default those of `clip_spec`.
        first_filters: filters of the first block; each further block has twice as many.
        depths: how many blocks.
        units: of each sequence layer.
        sequence_layers: how many of those.
        motions: as `SoraBackbone(motion=)` takes them.
        sequences: as `SoraBackbone(sequence=)` takes them.
        dropouts: shares of the features dropped before each sequence layer.
        penalties: L2 penalties on the kernels.

    Raises:
        ValueError: if there is nothing to choose from for an argument.

    Example:
        >>> BackboneHyperModel(ClipSpec(12, 32, 32), num_frames=(8, 12), sizes=(24, 32, 48), motions=("difference",))
    """

    def __init__(
        self,
        clip_spec: ClipSpec,
        num_frames: Sequence[int] = (),
        sizes: Sequence[int] = (),
        first_filters: Sequence[int] = (16, 32, 64),
        depths: Sequence[int] = (2, 3, 4),
        units: Sequence[int] = (64, 128, 256),
        sequence_layers: Sequence[int] = (1, 2),
        motions: Sequence[str | None] = ("difference", None),
        sequences: Sequence[str] = ("lstm", "bidirectional_lstm", "gru", "attention"),
        dropouts: Sequence[float] = (0.0, 0.2, 0.4),
        penalties: Sequence[float] = (0.0, 1e-5, 1e-4, 1e-3),
    ) -> None:
        super().__init__()
        self.clip_spec = clip_spec
        self.choices: dict[str, tuple[Sequence[Any], Any]] = {
            "num_frames": (num_frames or (clip_spec.num_frames,), clip_spec.num_frames),
            "size": (sizes or (clip_spec.height,), clip_spec.height),
            "first_filters": (first_filters, 32),
            "depth": (depths, 3),
            "units": (units, 128),
            "sequence_layers": (sequence_layers, 2),
            "motion": (motions, "difference"),
            "sequence": (sequences, "lstm"),
            "dropout": (dropouts, 0.0),
            "l2": (penalties, 0.0),
        }
        for name, (values, _) in self.choices.items():
            if not values:
                raise ValueError(f"The search needs at least one value of {name!r} to try, received {values!r}.")
        self.resizes = bool(sizes)

    def build(self, hp: keras_tuner.HyperParameters) -> SoraBackbone:
        """Build one of them.

        Args:
            hp: the values chosen.

        Returns:
            The backbone; its `clip_spec` says which clips it reads.

        Raises:
            keras_tuner.errors.FailedTrialError: if the values do not go together, such as many blocks and small frames.
        """
        chosen = {name: _choose(hp, name, *choice) for name, choice in self.choices.items()}
        clip_spec = self._clip_spec(chosen["num_frames"], chosen["size"])
        filters = tuple(chosen["first_filters"] * 2**block for block in range(chosen["depth"]))
        units = (chosen["units"],) * chosen["sequence_layers"]
        try:
            return SoraBackbone(
                clip_spec,
                filters,
                units,
                motion=chosen["motion"],
                sequence=chosen["sequence"],
                dropout=chosen["dropout"],
                l2=chosen["l2"],
            )
        except ValueError as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from error

    def _clip_spec(self, num_frames: int, size: int) -> ClipSpec:
        spec = self.clip_spec
        height, width = (size, size) if self.resizes else (spec.height, spec.width)
        frames_per_second = spec.frames_per_second and spec.frames_per_second * num_frames / spec.num_frames
        return ClipSpec(num_frames, height, width, frames_per_second)


class ClassifierHyperModel(keras_tuner.HyperModel):
    """The classifiers to choose from: a backbone, a head, a learning rate.

    Args:
        backbone: the backbones to choose from.
        class_names: names of the K classes, in the order of the labels.
        head_dropouts: shares of the embedding dropped before the last layer.
        learning_rates: the lowest and the highest of Adam's learning rates.
        first_learning_rate: the one to begin the search with.
        batch_size: clips B in a batch of the datasets; to foresee how much memory a trial takes.
        memory_bytes: a trial that would take more is not begun.

    Raises:
        ValueError: if the learning rates are not in order.

    Example:
        >>> hypermodel = ClassifierHyperModel(BackboneHyperModel(ClipSpec()), ["fight", "no_fight"])
        >>> tuner = make_tuner(hypermodel, "saved_models/fights", num_trials=20)
        >>> tuner.search(lambda clip_spec: (train_dataset(clip_spec), validation_dataset(clip_spec)), epochs=12)
    """

    def __init__(
        self,
        backbone: BackboneHyperModel,
        class_names: Sequence[str],
        head_dropouts: Sequence[float] = (0.0, 0.2, 0.5),
        learning_rates: tuple[float, float] = (2e-4, 1e-2),
        first_learning_rate: float = 2e-3,
        batch_size: int = 16,
        memory_bytes: int = 4 * GIBIBYTE,
    ) -> None:
        super().__init__()
        if not 0 < learning_rates[0] <= first_learning_rate <= learning_rates[1]:
            raise ValueError(
                "`learning_rates` must be the lowest and the highest, with `first_learning_rate` between them, "
                f"received {learning_rates!r} and {first_learning_rate!r}."
            )
        self.backbone = backbone
        self.class_names = list(class_names)
        self.head_dropouts = head_dropouts
        self.learning_rates = learning_rates
        self.first_learning_rate = first_learning_rate
        self.batch_size = batch_size
        self.memory_bytes = memory_bytes

    def build(self, hp: keras_tuner.HyperParameters) -> SoraClassifier:
        """Build one of them.

        Args:
            hp: the values chosen.

        Returns:
            The classifier, compiled.

        Raises:
            keras_tuner.errors.FailedTrialError: if the values do not go together, or take too much memory.
        """
        dropout = _choose(hp, "head_dropout", self.head_dropouts, 0.2)
        lowest, highest = self.learning_rates
        learning_rate = hp.Float("learning_rate", lowest, highest, sampling="log", default=self.first_learning_rate)
        model = SoraClassifier(self.backbone.build(hp), self.class_names, dropout, learning_rate)
        needed = training_bytes(model, self.batch_size)
        if needed > self.memory_bytes:
            raise keras_tuner.errors.FailedTrialError(
                f"Training it would take about {needed / GIBIBYTE:.1f} GiB, more than the "
                f"{self.memory_bytes / GIBIBYTE:.1f} GiB allowed (`memory_bytes`)."
            )
        model.optimizer.build(model.trainable_variables)  # else a checkpoint's state of it is left out, with a warning
        return model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: SoraClassifier,
        datasets: Callable[[ClipSpec], tuple[Any, Any]],
        epochs: int = 12,
        initial_epoch: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: int = 0,
    ) -> keras.callbacks.History:
        """Train one of them; KerasTuner calls it with what `search` is given.

        Args:
            hp: the values chosen.
            model: what `build` returned.
            datasets: from a `ClipSpec` to the datasets of its clips to train on and to validate on.
            epochs: passes over the training clips at most.
            initial_epoch: where Hyperband goes on with an earlier trial.
            callbacks: as `keras.Model.fit` takes them.
            verbose: likewise.

        Returns:
            Its history, with `seconds` and `num_parameters` beside the metrics.
        """
        began = time.monotonic()
        train, validation = datasets(model.clip_spec)
        history = model.fit(
            train,
            validation_data=validation,
            epochs=epochs,
            initial_epoch=initial_epoch,
            callbacks=[keras.callbacks.TerminateOnNaN(), *callbacks],
            verbose=verbose,
            shuffle=False,  # the dataset shuffles itself
        )
        history.history["seconds"] = [time.monotonic() - began] * len(history.epoch)
        history.history["num_parameters"] = [model.count_params()] * len(history.epoch)
        return history


def _choose(hp: keras_tuner.HyperParameters, name: str, values: Sequence[Any], first: Any) -> Any:
    """One of the values; KerasTuner knows no `None`, and is not asked where there is no choice."""
    if len(values) == 1:
        return values[0]
    names = ["none" if value is None else value for value in values]
    default = first if first in values else names[0]
    chosen = hp.Choice(name, names, default=default)
    return None if chosen == "none" else chosen

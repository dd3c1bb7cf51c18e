"""A folder of videos, one sub-folder a class, or a CSV manifest, to a trained, judged and exported classifier."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sora_keras.data import Faults, official_split, split_rows, video_dataset_from_manifest
from sora_keras.data.datasets.directory import rows_from
from sora_keras.data.manifest import Row, check_classes, class_names_of
from sora_keras.data.splits import check_groups_per_class
from sora_keras.evaluation import Evaluation, evaluate_classifier, save_report
from sora_keras.models import SoraClassifier
from sora_keras.serving import export
from sora_keras.training import (
    DataWait,
    class_weights,
    compile_for_training,
    layer_precision,
    make_deterministic,
    training_callbacks,
    warmup_cosine,
    write_model_card,
)
from sora_keras.training.interrupted import check_interrupted
from sora_keras.training.log import read_log
from sora_keras.video import ClipSpec

CACHED_BYTES_AT_MOST = 2 * 2**30
SCHEDULES = ("plateau", "cosine")


def train_on_directory(
    directory: str | os.PathLike[str],
    to: str | os.PathLike[str],
    clip_spec: ClipSpec | None = None,
    preset: str = "small",
    groups: str | None = None,
    test_split: float = 0.2,
    validation_split: float = 0.2,
    epochs: int = 40,
    batch_size: int = 16,
    learning_rate: float = 2e-3,
    schedule: str = "plateau",
    weight_decay: float = 0.0,
    label_smoothing: float = 0.0,
    balance_classes: bool = False,
    precision: str = "float32",
    deterministic: bool = False,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    faults: Faults | None = None,
) -> Evaluation:
    """Train on a part of the videos, stop by a second part, judge on a third, and export.

    Args:
        directory: the folder, one sub-folder a class, or a CSV manifest. A manifest that names an official split is
            trained and judged on that.
        to: folder to write: `model.keras`, `model_card.md`, `report/`, `training/` (logs) and a new numbered version
            to serve. Killed on the way, the same call goes on at the last finished epoch.
        clip_spec: the clips to read; by default 16 frames of 64x64 spread over each video.
        preset: name of a backbone preset.
        groups: column of a CSV file in the folder that says which videos belong together; by default `group`, if a
            CSV file there has one.
        test_split: share of the videos to judge on.
        validation_split: share of the others to choose the best epoch by.
        epochs: passes over the training videos at most.
        batch_size: clips in a batch.
        learning_rate: AdamW's, at the start or at the peak.
        schedule: `"plateau"` halves the rate where validation no longer improves, `"cosine"` lets it rise over the
            first tenth of the training and then fall to zero.
        weight_decay: AdamW's, on kernels.
        label_smoothing: share of each label that is spread over all classes.
        balance_classes: whether every class counts the same, however few its videos.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        deterministic: whether to compute the same bits at each run, also after a kill, at some cost in speed.
        seed: the same seed makes the same splits, order and first weights.
        cache: folder to keep decoded clips in; by default they are kept in memory up to 2 GiB, and beyond that read
            anew at each epoch, from random times.
        faults: what to do with videos that cannot be read; by default they are skipped, until more than a twentieth
            has failed, and listed in `to/faults.jsonl`, so that the next run does not try them again.

    Returns:
        The evaluation on the test videos, as saved in `to/report`; a video that cannot be read is left out, and logged.

    Raises:
        ValueError: if a number is out of its range, or the folder does not hold enough readable videos of at least two
            classes, or `to` holds a training that was interrupted with other arguments.
        OSError: if `to` cannot be written.

    Example:
        >>> train_on_directory("videos", to="saved_models/videos").metrics["accuracy"]
    """
    _check_arguments(epochs, batch_size, learning_rate, schedule, seed)
    (make_deterministic if deterministic else keras.utils.set_random_seed)(seed)
    clip_spec, to = clip_spec or ClipSpec(), Path(to)
    rows = rows_from(directory, groups)
    parts = split_into_parts(rows, directory, test_split, validation_split, seed)
    class_names = class_names_of(parts[0])
    with layer_precision(precision):
        model = SoraClassifier.from_preset(preset, class_names, clip_spec)
    compile_for_training(model, learning_rate, weight_decay, label_smoothing)  # before data are read: it checks them
    make_folder(to)
    arguments = {
        "directory": os.fspath(Path(directory).resolve()), "clip_spec": clip_spec.get_config(), "preset": str(preset),
        "videos": fingerprint_of(rows), "test_split": test_split, "validation_split": validation_split,
        "batch_size": batch_size, "learning_rate": learning_rate, "schedule": schedule, "weight_decay": weight_decay,
        "label_smoothing": label_smoothing, "balance_classes": balance_classes, "precision": precision,
        "deterministic": deterministic, "seed": seed, **({"epochs": epochs} if schedule == "cosine" else {}),
    }  # fmt: skip
    check_interrupted(to / "training", arguments)
    kept = cache or len(rows) * math.prod(clip_spec.shape) <= CACHED_BYTES_AT_MOST
    faults = Faults(to / "faults.jsonl") if faults is None else faults
    faults.expect(rows)

    def dataset(part: Sequence[Row], shuffle: bool = False, sampling: str = "uniform") -> Any:
        return video_dataset_from_manifest(
            part, clip_spec, "int", class_names, batch_size, shuffle, seed, sampling, cache=kept, faults=faults
        )

    train = dataset(parts[0], shuffle=True, sampling="uniform" if kept else "random_window")
    validation, test = dataset(parts[1]), dataset(parts[2])
    check_readable(class_names, train, validation, test)
    if schedule == "cosine":
        rates = warmup_cosine(learning_rate, epochs * int(train.cardinality()))
        compile_for_training(model, rates, weight_decay, label_smoothing)
    weights = class_weights([row.label for row in train.rows], class_names) if balance_classes else None
    try:
        _fit(model, train, validation, epochs, to / "training", weights)
    except tf.errors.OpError:
        faults.check_budget()  # what TensorFlow wraps in a page of text, this says in a line
        raise
    if faults:
        logging.getLogger(__name__).warning("%d of %d videos cannot be read", len(faults), len(rows))
    model.save_to_preset(to)
    evaluation = evaluate_classifier(model, test)
    title = f"{to.name} on its test videos"
    history = read_log(to / "training" / "log.csv")
    save_report(evaluation.metrics, to / "report", history, evaluation.mistakes, title)
    card_parts = {"train": train.rows, "validation": validation.rows, "test": test.rows}
    write_model_card(to / "model_card.md", model, card_parts, evaluation.metrics, history)
    frames, *_ = next(iter(test))
    export(model, to, clips=np.asarray(frames)[:5])
    return evaluation


def split_into_parts(
    rows: list[Row], directory: str | os.PathLike[str], test_split: float, validation_split: float, seed: int
) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows to train, validate and test on."""
    check_classes(directory, class_names_of(rows))
    if all(row.split for row in rows):
        return _official_parts(rows, directory, validation_split, seed)
    check_groups_per_class(rows, least=3)
    others, test = split_rows(rows, test_split, seed)
    return *split_rows(others, validation_split, seed), test


def _official_parts(
    rows: list[Row], directory: str | os.PathLike[str], validation_split: float, seed: int
) -> tuple[list[Row], list[Row], list[Row]]:
    parts = official_split(rows)
    if not {"train", "test"} <= parts.keys() <= {"train", "validation", "test"}:
        raise ValueError(
            f"{os.fspath(directory)} must split into train, test and, optionally, validation, received {list(parts)}."
        )
    train, validation = parts["train"], parts.get("validation")
    if missing := sorted(set(class_names_of(rows)) - set(class_names_of(train))):
        raise ValueError(f"{os.fspath(directory)} has no video of {missing} in its part to train on.")
    return *((train, validation) if validation else split_rows(train, validation_split, seed)), parts["test"]


def fingerprint_of(rows: Sequence[Row]) -> str:
    """Changes when a video is added, removed, renamed, relabeled or regrouped."""
    return hashlib.sha256(repr([dataclasses.astuple(row) for row in rows]).encode()).hexdigest()


def check_readable(class_names: Sequence[str], *datasets: Any) -> None:
    """Refuse to train where every video of a class in one of the parts was skipped."""
    for dataset in datasets:
        readable = {row.label for row in dataset.rows}
        if missing := [name for name in class_names if name not in readable]:
            faults = [fault for fault in dataset.faults if Path(fault.path).parent.name in missing] or dataset.faults
            raise ValueError(
                f"No video of class {missing[0]!r} can be read in one of the parts to train, validate or test on; such "
                f"as {next(iter(faults))}. Replace or add videos of that class."
            )


def _fit(
    model: SoraClassifier, train: Any, validation: Any, epochs: int, directory: Path, weights: dict[int, float] | None
) -> None:
    data_wait = DataWait()
    callbacks = training_callbacks(directory, model=model, epoch_order=train.epoch_order)
    with warnings.catch_warnings():
        # Without a cache, what cannot be read makes an epoch shorter than foreseen, and Keras takes that for a lack.
        warnings.filterwarnings("ignore", message="Your input ran out of data", category=UserWarning)
        model.fit(
            data_wait.watch(train),
            validation_data=validation,
            epochs=epochs,
            callbacks=[data_wait, *callbacks],
            class_weight=weights,
            shuffle=False,  # the dataset shuffles itself
            verbose="auto" if sys.stdout.isatty() else 2,
        )
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise ValueError(
            f"The loss became NaN and the weights with it: lower `learning_rate`, received "
            f"{float(model.optimizer.learning_rate):g}."
        )


def _check_arguments(epochs: int, batch_size: int, learning_rate: float, schedule: str, seed: int) -> None:
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1, received {epochs!r}.")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, received {batch_size!r}.")
    if not 0 < learning_rate < float("inf"):
        raise ValueError(f"`learning_rate` must be a positive number, received {learning_rate!r}.")
    if schedule not in SCHEDULES:
        raise ValueError(f"`schedule` must be one of {SCHEDULES}, received {schedule!r}.")
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must be from 0 to {2**32 - 1}, received {seed!r}.")


def make_folder(folder: Path) -> None:
    """Before hours of training, not after, find out whether the folder can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"{folder} cannot be written ({error.strerror}): name another folder.") from error

"""Videos to batches: rows and a `ClipSpec` to a `tf.data.Dataset` of frames and labels."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import tensorflow as tf

from sora_keras.data.cache import cache_clips, tfrecord_dataset
from sora_keras.data.clip_labels import LabelOf, labels_at_times, labels_of_rows
from sora_keras.data.clip_reader import FULL_SCALE, ClipReader
from sora_keras.data.datasets.directory import rows_from_directory
from sora_keras.data.epoch_order import EpochOrder
from sora_keras.data.faults import Faults
from sora_keras.data.manifest import Row, check_classes, class_names_of
from sora_keras.data.service import clips_from_service
from sora_keras.data.splits import split_rows
from sora_keras.data.timed_labels import check_vocabularies
from sora_keras.video import ClipSpec
from sora_keras.video.sampling import Sampling, ShortVideo


def video_dataset_from_directory(
    directory: str | os.PathLike[str],
    clip_spec: ClipSpec,
    labels: str | Sequence[str] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    groups: str | Callable[[str], str] | None = None,
    sampling: str = "uniform",
    short_video: str = "repeat_last",
    features: Sequence[str] = (),
    cache: bool | str | os.PathLike[str] = False,
    faults: Faults | None = None,
    service: str | None = None,
    follow_links: bool = False,
    sound_samples: int = 0,
) -> Any:
    """Make a dataset from a folder of videos, one sub-folder a class.

    The sibling of `keras.utils.image_dataset_from_directory`. A split keeps groups whole and classes in equal shares.
    A video that cannot be read is named in `dataset.faults`, and never changes what the others give.

    Args:
        directory: the folder.
        clip_spec: the clips to make.
        labels: `"inferred"` takes the sub-folders' names, a sequence gives one label a file in sorted order, `None`
            gives frames without labels.
        label_mode: `"int"` `int32 (B,)`, `"categorical"` `float32 (B, K)`, `"binary"` `float32 (B, 1)`, or `None`;
            `"multi_label"` is `float32 (B, K)` with a 1 for each of `Row.labels`.
        class_names: the sub-folders to read, in the order of the labels; by default all, sorted.
        batch_size: clips in a batch; `None` yields single clips.
        shuffle: whether to draw a new order at each epoch.
        seed: makes order, split and random windows the same at each run. A split needs one.
        validation_split: share of the videos to validate on.
        subset: `"training"`, `"validation"`, or `"both"` for a tuple of the two.
        groups: a function from a path to its group, or the name of a column of a CSV file in the folder; by default its
            column `group`, if a CSV file there has one, else each video is a group of its own.
        sampling: `"uniform"`, `"center_window"` or `"random_window"`: which part of the video a clip is.
        short_video: `"repeat_last"`, `"loop"` or `"error"`: what to do with a video shorter than a clip of
            `clip_spec.frames_per_second`; without that rate no video is too short.
        features: families of classical features to compute, of `"color"`, `"texture"`, `"shape"` and `"motion"`; the
            dataset then yields a dict of `frames` and `features float32 (B, T, D)` in place of the frames.
        cache: decode every video once, now, with a progress bar, and keep the clips: `True` in memory, a folder's path
            there, for later runs too; a clip is decoded anew when its file or the way to read it changes.
        faults: what to do with videos that cannot be read, and where to list them; by default they are skipped, until
            more than a twentieth has failed.
        service: address of a tf.data service, such as `"grpc://trainer:5050"`, whose workers decode the videos, each
            once an epoch, in the order they are ready; `sora-keras data-service` starts one.
        follow_links: whether links may lead out of the folder.
        sound_samples: samples S of the video's sound to read around each frame, half of them before it, at 16 kHz, such
            as 4000 for a quarter of a second; the dataset then yields a dict of `frames` and `sound float32 (B, T, S)`
            in -1..1. Where there is no sound, or none that can be decoded, it is zero, so that no video is lost.

    Returns:
        A `tf.data.Dataset` of frames `uint8 (B, T, H, W, 3)` and labels, with the attributes `class_names`, `rows`,
        `file_paths` (in the order of the clips, unless shuffled), `is_shuffled`, `faults` and `epoch_order` (set its
        `epoch` to take the order and the random windows of that epoch again; `None` with `service`).

    Raises:
        ValueError: if an argument is out of its range, or the folder holds no videos or one class only.

    Example:
        >>> train, validation = video_dataset_from_directory(
        ...     "videos", ClipSpec(), validation_split=0.2, subset="both", seed=0
        ... )
        >>> train.class_names
        ['fight', 'no_fight']
    """
    rows = rows_from_directory(directory, labels, class_names, groups, follow_links)
    if labels is None:
        label_mode = None
    if label_mode is not None:
        class_names = list(class_names) if class_names is not None else class_names_of(rows)
        check_classes(directory, class_names)
    options: dict[str, Any] = {
        "label_mode": label_mode, "class_names": class_names, "batch_size": batch_size, "seed": seed,
        "short_video": short_video, "features": features, "cache": cache, "faults": faults,
        "service": service, "sound_samples": sound_samples,
    }  # fmt: skip

    def make(part: Sequence[Row], validating: bool = False) -> Any:
        return video_dataset_from_manifest(
            part,
            clip_spec,
            shuffle=shuffle and not validating,
            sampling="uniform" if validating else sampling,
            **options,
        )

    if validation_split is None and subset is None:
        return make(rows)
    if validation_split is None or subset not in ("training", "validation", "both"):
        raise ValueError(
            '`validation_split` goes with `subset` "training", "validation" or "both", received '
            f"validation_split={validation_split!r} and subset={subset!r}."
        )
    if seed is None:
        raise ValueError("`seed` must be set where `validation_split` is, so that the subsets do not overlap.")
    train, validation = split_rows(rows, validation_split, seed)
    if subset == "both":
        return make(train), make(validation, validating=True)
    return make(train) if subset == "training" else make(validation, validating=True)


def video_dataset_from_manifest(
    rows: Sequence[Row],
    clip_spec: ClipSpec,
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    shuffle: bool = True,
    seed: int | None = None,
    sampling: str = "uniform",
    short_video: str = "repeat_last",
    features: Sequence[str] = (),
    cache: bool | str | os.PathLike[str] = False,
    faults: Faults | None = None,
    service: str | None = None,
    sound_samples: int = 0,
    vocabularies: Mapping[str, Sequence[str]] | None = None,
) -> Any:
    """Make a dataset from rows: the part of `video_dataset_from_directory` that comes after listing and splitting.

    Args:
        rows: the videos, as `read_manifest`, `split_rows` or `k_fold` give them.
        clip_spec: the clips to make.
        label_mode: as in `video_dataset_from_directory`, like all that follow.
        class_names: names of the classes in the order of the labels; by default those of the rows, sorted. Give it
            where some rows may lack a class, so that labels keep their meaning.
        batch_size: clips in a batch; `None` yields single clips.
        shuffle: whether to draw a new order at each epoch.
        seed: makes order and random windows the same at each run.
        sampling: which part of the video a clip is.
        short_video: what to do with a video shorter than a clip.
        features: families of classical features to compute beside the frames.
        cache: `True` or a folder, to decode every video once, now, and keep the clips.
        faults: what to do with videos that cannot be read.
        service: address of a tf.data service to decode the videos.
        sound_samples: samples of the sound around each frame to read beside it.
        vocabularies: name of each vocabulary -> names of its labels, for a `SoraUnderstanding`. In place of what
            `label_mode` says, the labels are then a dict: for each vocabulary of K labels, under its name, the clip's
            `float32 (B, K)`, and with `_frames` behind it, the frames' `float32 (B, T, K)`: 1 holds, 0 does not, -1
            is unknown. See `sora_keras.data.vocabulary_labels`.

    Returns:
        A `tf.data.Dataset` as `video_dataset_from_directory` returns it.

    Raises:
        ValueError: if an argument is out of its range, a row has no label or one that is not in `class_names` or its
            vocabulary, or, with `cache`, no video can be read.
        TooManyFaultsError: if more videos cannot be read than `faults` allows, now or as they are met.

    Example:
        >>> train = video_dataset_from_manifest(read_manifest("clips.csv"), ClipSpec(), batch_size=16)
    """
    rows = list(rows)
    if not rows:
        raise ValueError("`rows` must hold at least one video, received none.")
    _check_options(batch_size, sampling, short_video)
    class_names = list(class_names) if class_names is not None else class_names_of(rows)
    faults = Faults() if faults is None else faults
    if vocabularies is None:
        label = labels_of_rows(rows, label_mode, class_names)
    else:
        check_vocabularies(rows, vocabularies)
        _refuse_substitutes(faults)
        label = labels_at_times(rows, vocabularies, clip_spec.frames_per_second)
    faults.expect(rows)
    faults.check_budget()
    with_times = vocabularies is not None
    reader = ClipReader(rows, clip_spec, sampling, short_video, features, faults, sound_samples, with_times)
    if cache and service:
        raise ValueError(f"A cache is filled by this machine alone: leave out `cache` or `service={service!r}`.")
    epoch_order: EpochOrder | None
    if cache:
        order, epoch_order, records = _cached(reader, cache, batch_size, shuffle, seed)
    elif service:
        order, epoch_order, records = _distributed(reader, service, batch_size, shuffle, seed)
    else:
        order, epoch_order, records = _decoded(reader, batch_size, shuffle, seed)
    dataset = records.map(_to_clips(reader, label), tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    # Skipping makes the length unknown to tf.data, which costs Keras its progress bar and makes it warn at the end of
    # every epoch. What it is told instead holds when nothing is skipped; it copes with an epoch that ends earlier.
    num_batches = -(-len(order) // (batch_size or 1))
    dataset.cardinality = lambda: tf.constant(num_batches, tf.int64)
    dataset.class_names, dataset.vocabularies, dataset.faults = class_names, vocabularies, faults
    dataset.is_shuffled = shuffle or service is not None
    dataset.epoch_order = epoch_order
    dataset.rows = [rows[index] for index in order]
    dataset.file_paths = [row.path for row in dataset.rows]
    return dataset


def _decoded(
    reader: ClipReader, batch_size: int | None, shuffle: bool, seed: int | None
) -> tuple[list[int], EpochOrder, Any]:
    """Rows that are tried, their orders, and batches of records and row numbers, decoded as they are asked for."""
    order = _rows_to_try(reader)

    def read(index: np.int64, clip_seed: np.int64) -> tuple[np.ndarray, bool]:
        record = reader.read(int(index), int(clip_seed))
        return (np.zeros(reader.record_bytes, np.uint8), False) if record is None else (record, True)

    def load(index: Any, clip_seed: Any) -> tuple[Any, Any, Any]:
        record, readable = tf.numpy_function(read, (index, clip_seed), (tf.uint8, tf.bool))
        record.set_shape((reader.record_bytes,))
        readable.set_shape(())
        return record, index, readable

    epoch_order = EpochOrder(len(reader.rows), shuffle, seed, order)
    records = epoch_order.dataset().map(load, os.cpu_count(), deterministic=True)
    records = records.filter(_is_readable).map(_without_flag)
    return order, epoch_order, records if batch_size is None else records.batch(batch_size)


def _rows_to_try(reader: ClipReader) -> list[int]:
    """Numbers of the rows that are not known to be skipped anyway."""
    is_known = [reader.faults.policy == "skip" and row in reader.faults for row in reader.rows]
    return [index for index, known in enumerate(is_known) if not known]


def _distributed(
    reader: ClipReader, service: str, batch_size: int | None, shuffle: bool, seed: int | None
) -> tuple[list[int], None, Any]:
    """As `_decoded`, but by the workers of a tf.data service, who keep no order."""
    order = _rows_to_try(reader)
    records = clips_from_service(reader, np.array(order, np.int64), service, shuffle, seed)
    return order, None, records if batch_size is None else records.batch(batch_size)


def _is_readable(record: Any, index: Any, readable: Any) -> Any:
    return readable


def _without_flag(record: Any, index: Any, readable: Any) -> tuple[Any, Any]:
    return record, index


def _cached(
    reader: ClipReader,
    cache: bool | str | os.PathLike[str],
    batch_size: int | None,
    shuffle: bool,
    seed: int | None,
) -> tuple[list[int], EpochOrder, Any]:
    """Rows that could be read, their orders, and batches of records and row numbers out of the cache."""
    clips = cache_clips(reader, cache, seed)
    if clips.is_sequential:
        epoch_order = EpochOrder(len(clips.shards), shuffle, seed)
        records = tfrecord_dataset(clips, reader.record_bytes, epoch_order)
        return clips.rows.tolist(), epoch_order, records if batch_size is None else records.batch(batch_size)

    def gather(positions: np.ndarray) -> np.ndarray:
        records = clips.records(np.atleast_1d(positions))
        return records if positions.ndim else records[0]

    def load(positions: Any) -> tuple[Any, Any]:
        records = tf.numpy_function(gather, (positions,), tf.uint8)
        records.set_shape((*positions.shape, reader.record_bytes))
        return records, tf.gather(tf.constant(clips.rows), positions)

    epoch_order = EpochOrder(len(clips.rows), shuffle, seed)
    positions = epoch_order.dataset().map(lambda position, _: position)
    if batch_size is not None:
        positions = positions.batch(batch_size)
    return clips.rows.tolist(), epoch_order, positions.map(load, tf.data.AUTOTUNE, deterministic=True)


def _to_clips(reader: ClipReader, label: LabelOf | None) -> Callable[[Any, Any], Any]:
    """Records and row numbers to frames (and features, and sound) and labels, which `label` gives for both."""
    spec, features_start = reader.clip_spec, math.prod(reader.clip_spec.shape)
    sound_start = features_start + reader.feature_bytes
    times_start = sound_start + reader.sound_bytes

    def convert(records: Any, indices: Any) -> Any:
        def part(part_records: Any, shape: tuple[int, ...]) -> Any:
            reshaped = tf.reshape(part_records, tf.concat([tf.shape(indices), shape], 0))
            return tf.ensure_shape(reshaped, (*indices.shape, *shape))

        inputs = {"frames": part(records[..., :features_start], spec.shape)}
        if reader.num_features:
            shape = (spec.num_frames, reader.num_features, 4)
            inputs["features"] = tf.bitcast(part(records[..., features_start:sound_start], shape), tf.float32)
        if reader.sound_samples:
            shape = (spec.num_frames, reader.sound_samples, 2)
            stored = tf.bitcast(part(records[..., sound_start:times_start], shape), tf.int16)
            inputs["sound"] = tf.cast(stored, tf.float32) / FULL_SCALE
        given = inputs if len(inputs) > 1 else inputs["frames"]
        if label is None:
            return given
        times = None
        if reader.with_times:
            times = tf.bitcast(part(records[..., times_start:], (spec.num_frames, 8)), tf.float64)
        return given, label(indices, times)

    return convert


def _refuse_substitutes(faults: Faults) -> None:
    if faults.policy == "substitute":
        raise ValueError(
            'No video stands in for another one\'s events: `vocabularies` goes with the policies "skip" and "raise", '
            'received "substitute".'
        )


def _check_options(batch_size: int | None, sampling: str, short_video: str) -> None:
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, or None for single clips, received {batch_size!r}.")
    if sampling not in get_args(Sampling):
        raise ValueError(f"`sampling` must be one of {get_args(Sampling)}, received {sampling!r}.")
    if short_video not in get_args(ShortVideo):
        raise ValueError(f"`short_video` must be one of {get_args(ShortVideo)}, received {short_video!r}.")

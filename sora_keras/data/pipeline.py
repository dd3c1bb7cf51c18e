"""Videos to batches: rows and a `ClipSpec` to a `tf.data.Dataset` of frames and labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import tensorflow as tf

from sora_keras.data.datasets.directory import rows_from_directory
from sora_keras.data.faults import Faults
from sora_keras.data.manifest import Row, check_classes, class_names_of
from sora_keras.data.splits import split_rows
from sora_keras.progress import show_progress
from sora_keras.video import ClipSpec, VideoError, read_clip
from sora_keras.video.sampling import Sampling, ShortVideo

LABEL_MODES = ("int", "categorical", "binary", None)


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
    cache: bool = False,
) -> Any:
    """Make a dataset from a folder of videos, one sub-folder a class.

    The sibling of `keras.utils.image_dataset_from_directory`. A split keeps groups whole and classes in equal shares.
    A video that cannot be read is skipped, and named in `dataset.faults`.

    Args:
        directory: the folder.
        clip_spec: the clips to make.
        labels: `"inferred"` takes the sub-folders' names, a sequence gives one label a file in sorted order, `None`
            gives frames without labels.
        label_mode: `"int"` `int32 (B,)`, `"categorical"` `float32 (B, K)`, `"binary"` `float32 (B, 1)`, or `None`.
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
        cache: decode every video once, now, with a progress bar, and keep the clips in memory.

    Returns:
        A `tf.data.Dataset` of frames `uint8 (B, T, H, W, 3)` and labels, with the attributes `class_names`, `rows`,
        `file_paths` (as listed, whatever the order of the clips), `is_shuffled` and `faults`.

    Raises:
        ValueError: if an argument is out of its range, or the folder holds no videos or one class only.

    Example:
        >>> train, validation = video_dataset_from_directory(
        ...     "videos", ClipSpec(), validation_split=0.2, subset="both", seed=0
        ... )
        >>> train.class_names
        ['fight', 'no_fight']
    """
    rows = rows_from_directory(directory, labels, class_names, groups)
    if labels is None:
        label_mode = None
    if label_mode is not None:
        class_names = list(class_names) if class_names is not None else class_names_of(rows)
        check_classes(directory, class_names)
    options: dict[str, Any] = {
        "label_mode": label_mode, "class_names": class_names, "batch_size": batch_size, "seed": seed,
        "short_video": short_video, "cache": cache,
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
    cache: bool = False,
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
        cache: decode every video once, now, and keep the clips in memory.

    Returns:
        A `tf.data.Dataset` as `video_dataset_from_directory` returns it.

    Raises:
        ValueError: if an argument is out of its range, a row has no label or one that is not in `class_names`, or,
            with `cache`, no video can be read.

    Example:
        >>> train = video_dataset_from_manifest(read_manifest("clips.csv"), ClipSpec(), batch_size=16)
    """
    rows = list(rows)
    if not rows:
        raise ValueError("`rows` must hold at least one video, received none.")
    _check_options(batch_size, sampling, short_video)
    class_names = list(class_names) if class_names is not None else class_names_of(rows)
    faults = Faults()
    paths = [os.fsencode(row.path) for row in rows]
    elements = tf.data.Dataset.from_tensor_slices((paths, _labels(rows, label_mode, class_names)))
    if shuffle and not cache:
        elements = elements.shuffle(len(rows), seed=seed, reshuffle_each_iteration=True)
    clips = _decode(elements, clip_spec, sampling, short_video, seed, faults)
    if cache:
        clips = _decode_now(clips, rows, faults)
        rows = [row for row in rows if row.path not in faults]
        clips = clips.shuffle(len(rows), seed=seed, reshuffle_each_iteration=True) if shuffle else clips
    if label_mode is None:
        clips = clips.map(_frames_only)
    dataset = clips if batch_size is None else clips.batch(batch_size)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    # Skipping makes the length unknown to tf.data, which costs Keras its progress bar and makes it warn at the end of
    # every epoch. What it is told instead holds when nothing is skipped; it copes with an epoch that ends earlier.
    num_batches = -(-len(rows) // (batch_size or 1))
    dataset.cardinality = lambda: tf.constant(num_batches, tf.int64)
    dataset.class_names, dataset.rows, dataset.faults, dataset.is_shuffled = class_names, rows, faults, shuffle
    dataset.file_paths = [row.path for row in rows]
    return dataset


def _decode(
    elements: Any, clip_spec: ClipSpec, sampling: str, short_video: str, seed: int | None, faults: Faults
) -> Any:
    """Paths and labels to frames `uint8 (T, H, W, 3)` and labels, without what cannot be read."""

    def read(path: bytes, clip_seed: np.int64) -> tuple[np.ndarray, bool]:
        try:
            rng = np.random.default_rng(int(clip_seed))
            clip = read_clip(os.fsdecode(path), clip_spec, sampling, short_video, rng)  # type: ignore[arg-type]
            return clip.frames, True
        except VideoError as error:
            faults.record(error)
            return np.zeros(clip_spec.shape, np.uint8), False

    def load(element: tuple[Any, Any], clip_seed: Any) -> tuple[Any, Any, Any]:
        frames, readable = tf.numpy_function(read, (element[0], clip_seed), (tf.uint8, tf.bool))
        frames.set_shape(clip_spec.shape)
        readable.set_shape(())
        return frames, element[1], readable

    clip_seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    clips = tf.data.Dataset.zip(elements, clip_seeds).map(load, os.cpu_count(), deterministic=True)
    return clips.filter(_is_readable).map(_without_flag)


def _is_readable(frames: Any, label: Any, readable: Any) -> Any:
    return readable


def _without_flag(frames: Any, label: Any, readable: Any) -> tuple[Any, Any]:
    return frames, label


def _frames_only(frames: Any, label: Any) -> Any:
    return frames


def _decode_now(clips: Any, rows: Sequence[Row], faults: Faults) -> Any:
    """Fill a cache in memory, so that the number of clips is known and each file is read once."""
    cached = clips.cache()
    num_clips = sum(1 for _ in show_progress(cached, "Decoding videos", len(rows)))
    if num_clips == 0:
        first = next(iter(faults))
        raise ValueError(f"None of the {len(rows)} videos can be read; the first: {first.path}: {first.reason}")
    return cached.apply(tf.data.experimental.assert_cardinality(num_clips))


def _labels(rows: Sequence[Row], label_mode: str | None, class_names: Sequence[str]) -> np.ndarray:
    """A label for each row, as `label_mode` wants it."""
    if label_mode not in LABEL_MODES:
        raise ValueError(f"`label_mode` must be one of {LABEL_MODES}, received {label_mode!r}.")
    if label_mode is None:
        return np.zeros(len(rows), np.int32)
    index_of = {name: index for index, name in enumerate(class_names)}
    for row in rows:
        if row.label not in index_of:
            raise ValueError(f"{row.path} has the label {row.label!r}, expected one of {list(class_names)}.")
    labels = np.array([index_of[row.label] for row in rows], np.int32)  # type: ignore[index]
    if label_mode == "categorical":
        return np.eye(len(class_names), dtype=np.float32)[labels]
    if label_mode == "binary":
        if len(class_names) != 2:
            raise ValueError(f'`label_mode="binary"` needs exactly 2 classes, received {len(class_names)}.')
        return labels.astype(np.float32)[:, None]
    return labels


def _check_options(batch_size: int | None, sampling: str, short_video: str) -> None:
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, or None for single clips, received {batch_size!r}.")
    if sampling not in get_args(Sampling):
        raise ValueError(f"`sampling` must be one of {get_args(Sampling)}, received {sampling!r}.")
    if short_video not in get_args(ShortVideo):
        raise ValueError(f"`short_video` must be one of {get_args(ShortVideo)}, received {short_video!r}.")

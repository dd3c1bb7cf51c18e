"""YouTube-8M's TFRecords in, a `tf.data.Dataset` of features and labels out: nothing is decoded but numbers.

Data: features of 6.1 million videos (2018) of 3,862 classes, one vector of 1,024 numbers for the picture and one of 128
for the sound each second, up to 300 seconds: 1.53 TB in 3,844 shards for each part, or their means over each video,
31 GB. In 2019 came 237,000 segments of 5 seconds of 1,000 of these classes, rated by people.
Where: https://research.google.com/youtube8m/download.html, or `sora-keras download youtube8m`, all of it or a share.
License: CC BY 4.0.
Citation: S. Abu-El-Haija et al., "YouTube-8M: A Large-Scale Video Classification Benchmark", 2016,
https://arxiv.org/abs/1609.08675.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sora_keras.data.faults import Fault
from sora_keras.data.object_store import connect

LEVELS = ("frame", "video", "segment")
NUM_CLASSES, MAX_FRAMES, SEGMENT_FRAMES = 3862, 300, 5
SIZES = {"rgb": 1024, "audio": 128}
_LARGEST, _SMALLEST = 2.0, -2.0
_FRAMING_BYTES = 16  # of a TFRecord: length, checksum of the length, checksum of the content
_READ_BYTES = 8 << 20


def youtube8m_dataset(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    level: str = "frame",
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int | None = None,
    max_frames: int = MAX_FRAMES,
    num_classes: int = NUM_CLASSES,
    on_fault: str = "raise",
    with_ids: bool = False,
    num_parallel_shards: int = 8,
    shuffle_buffer: int = 512,
    num_examples: int | None = None,
) -> Any:
    """Make a dataset from shards of YouTube-8M, as published.

    Quantized features become numbers as the publisher's starter code makes them: `q * 4 / 255 + 4 / 512 - 2` for the
    bytes `q`, and 0 past a video's end.

    Args:
        files: a pattern such as `"yt8m/train*.tfrecord"`, or several; any file system that `tf.io.gfile` knows, such as
            `s3://` with the extra `io`.
        level: `"frame"` and `"segment"` read frame-level shards, `"video"` video-level ones. `"segment"` gives each
            rated segment of the shards of 2019 as an example of its own.
        batch_size: examples in a batch.
        shuffle: whether to draw a new order of shards, and of examples within a buffer, at each epoch.
        seed: makes the order the same at each run.
        max_frames: frames T that a video is cut or padded to.
        num_classes: classes K; 3,862 since 2018.
        on_fault: `"raise"` stops where bytes of a shard cannot be read, `"skip"` leaves them out and names them in
            `dataset.faults`. Where the framing of a shard is damaged, that is all the rest of it.
        with_ids: whether to add `"id"` (and, of segments, `"start_seconds"`) to the features.
        num_parallel_shards: how many shards are read at a time.
        shuffle_buffer: examples to draw from; frames take up to 350 kB each.
        num_examples: how many examples there are, if you know: nothing in the shards says so, and Keras warns at the
            end of each epoch of a dataset of unknown length. An epoch may end earlier all the same.

    Returns:
        A `tf.data.Dataset` with the attributes `file_paths` and `faults`, of

        - frames: `{"rgb": (B, T, 1024), "audio": (B, T, 128), "num_frames": (B,)}`, labels `(B, K)` of 0 and 1;
        - videos: `{"mean_rgb": (B, 1024), "mean_audio": (B, 128)}`, labels `(B, K)`;
        - segments: as frames with T = 5, and `{"labels": (B, K), "label_weights": (B, K)}`: the ratings, and 1 where
          there is one. All other classes of a segment are unknown, so a loss must be weighted.

    Raises:
        ValueError: if an argument is out of its range, or no file fits the pattern.

    Example:
        >>> train = youtube8m_dataset("yt8m/train*.tfrecord", batch_size=128, seed=0)  # doctest: +SKIP
        >>> features, labels = next(iter(train))  # doctest: +SKIP
        >>> features["rgb"].shape, labels.shape  # doctest: +SKIP
        (TensorShape([128, 300, 1024]), TensorShape([128, 3862]))

    Reference:
        https://github.com/google/youtube-8m, readers.py and utils.py.
    """
    _check_options(level, on_fault, batch_size, max_frames)
    paths = _matching(files)
    faults: list[Fault] = []
    shards = tf.data.Dataset.from_tensor_slices(paths)
    if shuffle:
        shards = shards.shuffle(len(paths), seed=seed)
    report = _reporter(level, on_fault, faults)
    examples = shards.interleave(
        lambda path: _examples(path, _PARSERS[level], max_frames, num_classes, report),
        cycle_length=min(num_parallel_shards, len(paths)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    if level == "segment":
        examples = examples.unbatch()
    if shuffle:
        examples = examples.shuffle(shuffle_buffer, seed=seed)
    num_frames = SEGMENT_FRAMES if level == "segment" else max_frames
    specs = examples.element_spec.items()
    shapes = {name: [num_frames, SIZES[name]] if name in SIZES else spec.shape for name, spec in specs}
    batches = examples.padded_batch(batch_size, shapes)
    dataset = batches.map(lambda batch: _finished(batch, with_ids), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    if num_examples is not None:
        num_batches = -(-num_examples // batch_size)
        dataset.cardinality = lambda: tf.constant(num_batches, tf.int64)
    dataset.file_paths, dataset.faults = paths, faults
    return dataset


def _matching(files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    patterns = [files] if isinstance(files, (str, os.PathLike)) else files
    paths = []
    for pattern in patterns:
        connect(pattern)
        found = sorted(tf.io.gfile.glob(os.fspath(pattern)))
        if not found:
            raise ValueError(f"No file is named {str(pattern)!r}: is the pattern right, and the download complete?")
        paths += found
    return paths


def _check_options(level: str, on_fault: str, batch_size: int, max_frames: int) -> None:
    for name, value, choices in (("level", level, LEVELS), ("on_fault", on_fault, ("raise", "skip"))):
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {choices}, received {value!r}.")
    for name, number in (("batch_size", batch_size), ("max_frames", max_frames)):
        if number < 1:
            raise ValueError(f"`{name}` must be at least 1, received {number!r}.")


def _examples(
    path: Any, parse: Callable[..., Any], max_frames: int, num_classes: int, report: Callable[..., Any]
) -> Any:
    """The examples of one shard; whatever bytes of it are in none of them are reported.

    Errors are dropped where they occur, so reading goes on, and each record is known by the bytes it takes: a gap
    between two, or before the end of the file, is what could not be read.
    """
    records = tf.data.TFRecordDataset(path, buffer_size=_READ_BYTES).ignore_errors()

    def measure(begin: Any, record: Any) -> tuple[Any, tuple[Any, Any, Any]]:
        end = begin + _FRAMING_BYTES + tf.cast(tf.strings.length(record), tf.int64)
        return end, (record, begin, end)

    def read(record: Any, begin: Any, end: Any) -> tuple[Any, Any, Any]:
        return parse(record, max_frames, num_classes), begin, end

    def check(known: Any, element: tuple[Any, Any, Any]) -> tuple[Any, tuple[Any, Any]]:
        example, begin, end = element
        told = tf.cond(begin > known, lambda: report(path, known, begin), lambda: tf.constant(True))
        with tf.control_dependencies([told]):
            return tf.identity(end), (example, end > begin)

    parsed = records.scan(tf.constant(0, tf.int64), measure).map(read).ignore_errors()
    size_bytes = tf.numpy_function(_size_bytes, (path,), tf.int64)
    nothing = {
        name: tf.zeros([size or 0 for size in spec.shape], spec.dtype) for name, spec in parsed.element_spec[0].items()
    }
    ended = tf.data.Dataset.from_tensors((nothing, size_bytes, size_bytes))
    checked = parsed.concatenate(ended).scan(tf.constant(0, tf.int64), check)
    return checked.filter(lambda example, is_record: is_record).map(lambda example, is_record: example)


def _size_bytes(path: bytes) -> np.int64:
    return np.int64(tf.io.gfile.stat(os.fsdecode(path)).length)


def _reporter(level: str, on_fault: str, faults: list[Fault]) -> Callable[..., Any]:
    def record(path: bytes, begin: np.int64, end: np.int64) -> np.bool_:
        reason = (
            f"bytes {begin:,} to {end:,} cannot be read as {level}-level records: the shard is truncated, damaged or "
            "of another level"
        )
        fault = Fault(os.fsdecode(path), reason)
        if on_fault == "raise":
            raise ValueError(f'{fault}; download it again, or pass `on_fault="skip"`.')
        if fault not in faults:
            faults.append(fault)
        return np.True_

    return lambda path, begin, end: tf.numpy_function(record, (path, begin, end), tf.bool)


def _parse_frames(record: Any, max_frames: int, num_classes: int) -> dict[str, Any]:
    context = {"id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)}
    context, vectors = _parse_sequence(record, context, max_frames)
    return {"id": context["id"], **vectors, "labels": _multi_hot(context["labels"].values, num_classes)}


def _parse_video(record: Any, max_frames: int, num_classes: int) -> dict[str, Any]:
    features = {"id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)}
    features |= {f"mean_{name}": tf.io.FixedLenFeature([size], tf.float32) for name, size in SIZES.items()}
    example = tf.io.parse_single_example(record, features)
    return {**example, "labels": _multi_hot(example["labels"].values, num_classes)}


def _parse_segments(record: Any, max_frames: int, num_classes: int) -> dict[str, Any]:
    """All rated segments of a video, S of them, which begin where their first frame does."""
    integers = {name: tf.io.VarLenFeature(tf.int64) for name in ("start_times", "end_times", "labels")}
    context = {f"segment_{name}": feature for name, feature in integers.items()}
    context |= {"id": tf.io.FixedLenFeature([], tf.string), "segment_scores": tf.io.VarLenFeature(tf.float32)}
    context, vectors = _parse_sequence(record, context, max_frames)
    starts, ends = context["segment_start_times"].values, context["segment_end_times"].values
    tf.debugging.assert_equal(ends, starts[: tf.size(ends)] + SEGMENT_FRAMES)
    starts, segment_of = tf.unique(starts, tf.int64)
    example = {"id": tf.repeat(context["id"], tf.size(starts)), "start_seconds": tf.ensure_shape(starts, [None])}
    for name in SIZES:
        num_frames = vectors[f"{name}_frames"]
        places = starts[:, tf.newaxis] + tf.range(SEGMENT_FRAMES, dtype=tf.int64)
        last = tf.cast(num_frames, tf.int64) - 1
        example[name] = tf.gather(vectors[name], tf.minimum(places, last))
        example[f"{name}_frames"] = tf.clip_by_value(num_frames - tf.cast(starts, tf.int32), 0, SEGMENT_FRAMES)
    places = tf.stack([segment_of, context["segment_labels"].values], axis=-1)
    scores = context["segment_scores"].values
    unknown = tf.zeros([tf.size(starts), num_classes])
    example["labels"] = tf.tensor_scatter_nd_update(unknown, places, scores)
    example["label_weights"] = tf.tensor_scatter_nd_update(unknown, places, tf.ones_like(scores))
    return example


_PARSERS = {"frame": _parse_frames, "video": _parse_video, "segment": _parse_segments}


def _parse_sequence(record: Any, context: dict[str, Any], max_frames: int) -> tuple[Any, dict[str, Any]]:
    """The context, and the quantized vectors `uint8 (T, D)` and their number T for the picture and the sound."""
    lists = {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in SIZES}
    context, lists = tf.io.parse_single_sequence_example(record, context, lists)
    vectors = {}
    for name, size in SIZES.items():
        encoded = lists[name][:max_frames]
        tf.debugging.assert_equal(tf.strings.length(encoded), size)
        vectors[name] = tf.ensure_shape(tf.io.decode_raw(encoded, tf.uint8, fixed_length=size), [None, size])
        vectors[f"{name}_frames"] = tf.size(encoded)
    return context, vectors


def _multi_hot(labels: Any, num_classes: int) -> Any:
    return tf.minimum(tf.scatter_nd(labels[:, tf.newaxis], tf.ones_like(labels, tf.float32), [num_classes]), 1.0)


def _finished(batch: dict[str, Any], with_ids: bool) -> tuple[dict[str, Any], Any]:
    """Features and labels of a batch."""
    features: dict[str, Any] = {name: batch[name] for name in ("mean_rgb", "mean_audio") if name in batch}
    if "rgb" in batch:
        features = {name: _dequantized(batch[name], batch[f"{name}_frames"]) for name in SIZES}
        features["num_frames"] = batch["rgb_frames"]
    if with_ids:
        features |= {name: batch[name] for name in ("id", "start_seconds") if name in batch}
    labels = batch["labels"]
    return features, {"labels": labels, "label_weights": batch["label_weights"]} if "label_weights" in batch else labels


def _dequantized(quantized: Any, num_frames: Any) -> Any:
    """Bytes `(B, T, D)` to numbers, 0 from frame `num_frames (B,)` on."""
    span = _LARGEST - _SMALLEST
    values = tf.cast(quantized, tf.float32) * (span / 255) + (span / 512 + _SMALLEST)
    is_frame = tf.sequence_mask(num_frames, tf.shape(quantized)[1])
    return tf.where(is_frame[..., tf.newaxis], values, 0.0)

"""A `ClipReader` in, its clips decoded once and kept out: in memory, or in a folder from one run to the next.

A cache folder holds a folder for each way to make clips (`ClipSpec`, sampling, features, sound, version), in it shards
of about 128 MiB and beside each shard a JSON file that lists its clips. A shard counts once its JSON file is there and
its size is as stated, so whatever a killed process leaves is made again. A clip is known by its file's path, size and
time of last change.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from sora_keras.atomic import remove_abandoned
from sora_keras.data.clip_reader import ClipReader
from sora_keras.data.epoch_order import EpochOrder
from sora_keras.data.faults import TooManyFaultsError
from sora_keras.data.manifest import Row
from sora_keras.data.object_store import connect
from sora_keras.data.shards import finished_shards, write_shard
from sora_keras.progress import show_progress
from sora_keras.version import __version__

CACHE_VERSION = 1  # raise it whenever the same file would give other clips
SHARD_BYTES = 128 * 2**20
SHUFFLE_BYTES = 256 * 2**20
SHARDS_AT_ONCE = 8
_MEMORY_BYTES_IF_UNKNOWN = 8 * 2**30


@dataclasses.dataclass(frozen=True)
class CachedClips:
    """Clips that need no decoding any more.

    Args:
        rows: the numbers of the rows that could be read, `int64 (N,)`.
        places: shard and position in it of each, `int64 (N, 2)`.
        shards: the shards: arrays `uint8 (clips, record_bytes)`, in memory or memory-mapped, or paths of TFRecord
            files.
        shard_sizes: how many clips each shard holds.
    """

    rows: np.ndarray
    places: np.ndarray
    shards: list[np.ndarray] | list[str]
    shard_sizes: list[int]

    @property
    def is_sequential(self) -> bool:
        """Whether the shards are files to be read from beginning to end."""
        return isinstance(self.shards[0], str)

    def records(self, positions: np.ndarray) -> np.ndarray:
        """Copy clips out of arrays.

        Args:
            positions: which of `rows`, `int64 (B,)`.

        Returns:
            Their records, `uint8 (B, record_bytes)`.
        """
        records = np.empty((len(positions), self.shards[0].shape[1]), np.uint8)  # type: ignore[union-attr]
        for record, (shard, position) in zip(records, self.places[positions], strict=True):
            record[:] = self.shards[shard][position]
        return records


def cache_clips(reader: ClipReader, cache: bool | str | os.PathLike[str], seed: int | None = None) -> CachedClips:
    """Decode what is not in the cache yet.

    Args:
        reader: the clips.
        cache: `True` for memory, or a folder; one that begins with a protocol such as `s3://` is reached through
            `tf.io.gfile`.
        seed: of clips taken at random times; such a clip stays what it is.

    Returns:
        The clips: memory-mapped arrays where they take at most half of the machine's memory, TFRecord files, which are
        read in sequence, where they take more or the folder is a remote one.

    Raises:
        ValueError: if no video can be read.
        OSError: if the folder cannot be written.
        TooManyFaultsError: if more videos cannot be read than allowed.

    Example:
        >>> clips = cache_clips(ClipReader(rows, ClipSpec()), "cache")
    """
    clips = _in_memory(reader, seed) if isinstance(cache, bool) else _in_folder(reader, os.fspath(cache), seed)
    if len(clips.rows) == 0:
        first = next(iter(reader.faults))
        raise ValueError(f"None of the {len(reader.rows)} videos can be read; the first: {first.path}: {first.reason}")
    return _with_substitutes(reader, clips, seed) if reader.faults.policy == "substitute" else clips


def tfrecord_dataset(clips: CachedClips, record_bytes: int, epoch_order: EpochOrder) -> Any:
    """Read TFRecord shards in sequence, several at once where they are shuffled.

    Args:
        clips: what to read; `clips.shards` are paths.
        record_bytes: length of a record.
        epoch_order: of the shards. Where it shuffles them, records are shuffled as well, 256 MiB of them at a time.

    Returns:
        A `tf.data.Dataset` of records `uint8 (record_bytes,)` and row numbers `int64 ()`, unshuffled in the order of
        `clips.places`.
    """
    wanted: list[list[list[int]]] = [[[] for _ in range(size)] for size in clips.shard_sizes]
    for row, (shard, position) in zip(clips.rows.tolist(), clips.places.tolist(), strict=True):
        wanted[shard][position].append(row)
    rows_of = tf.ragged.constant(wanted, dtype=tf.int64, ragged_rank=2)
    paths = tf.constant(clips.shards)

    def read_shard(shard: Any, seed: Any) -> Any:
        rows_of_records = tf.data.Dataset.from_tensor_slices(rows_of[shard])
        seeds = tf.data.Dataset.from_tensors(seed).repeat()
        return tf.data.Dataset.zip(tf.data.TFRecordDataset(paths[shard]), rows_of_records, seeds)

    def for_each_row(record: Any, rows: Any, seed: Any) -> Any:
        same = tf.data.Dataset.from_tensors((record, seed)).repeat()
        each = tf.data.Dataset.zip(same, tf.data.Dataset.from_tensor_slices(rows))
        return each.map(lambda record_and_seed, row: (record_and_seed[0], row, record_and_seed[1]))

    def shuffled(records: Any, rows: Any, seeds: Any) -> Any:
        positions = tf.random.experimental.stateless_shuffle(tf.range(tf.size(rows)), (seeds[0], rows[0]))
        positions = tf.data.Dataset.from_tensor_slices(positions)
        return positions.map(lambda position: (records[position], rows[position], seeds[position]))

    def decode(record: Any, row: Any, seed: Any) -> tuple[Any, Any]:
        return tf.ensure_shape(tf.io.decode_raw(record, tf.uint8), (record_bytes,)), row

    records = epoch_order.dataset().interleave(read_shard, SHARDS_AT_ONCE if epoch_order.shuffle else 1)
    records = records.filter(lambda record, rows, seed: tf.size(rows) > 0).flat_map(for_each_row)
    if epoch_order.shuffle:
        at_once = min(len(clips.rows), max(1, SHUFFLE_BYTES // record_bytes))
        records = records.batch(at_once).flat_map(shuffled)
    return records.map(decode, tf.data.AUTOTUNE, deterministic=True)


def clip_seed_of(row: Row, seed: int | None) -> int:
    """A seed for the random choices of a row's clip that does not depend on the other rows."""
    return zlib.crc32(f"{seed}/{row.path}/{row.start_seconds}".encode("utf-8", "surrogateescape"))


def _in_memory(reader: ClipReader, seed: int | None) -> CachedClips:
    array = np.empty((len(reader.rows), reader.record_bytes), np.uint8)
    rows: list[int] = []
    for row, record in _decode(reader, range(len(reader.rows)), seed, "Decoding videos"):
        array[len(rows)] = record
        rows.append(row)
    places = np.stack([np.zeros(len(rows), np.int64), np.arange(len(rows))], axis=1)
    return CachedClips(np.array(rows, np.int64), places, [array], [len(array)])


def _in_folder(reader: ClipReader, directory: str, seed: int | None) -> CachedClips:
    connect(directory)
    is_remote = "://" in directory
    total_bytes = len(reader.rows) * reader.record_bytes
    extension = ".tfrecord" if is_remote or total_bytes > _memory_bytes() / 2 else ".npy"
    folder = f"{directory.rstrip('/')}/{_name(reader)}"
    tf.io.gfile.makedirs(folder)
    if not is_remote:
        remove_abandoned(folder)
    keys = [_key(row, clip_seed_of(row, seed) if reader.sampling == "random_window" else 0) for row in reader.rows]
    shards = dict(finished_shards(folder, extension))
    known = {key for keys_of_shard in shards.values() for key in keys_of_shard}
    missing = [index for index, key in enumerate(keys) if key not in known]
    shards.update(_write_shards(reader, folder, extension, missing, keys, seed))
    shards = _in_order_of_rows(shards, keys)
    place_of = {
        key: (number, position)
        for number, keys_of_shard in enumerate(shards.values())
        for position, key in enumerate(keys_of_shard)
    }
    found = [(index, *place_of[key]) for index, key in enumerate(keys) if key in place_of]
    if extension == ".tfrecord":
        found.sort(key=lambda place: place[1:])
    table = np.array(found, np.int64).reshape(-1, 3)
    opened = [np.load(path, mmap_mode="r") for path in shards] if extension == ".npy" else list(shards)
    return CachedClips(table[:, 0], table[:, 1:], opened, [len(keys_of_shard) for keys_of_shard in shards.values()])


def _in_order_of_rows(shards: dict[str, list[str]], keys: Sequence[str]) -> dict[str, list[str]]:
    """The shards that hold any of the keys, by the first row that each holds, whenever they were written."""
    row_of = {key: row for row, key in reversed(list(enumerate(keys)))}
    first_row = {path: min((row_of[key] for key in held if key in row_of), default=-1) for path, held in shards.items()}
    return {path: shards[path] for path in sorted(shards, key=first_row.__getitem__) if first_row[path] >= 0}


def _name(reader: ClipReader) -> str:
    """A folder's name for one way to make clips."""
    spec = reader.clip_spec
    way: list[Any] = [
        spec.get_config(),
        reader.sampling,
        reader.short_video,
        reader.features,
        __version__,
        CACHE_VERSION,
    ]
    if reader.sound_samples:
        way.append(reader.sound_samples)
    if reader.with_times:
        way.append("times")
    digest = hashlib.sha256(json.dumps(way, sort_keys=True).encode()).hexdigest()
    return f"{spec.num_frames}x{spec.height}x{spec.width}-{digest[:8]}"


def _key(row: Row, clip_seed: int) -> str:
    """What a clip is known by: another file, or a file that was changed, has another key."""
    try:
        stat = os.stat(row.path)
        state = (stat.st_size, stat.st_mtime_ns)
    except OSError:
        state = (0, 0)  # it cannot be read either, so no clip of it will ever be kept
    known = repr((os.path.abspath(row.path), state, row.start_seconds, row.end_seconds, clip_seed))
    return hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _write_shards(
    reader: ClipReader, folder: str, extension: str, missing: Sequence[int], keys: Sequence[str], seed: int | None
) -> Iterator[tuple[str, list[str]]]:
    """Decode rows into shards; yields the path and keys of each."""
    shard_rows = max(1, SHARD_BYTES // reader.record_bytes)
    records: list[np.ndarray] = []
    kept: list[str] = []
    for row, record in _decode(reader, missing, seed, "Decoding videos into the cache"):
        records.append(record)
        kept.append(keys[row])
        if len(records) == shard_rows:
            yield write_shard(folder, extension, records, kept), kept
            records, kept = [], []
    if records:
        yield write_shard(folder, extension, records, kept), kept


def _decode(
    reader: ClipReader, indices: Sequence[int], seed: int | None, description: str
) -> Iterator[tuple[int, np.ndarray]]:
    """Number and record of each row that can be read, in order, a few of them decoded ahead."""
    num_threads = os.cpu_count() or 1
    at_once = 8 * num_threads

    def read(index: int) -> np.ndarray | None:
        return reader.read_itself(index, clip_seed_of(reader.rows[index], seed))

    def all_records(pool: ThreadPoolExecutor) -> Iterator[np.ndarray | None]:
        for start in range(0, len(indices), at_once):
            yield from pool.map(read, indices[start : start + at_once])

    with ThreadPoolExecutor(num_threads) as pool:
        records = show_progress(all_records(pool), description, len(indices)) if indices else ()
        for index, record in zip(indices, records, strict=True):
            if record is not None:
                yield index, record


def _with_substitutes(reader: ClipReader, clips: CachedClips, seed: int | None) -> CachedClips:
    """Give each row that is missing the place of another one of the same labels."""
    place_of = dict(zip(clips.rows.tolist(), clips.places.tolist(), strict=True))
    for index, row in enumerate(reader.rows):
        if index not in place_of:
            others = [other for other in reader.substitutes(index, clip_seed_of(row, seed)) if other in place_of]
            if not others:
                raise TooManyFaultsError(reader.no_substitute(index))
            place_of[index] = place_of[others[0]]
    rows = sorted(place_of)
    places = np.array([place_of[row] for row in rows], np.int64)
    if clips.is_sequential:
        order = np.lexsort(places.T[::-1])
        return dataclasses.replace(clips, rows=np.array(rows, np.int64)[order], places=places[order])
    return dataclasses.replace(clips, rows=np.array(rows, np.int64), places=places)


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return _MEMORY_BYTES_IF_UNKNOWN

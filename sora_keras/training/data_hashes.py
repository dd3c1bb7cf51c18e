"""The rows of a split in, a hash of the data and one of the split out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from sora_keras.data.file_digest import file_digest
from sora_keras.data.manifest import Row


def data_hashes(parts: Mapping[str, Sequence[Row]]) -> tuple[str, str]:
    """Tell whether two trainings had the same data and the same split, wherever the files lay and whatever their names.

    Args:
        parts: the rows of each part, by its name: train, validation, test.

    Returns:
        A hash of what the videos hold and how they are labeled and grouped, and one of which of them is in which part,
        both SHA-256 in hexadecimal. A file that cannot be opened stands for itself by its path.

    Example:
        >>> data_hash, split_hash = data_hashes({"train": train.rows, "test": test.rows})
    """
    paths = sorted({row.path for rows in parts.values() for row in rows})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digest_of = {path: digest or path for path, digest in zip(paths, pool.map(file_digest, paths), strict=True)}
    first_of_group: dict[str, str] = {}  # a group's name may be a path, too: known by its first video, it is the same
    for rows in parts.values():
        for row in rows:
            digest = digest_of[row.path]
            first_of_group[row.group] = min(digest, first_of_group.get(row.group, digest))

    def clip(row: Row) -> tuple[object, ...]:
        return digest_of[row.path], row.start_seconds, row.end_seconds

    data = [(*clip(row), row.labels, first_of_group[row.group]) for rows in parts.values() for row in rows]
    split = [(*clip(row), part) for part, rows in parts.items() for row in rows]
    return _hash(data), _hash(split)


def _hash(lines: Iterable[tuple[object, ...]]) -> str:
    return hashlib.sha256("\n".join(sorted(map(repr, lines))).encode("utf-8", "surrogateescape")).hexdigest()

"""Videos to the list of those that cannot be read, and why."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sora_keras.data import Fault, Row, read_manifest, rows_from_directory
from sora_keras.data.faults import write_faults
from sora_keras.progress import show_progress
from sora_keras.video import VideoError, probe, stream_frames
from sora_keras.video.decoding import check_end

SMALL_SIDE = 16  # every frame is decoded; scaling them to next to nothing keeps that cheap


def check_videos(source: str | os.PathLike[str], to: str | os.PathLike[str] | None = None) -> tuple[int, list[Fault]]:
    """Decode every frame of every video, and list the videos with faults.

    Args:
        source: a folder with videos at any depth, or a CSV manifest.
        to: file to write the list to, for `Faults` and so for the next training to believe.

    Returns:
        How many videos there are, and a fault for each that cannot be read to its end.

    Raises:
        NotADirectoryError: if there is neither.
        ValueError: if it holds no videos.

    Example:
        >>> num_videos, faults = check_videos("videos", to="faults.jsonl")
    """
    paths = sorted({row.path for row in _rows(Path(source))})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = show_progress(pool.map(_fault, paths), "Checking videos", len(paths))
        faults = [fault for fault in checked if fault is not None]
    if to is not None:
        write_faults(faults, to)
    return len(paths), faults


def _rows(source: Path) -> list[Row]:
    if source.is_file() and source.suffix.lower() == ".csv":
        return read_manifest(source)
    return rows_from_directory(source, labels=None, groups=str)


def _fault(path: str) -> Fault | None:
    try:
        duration_seconds = probe(path).duration_seconds
        last_seconds = max(seconds for seconds, _ in stream_frames(path, height=SMALL_SIDE, width=SMALL_SIDE))
        check_end(path, last_seconds, duration_seconds, duration_seconds)
    except VideoError as error:
        return Fault.of(error)
    return None

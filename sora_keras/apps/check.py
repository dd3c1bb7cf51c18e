"""A folder of videos to the list of those that cannot be read, and why."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from sora_keras.data import Fault, rows_from_directory
from sora_keras.progress import show_progress
from sora_keras.video import VideoError, probe, stream_frames
from sora_keras.video.decoding import check_end

SMALL_SIDE = 16  # every frame is decoded; scaling them to next to nothing keeps that cheap


def check_videos(directory: str | os.PathLike[str]) -> tuple[int, list[Fault]]:
    """Decode every frame of every video under a folder, and list the videos with faults.

    Args:
        directory: the folder.

    Returns:
        How many videos there are, and a fault for each that cannot be read to its end.

    Raises:
        NotADirectoryError: if the folder is none.
        ValueError: if it holds no videos.

    Example:
        >>> num_videos, faults = check_videos("videos")
    """
    paths = [row.path for row in rows_from_directory(directory, labels=None, groups=str)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = show_progress(pool.map(_fault, paths), "Checking videos", len(paths))
        return len(paths), [fault for fault in checked if fault is not None]


def _fault(path: str) -> Fault | None:
    try:
        duration_seconds = probe(path).duration_seconds
        last_seconds = max(seconds for seconds, _ in stream_frames(path, height=SMALL_SIDE, width=SMALL_SIDE))
        check_end(path, last_seconds, duration_seconds, duration_seconds)
    except VideoError as error:
        return Fault(path, error.reason)
    return None

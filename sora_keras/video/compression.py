"""Good frames in, the same as strong compression leaves them out: pairs for a network that undoes it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from sora_keras.video.reading import stream_frames
from sora_keras.video.writing import write_video


def compressed_frames(frames: np.ndarray, quality: int = 40, group_size: int = 24) -> np.ndarray:
    """Write frames with H.264 and read them again, one group of pictures after the other.

    The first frame of a group is better than the rest, and nothing is remembered from group to group. Videos that are
    streamed have such groups of one or two seconds.

    Args:
        frames: RGB, `uint8 (T, H, W, 3)`.
        quality: the constant rate factor, 0 (best) to 51.
        group_size: frames in a group; the last one has what is left.

    Returns:
        The frames as they came out, of the same shape.

    Raises:
        ValueError: if `group_size` is less than 1, or `write_video` refuses the frames or the quality.

    Example:
        >>> bad = [compressed_frames(frames) for frames in good]  # doctest: +SKIP
        >>> pairs = patch_dataset(good, ClipSpec(num_frames=6, height=64, width=64), spoiled=bad)  # doctest: +SKIP
    """
    if group_size < 1:
        raise ValueError(f"group_size must be at least 1, received {group_size!r}.")
    groups = [frames[at : at + group_size] for at in range(0, max(1, len(frames)), group_size)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "group.mp4"
        return np.concatenate([_written_and_read(path, group, quality) for group in groups])


def _written_and_read(path: Path, frames: np.ndarray, quality: int) -> np.ndarray:
    write_video(path, frames, quality=quality)
    return np.stack([frame for _, frame in stream_frames(path)])

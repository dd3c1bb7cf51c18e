"""Ways to change a video's frames, and what tests read back of the file that was made so."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from sora_keras.video import stream_frames

Pairs = Iterator[tuple[float, np.ndarray]]


def same(frames: Pairs) -> Iterator[np.ndarray]:
    return (frame for _, frame in frames)


def twice_as_large(frames: Pairs) -> Iterator[np.ndarray]:
    return (frame.repeat(2, 0).repeat(2, 1) for _, frame in frames)


def presentation_times(path: pathlib.Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return [frame.pts * video.time_base for frame in container.decode(video)]


def sound_packets(path: pathlib.Path) -> list[tuple[bytes, float]]:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(bytes(packet), float(packet.pts * packet.time_base)) for packet in packets if packet.size]


def frames_of(path: pathlib.Path) -> np.ndarray:
    return np.stack([frame for _, frame in stream_frames(path)]).astype(int)


def noise(num_frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colors that change from frame to frame, and that half resolution of colors does not harm much."""
    coarse = np.random.default_rng(seed).integers(30, 226, (num_frames, 3, 4, 3)).astype(np.float32)
    rows = np.linspace(0, 2, height)[:, None, None], np.linspace(0, 3, width)[None, :, None]
    (top, left) = (np.minimum(np.floor(axis).astype(int), limit) for axis, limit in zip(rows, (1, 2), strict=True))
    down, across = rows[0] - top, rows[1] - left
    top, left = top[..., 0], left[..., 0]
    corners = [
        coarse[:, top + dy, left + dx] * ((down if dy else 1 - down) * (across if dx else 1 - across))
        for dy in (0, 1)
        for dx in (0, 1)
    ]
    return np.rint(sum(corners)).astype(np.uint8)

"""Real scanned digits that come, move and go, as a folder of H.264 videos: two a video, each timed in a CSV file.

Data: the 1,797 handwritten digits of 8x8 pixels that scikit-learn ships (UCI Optical Recognition of Handwritten Digits,
CC BY 4.0; Alpaydin and Kaynak, 1998, https://doi.org/10.24432/C50P49). Nothing is downloaded. A digit keeps inside the
picture, and is turned by no more than 60 degrees from upright, so that 6 and 9 stay apart.
"""

from __future__ import annotations

import csv
import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sora_keras.data.datasets.generated_folder import generated_folder
from sora_keras.data.datasets.moving_digits import (
    DIRECTIONS,
    MOTIONS,
    NUM_SCANS,
    Placement,
    background,
    stamp,
)
from sora_keras.progress import show_progress
from sora_keras.video.probing import probe
from sora_keras.video.writing import write_video

DIGIT_NAMES = tuple("0123456789")
DIGITS_A_VIDEO = 2
NUM_POOLS = 20
COLUMNS = ("path", "start_seconds", "end_seconds", "label", "vocabulary", "group")
SMALLEST_DIGIT, LARGEST_DIGIT = 0.34, 0.52  # of the picture's side
MOST_DEGREES = 60.0
_MARGIN = 0.55  # of a digit's size, from its middle to the picture's border


@dataclasses.dataclass(frozen=True)
class Appearance:
    """One scanned digit in one motion, from its first frame to its last one.

    Args:
        scan: number of the scanned digit, 0..1796.
        motion: one of `MOTIONS`.
        first: number of the first frame that shows it.
        last: number of the last one.
    """

    scan: int
    motion: str
    first: int
    last: int


def make_digit_events(
    num_videos: int = 3000,
    directory: str | os.PathLike[str] | None = None,
    seed: int = 0,
    num_frames: int = 20,
    size: int = 64,
    frames_per_second: float = 8.0,
) -> Path:
    """Make the videos, unless the same ones are there already.

    In each video two different digits move in two different ways. Each is there for a quarter to two thirds of the
    video, and moves all that time; the two intervals may overlap, and so may the digits.

    Args:
        num_videos: how many.
        directory: where to write; by default a folder under Keras's data cache (`KERAS_HOME`, else `~/.keras`), named
            after the other arguments.
        seed: the same seed makes the same frames.
        num_frames: frames T in a video.
        size: height and width of a video, in pixels.
        frames_per_second: of the videos.

    Returns:
        The folder: `videos/`, and `events.csv`, which `sora_keras.data.read_events` reads, with two events of each
        digit, one of the vocabulary `"digit"` and one of `"motion"`. The scans are in 20 pools without a scan in
        common, each video draws from one of them, and its group is that pool, so that groups on two sides of a split
        share no scan.

    Raises:
        ValueError: if there are fewer than 20 videos, or fewer than 8 frames in a video.
        FileExistsError: if `directory` holds something else, other digit events included.

    Example:
        >>> rows = read_events(make_digit_events(num_videos=800, seed=1) / "events.csv")
    """
    if num_videos < NUM_POOLS:
        raise ValueError(f"`num_videos` must be at least {NUM_POOLS}, one for each pool, received {num_videos}.")
    if num_frames < 8:
        raise ValueError(f"`num_frames` must be at least 8, for digits to come, move and go, received {num_frames}.")
    name = f"digit_events_{num_videos}x{num_frames}x{size}_{frames_per_second:g}fps_seed{seed}"
    lines = _lines(num_videos, seed, num_frames, frames_per_second)

    def write(folder: Path) -> None:
        _write_videos(folder, num_videos, seed, num_frames, size, frames_per_second)
        with open(folder / "events.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)

    return generated_folder(directory, name, lambda folder: _is_made(folder, lines, size), write)


def _is_made(directory: Path, lines: list[tuple[str, ...]], size: int) -> bool:
    """Whether the folder holds finished videos of these events and this size."""
    events = directory / "events.csv"
    if not events.is_file():
        return False
    with open(events, newline="", encoding="utf-8", errors="replace") as file:
        has_lines = [tuple(line) for line in csv.reader(file)] == lines
    return has_lines and probe(directory / lines[1][0]).height == size


def _plan(index: int, seed: int, num_frames: int, names: np.ndarray) -> tuple[np.random.Generator, list[Appearance]]:
    """The generator of a video, and what was drawn of it: its two digits; `names (1797,)` says what the scans are."""
    rng = np.random.default_rng([seed, index])
    pool = _pools(seed)[index % NUM_POOLS]
    first_scan = rng.choice(pool)
    other_scan = rng.choice(pool[names[pool] != names[first_scan]])
    motions = rng.choice(MOTIONS, DIGITS_A_VIDEO, replace=False)
    appearances = []
    for scan, motion in zip((first_scan, other_scan), motions, strict=True):
        length = int(rng.integers(max(3, num_frames // 4), 2 * num_frames // 3 + 1))
        first = int(rng.integers(0, num_frames - length + 1))
        appearances.append(Appearance(int(scan), str(motion), first, first + length - 1))
    return rng, appearances


def _pools(seed: int) -> list[np.ndarray]:
    return np.array_split(np.random.default_rng(seed).permutation(NUM_SCANS), NUM_POOLS)


def _lines(num_videos: int, seed: int, num_frames: int, frames_per_second: float) -> list[tuple[str, ...]]:
    """The lines of the CSV file, header first."""
    from sklearn.datasets import load_digits

    names = load_digits().target
    lines: list[tuple[str, ...]] = [COLUMNS]
    for index in range(num_videos):
        _, appearances = _plan(index, seed, num_frames, names)
        for shown in appearances:
            start, end = (f"{frame / frames_per_second:.4f}" for frame in (shown.first, shown.last + 1))
            for label, vocabulary in ((str(names[shown.scan]), "digit"), (shown.motion, "motion")):
                lines.append((_path(index), start, end, label, vocabulary, f"pool{index % NUM_POOLS:02d}"))
    return lines


def _path(index: int) -> str:
    return f"videos/{index:05d}.mp4"


def _write_videos(
    directory: Path, num_videos: int, seed: int, num_frames: int, size: int, frames_per_second: float
) -> None:
    """Write all videos, with a progress bar on a terminal."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    images = (scans.images * (255 / 16)).astype(np.float32)
    (directory / "videos").mkdir()

    def write(index: int) -> None:
        rng, appearances = _plan(index, seed, num_frames, scans.target)
        frames = render_events(images, appearances, num_frames, size, rng)
        write_video(directory / _path(index), frames, frames_per_second)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in show_progress(pool.map(write, range(num_videos)), "Making digit events", num_videos):
            pass


def render_events(
    images: np.ndarray, appearances: list[Appearance], num_frames: int, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw digits over a soft background, with noise, the later ones of the list in front.

    Args:
        images: `float32 (N, 8, 8)`, 0..255, the scanned digits.
        appearances: which of them come, how they move, and when.
        num_frames: frames T.
        size: height and width, in pixels.
        rng: draws place, speed, size, angle, brightness, background and noise.

    Returns:
        Frames `uint8 (T, size, size, 3)`.
    """
    frames = np.repeat(background(size, rng)[None], num_frames, axis=0)
    for shown in appearances:
        length = shown.last - shown.first + 1
        placement = _place(shown.motion, np.linspace(0, 1, length), size, rng)
        color = rng.uniform(170, 255, 3).astype(np.float32)
        for index in range(length):
            mask = stamp(images[shown.scan], placement, index, size)[..., None] / 255
            frames[shown.first + index] += mask * (color - frames[shown.first + index])
    frames += rng.normal(0, rng.uniform(0, 12), frames.shape)
    return frames.clip(0, 255).astype(np.uint8)


def _place(motion: str, progress: np.ndarray, size: int, rng: np.random.Generator) -> Placement:
    """Centers, sizes and angles for `progress (T,)`, 0 at the motion's start and 1 at its end, inside the picture."""
    smallest, largest = size * SMALLEST_DIGIT, size * LARGEST_DIGIT
    sizes = np.full(len(progress), rng.uniform(smallest, largest))
    angles = np.full(len(progress), rng.uniform(-MOST_DEGREES, MOST_DEGREES) / 3)
    path = np.zeros((len(progress), 2))
    if motion in DIRECTIONS:
        path = np.outer(progress - 0.5, DIRECTIONS[motion]) * size * rng.uniform(0.3, 0.45)
    elif motion in ("growing", "shrinking"):
        towards = progress if motion == "growing" else 1 - progress
        sizes = smallest * (largest / smallest) ** (1.2 * towards - 0.1)
    else:
        turn = (progress - 0.5) * rng.uniform(70, 100) * (1 if motion == "clockwise" else -1)
        angles = turn + rng.uniform(-10, 10)
    room = np.maximum(size / 2 - _MARGIN * sizes.max() - np.abs(path).max(axis=0), 0)
    return Placement(size / 2 + rng.uniform(-room, room) + path, sizes, angles)

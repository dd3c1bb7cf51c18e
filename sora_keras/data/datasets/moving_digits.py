"""Real scanned digits set in motion, as a folder of H.264 videos: eight motions, a folder each.

Data: the 1,797 handwritten digits of 8x8 pixels that scikit-learn ships (UCI Optical Recognition of Handwritten Digits,
CC BY 4.0; Alpaydin and Kaynak, 1998, https://doi.org/10.24432/C50P49). Nothing is downloaded. Place, angle and size run
around circles (what leaves on the left comes back on the right, what has grown to the full starts small again), so any
single frame, first, last or between, looks alike in all eight classes: only motion tells them apart.
"""

from __future__ import annotations

import csv
import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from sora_keras.data.datasets.generated_folder import generated_folder
from sora_keras.progress import show_progress
from sora_keras.video.probing import probe
from sora_keras.video.writing import write_video

MOTIONS = ("clockwise", "counter_clockwise", "down", "growing", "left", "right", "shrinking", "up")
COLUMNS = ("path", "label", "group", "digit", "motion", "start_seconds", "end_seconds")
NUM_SCANS = 1797
SMALLEST_DIGIT, LARGEST_DIGIT = 0.3, 0.66  # of the picture's side
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where the digit stands at each of T frames: centers in pixels, sizes in pixels, angles in degrees clockwise."""

    centers: np.ndarray
    sizes: np.ndarray
    angles: np.ndarray


def make_moving_digits(
    num_videos: int = 1200,
    directory: str | os.PathLike[str] | None = None,
    seed: int = 0,
    num_frames: int = 24,
    size: int = 64,
    frames_per_second: float = 16.0,
) -> Path:
    """Make the videos, unless the same ones are there already.

    Args:
        num_videos: how many, shared evenly among the eight motions.
        directory: where to write; by default a folder under Keras's data cache (`KERAS_HOME`, else `~/.keras`), named
            after the other arguments.
        seed: the same seed makes the same frames.
        num_frames: frames T in a video.
        size: height and width of a video, in pixels.
        frames_per_second: of the videos.

    Returns:
        The folder: a sub-folder a motion, and `manifest.csv` with path, label, group (the scanned digit, which must
        not cross a split), digit, motion, start_seconds and end_seconds of the motion.

    Raises:
        ValueError: if there are fewer videos than motions.
        FileExistsError: if `directory` holds something else, other moving digits included.

    Example:
        >>> folder = make_moving_digits(num_videos=800, seed=1)
    """
    if num_videos < len(MOTIONS):
        raise ValueError(f"`num_videos` must be at least {len(MOTIONS)}, one for each motion, received {num_videos}.")
    name = f"moving_digits_{num_videos}x{num_frames}x{size}_{frames_per_second:g}fps_seed{seed}"
    rows = _rows(num_videos, seed, num_frames, frames_per_second)

    def write(folder: Path) -> None:
        _write_videos(folder, num_videos, seed, num_frames, size, frames_per_second)
        with open(folder / "manifest.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])

    return generated_folder(directory, name, lambda folder: _is_made(folder, rows, size), write)


def _is_made(directory: Path, rows: list[tuple[str, ...]], size: int) -> bool:
    """Whether the folder holds finished videos of these rows and this size."""
    manifest = directory / "manifest.csv"
    if not manifest.is_file():
        return False
    with open(manifest, newline="", encoding="utf-8", errors="replace") as file:
        has_rows = [tuple(line) for line in csv.reader(file)] == [COLUMNS, *rows]
    return has_rows and probe(directory / rows[0][0]).height == size


def _plan(index: int, seed: int, num_frames: int) -> tuple[np.random.Generator, str, int, tuple[int, int]]:
    """The generator of a video, its motion, and what was drawn: the scan, first and last moving frame."""
    rng = np.random.default_rng([seed, index])
    source = int(rng.integers(NUM_SCANS))
    rests = rng.integers(0, num_frames // 6 + 1, 2)
    return rng, MOTIONS[index % len(MOTIONS)], source, (int(rests[0]), num_frames - 1 - int(rests[1]))


def _rows(num_videos: int, seed: int, num_frames: int, frames_per_second: float) -> list[tuple[str, ...]]:
    """The lines of the manifest, in order."""
    from sklearn.datasets import load_digits

    digits = load_digits().target
    rows: list[tuple[str, ...]] = []
    for index in range(num_videos):
        _, motion, source, moving = _plan(index, seed, num_frames)
        start_seconds, end_seconds = (f"{frame / frames_per_second:.3f}" for frame in moving)
        digit, group = str(digits[source]), f"scan{source:04d}"
        rows.append((_path(motion, index), motion, group, digit, motion, start_seconds, end_seconds))
    return rows


def _path(motion: str, index: int) -> str:
    return f"{motion}/{index:05d}.mp4"


def _write_videos(
    directory: Path, num_videos: int, seed: int, num_frames: int, size: int, frames_per_second: float
) -> None:
    """Write all videos, with a progress bar on a terminal."""
    from sklearn.datasets import load_digits

    images = (load_digits().images * (255 / 16)).astype(np.float32)
    for motion in MOTIONS:
        (directory / motion).mkdir()

    def write(index: int) -> None:
        rng, motion, source, moving = _plan(index, seed, num_frames)
        frames = render(images[source], motion, num_frames, size, moving, rng)
        write_video(directory / _path(motion, index), frames, frames_per_second)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in show_progress(pool.map(write, range(num_videos)), "Making moving digits", num_videos):
            pass


def render(
    digit: np.ndarray, motion: str, num_frames: int, size: int, moving: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Draw one digit in one motion over a soft background, with noise.

    Args:
        digit: `float32 (8, 8)`, 0..255.
        motion: one of `MOTIONS`.
        num_frames: frames T.
        size: height and width, in pixels.
        moving: first and last frame of the motion; the digit rests before and after.
        rng: draws start, speed, size, angle, brightness, background and noise.

    Returns:
        Frames `uint8 (T, size, size, 3)`.
    """
    progress = np.clip((np.arange(num_frames) - moving[0]) / max(1, moving[1] - moving[0]), 0, 1)
    placement = _place(motion, progress, size, rng)
    colors = rng.uniform(170, 255, 3).astype(np.float32)
    behind = background(size, rng)
    noise_level = rng.uniform(0, 12)
    frames = np.empty((num_frames, size, size, 3), np.float32)
    for index in range(num_frames):
        mask = stamp(digit, placement, index, size)[..., None] / 255
        frames[index] = behind * (1 - mask) + colors * mask
    frames += rng.normal(0, noise_level, frames.shape)
    return frames.clip(0, 255).astype(np.uint8)


def _place(motion: str, progress: np.ndarray, size: int, rng: np.random.Generator) -> Placement:
    """Centers, sizes and angles at each frame for `progress (T,)`, 0 at the motion's start and 1 at its end.

    Position, angle and (logarithm of the) size run around circles and start anywhere on them, so each is spread evenly
    at every frame, whatever the motion.
    """
    centers = np.tile(rng.uniform(0, size, 2), (len(progress), 1))
    angles = np.full(len(progress), rng.uniform(0, 360))
    growth = np.full(len(progress), rng.uniform(0, 1))
    if motion in DIRECTIONS:
        centers += np.outer(progress, DIRECTIONS[motion]) * size * rng.uniform(0.35, 0.7)
    elif motion in ("growing", "shrinking"):
        growth += progress * rng.uniform(0.6, 0.95) * (1 if motion == "growing" else -1)
    else:
        angles += progress * rng.uniform(70, 160) * (1 if motion == "clockwise" else -1)
    smallest, largest = size * SMALLEST_DIGIT, size * LARGEST_DIGIT
    return Placement(centers % size, smallest * (largest / smallest) ** (growth % 1), angles % 360)


def stamp(digit: np.ndarray, placement: Placement, index: int, size: int) -> np.ndarray:
    """Draw a digit alone; what leaves the picture on one side comes back on the other.

    Args:
        digit: `float32 (8, 8)`, 0..255.
        placement: where it stands at each frame.
        index: number of the frame.
        size: height and width of the picture, in pixels.

    Returns:
        `float32 (size, size)`, 0..255.
    """
    scale = placement.sizes[index] / len(digit)
    center = (len(digit) - 1) / 2
    matrix = cv2.getRotationMatrix2D((center, center), -placement.angles[index], scale)
    matrix[:, 2] += placement.centers[index] - center + size  # into the middle one of nine pictures
    nine = cv2.warpAffine(digit, matrix, (3 * size, 3 * size), flags=cv2.INTER_CUBIC)
    return nine.reshape(3, size, 3, size).sum(axis=(0, 2)).clip(0, 255)


def background(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a soft random texture, `float32 (size, size, 3)` in 0..90."""
    coarse = rng.uniform(0, 90, (4, 4, 3)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)

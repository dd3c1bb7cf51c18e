"""The rows of a dataset in, a `ClipSpec` that suits its videos and this machine out, with the reasons."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from sora_keras.data.faults import Fault
from sora_keras.data.machine_memory import machine_memory_bytes
from sora_keras.data.manifest import Row
from sora_keras.features.motion import CHANGED_LEVELS, optical_flow
from sora_keras.progress import show_progress
from sora_keras.video import ClipSpec, VideoError, read_clip
from sora_keras.video.probing import probe

WINDOWS_A_VIDEO = 3
WINDOW = (10, 128, 128)  # frames, height and width to measure motion on
FASTEST_MEASURED = 30.0  # frames a second
FEWEST_CHANGED_PIXELS = 16

SIDES_A_STEP = 1 / 20  # how far what moves may go from one frame to the next, in sides of the frame
PIXELS_OF_WHAT_MOVES = 16
SECONDS_OF_AN_ACTION = 3.0
SLOWEST = 4.0  # frames a second
FEWEST_FRAMES, MOST_FRAMES, FRAMES_STEP = 8, 48, 4
SMALLEST_SIDE, LARGEST_SIDE, SIDE_STEP, SIDE_OF_STILLS = 32, 224, 16, 112
TRAINING_BYTES_A_PIXEL = 1120  # of one frame, by the default backbone: 140 float32 activations and their gradients
GIBIBYTE = 2**30


@dataclasses.dataclass(frozen=True)
class ClipSpecSuggestion:
    """A proposal, to be read and then taken or changed.

    Args:
        clip_spec: what is proposed.
        reasons: why, a sentence each: what was measured, the rate, the frames, the size, the memory.
        faults: the sampled videos that could not be read.
    """

    clip_spec: ClipSpec
    reasons: tuple[str, ...]
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return "\n".join([str(self.clip_spec), *self.reasons])


@dataclasses.dataclass(frozen=True)
class _Measured:
    """One video: seconds, frames a second, its shorter side in pixels, and of what moves the speed and side, in sides.

    Speed and side are zero where nothing moves.
    """

    duration_seconds: float
    frames_per_second: float
    shorter_side: int
    speed: float
    moving_side: float


def suggest_clip_spec(
    rows: Sequence[Row], batch_size: int = 16, memory_bytes: int | None = None, max_videos: int = 24, seed: int = 0
) -> ClipSpecSuggestion:
    """Propose frames, rate and size by how long the videos are, how fast and how large what moves in them is.

    | what | rule |
    |---|---|
    | rate | fast enough that what moves goes at most a twentieth of the frame's side from frame to frame, in three of four videos; 4 a second at least, the videos' own rate at most |
    | frames | videos of about one length that 48 frames at that rate span are read whole, with the frames spread over them; else clips of 3 s at that rate |
    | size | what moves is 16 pixels wide in half of the videos; 32 to 224, the videos' own size at most |
    | memory | smaller frames, then fewer, until training the preset `base` fits |

    A start for a search (`sora-keras tune`), no replacement: what tells the classes apart may be smaller or faster than
    what moves most. Measure the rows to train on alone.

    Args:
        rows: the videos, or parts of them.
        batch_size: clips in a batch, as trained.
        memory_bytes: what training may take; by default half of the machine's, or the container's, memory.
        max_videos: how many to measure at most, drawn at random.
        seed: the same seed measures the same videos in the same places.

    Returns:
        The proposal with its reasons.

    Raises:
        ValueError: if an argument is out of its range, there are no rows, or none of those drawn can be read.

    Example:
        >>> suggestion = suggest_clip_spec(read_manifest("fights/clips.csv"))
        >>> print(suggestion)
        >>> train = video_dataset_from_manifest(rows, suggestion.clip_spec)
    """  # noqa: E501
    for name, value in (("batch_size", batch_size), ("max_videos", max_videos)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, received {value!r}.")
    if not rows:
        raise ValueError("`rows` must hold at least one video to measure, received none.")
    chosen = [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))[:max_videos]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(show_progress(pool.map(lambda row: _measure(row, seed), chosen), "Measuring videos", len(chosen)))
    faults = tuple(each for each in found if isinstance(each, Fault))
    measured = [each for each in found if isinstance(each, _Measured)]
    if not measured:
        raise ValueError(f"None of the {len(chosen)} videos drawn can be read; the first: {faults[0]}")
    num_frames, frames_per_second, why_frames = _frames(measured)
    side, why_side = _side(measured)
    clip_spec, why_memory = _fit(
        ClipSpec(num_frames, side, side, frames_per_second), batch_size, memory_bytes or machine_memory_bytes() // 2
    )
    reasons = [_describe(measured, faults, len(rows)), *why_frames, why_side, why_memory, _cache(clip_spec, len(rows))]
    return ClipSpecSuggestion(clip_spec, tuple(reasons), faults)


def _measure(row: Row, seed: int) -> _Measured | Fault:
    rng = np.random.default_rng(seed)
    try:
        info = probe(row.path)
        end = info.duration_seconds if row.end_seconds is None else min(row.end_seconds, info.duration_seconds)
        rate = min(info.frames_per_second, FASTEST_MEASURED)
        spec = ClipSpec(*WINDOW, rate)
        windows = [
            read_clip(
                row.path, spec, "random_window", rng=rng, start_seconds=row.start_seconds, end_seconds=row.end_seconds
            )
            for _ in range(WINDOWS_A_VIDEO)
        ]
    except VideoError as error:
        return Fault.of(error, row.start_seconds)
    motions = [motion for window in windows for motion in _motions(window.frames)]
    speed, side = np.median(motions, axis=0) if motions else (0.0, 0.0)
    duration = max(end - row.start_seconds, 1 / info.frames_per_second)
    shorter_side = min(info.height, info.width)
    return _Measured(duration, info.frames_per_second, shorter_side, float(speed) * rate, float(side))


def _motions(frames: np.ndarray) -> list[tuple[float, float]]:
    """For each step at which something moves: how far most of it goes, and how wide it is, in sides of the frame."""
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    side = gray[0].shape[0]
    motions = []
    for before, after in itertools.pairwise(gray):
        has_changed = cv2.absdiff(before, after) >= CHANGED_LEVELS
        if np.count_nonzero(has_changed) < FEWEST_CHANGED_PIXELS:
            continue
        distances = np.linalg.norm(optical_flow(before, after), axis=-1)[has_changed]
        motions.append((float(np.quantile(distances, 0.9)) / side, _width_of_regions(has_changed) / side))
    return motions


def _width_of_regions(has_changed: np.ndarray) -> float:
    """Side of a square as large as the region in which the middle one of all changed pixels lies, in pixels."""
    joined = cv2.dilate(has_changed.astype(np.uint8), np.ones((5, 5), np.uint8))
    _, _, regions, _ = cv2.connectedComponentsWithStats(joined)
    areas = np.sort(regions[1:, cv2.CC_STAT_AREA])
    cumulated = np.cumsum(areas)
    return math.sqrt(areas[np.searchsorted(cumulated, cumulated[-1] / 2)])


def _describe(measured: Sequence[_Measured], faults: Sequence[Fault], num_rows: int) -> str:
    durations = [each.duration_seconds for each in measured]
    rate = statistics.median(each.frames_per_second for each in measured)
    side = statistics.median(each.shorter_side for each in measured)
    unreadable = f"; {len(faults)} cannot be read, such as {faults[0]}" if faults else ""
    return (
        f"{len(measured)} of {num_rows} videos measured: they last {min(durations):.3g} to {max(durations):.3g} s, "
        f"half of them over {statistics.median(durations):.3g} s, at {rate:.3g} frames a second, {side:.0f} pixels on "
        f"the shorter side{unreadable}."
    )


def _frames(measured: Sequence[_Measured]) -> tuple[int, float | None, list[str]]:
    speed = float(np.quantile([each.speed for each in measured], 0.75))
    own_rate = statistics.median(each.frames_per_second for each in measured)
    rate = min(own_rate, max(SLOWEST, float(math.ceil(speed / SIDES_A_STEP - 0.1))))
    why_rate = (
        f"What moves goes up to {speed:.2g} of a frame's side a second in three of four videos: {rate:.3g} frames a "
        f"second show it {'every' if rate == own_rate else 'at least every'} {speed / rate:.2g} of a side."
    )
    durations = [each.duration_seconds for each in measured]
    short, median, long = (float(value) for value in np.quantile(durations, [0.1, 0.5, 0.9]))
    num_frames = _stepped(rate * median, FRAMES_STEP)
    if long <= 2 * short and num_frames <= MOST_FRAMES:
        num_frames = max(FEWEST_FRAMES, num_frames)
        why = f"The videos are of about one length, so {num_frames} frames are spread over the whole of each."
        return num_frames, None, [why_rate, why]
    seconds = min(SECONDS_OF_AN_ACTION, median)
    num_frames = min(MOST_FRAMES, max(FEWEST_FRAMES, _stepped(rate * seconds, FRAMES_STEP)))
    why_not = "differ in length" if long > 2 * short else "are too long to be read whole"
    why = f"The videos {why_not}, so a clip is {num_frames} frames, {num_frames / rate:.2g} s, somewhere in a video."
    return num_frames, rate, [why_rate, why]


def _side(measured: Sequence[_Measured]) -> tuple[int, str]:
    own_side = statistics.median(each.shorter_side for each in measured)
    largest = max(SMALLEST_SIDE, min(LARGEST_SIDE, math.floor(own_side / SIDE_STEP) * SIDE_STEP))
    moving = [each.moving_side for each in measured if each.moving_side]
    if not moving:
        side = min(SIDE_OF_STILLS, largest)
        return side, f"Nothing moves in the videos measured, so frames are {side} pixels a side."
    moving_side = statistics.median(moving)
    side = min(largest, max(SMALLEST_SIDE, _stepped(PIXELS_OF_WHAT_MOVES / moving_side, SIDE_STEP)))
    return side, (
        f"What moves is {moving_side:.2g} of a frame's side wide in half of the videos: frames of {side} pixels a side "
        f"show it with {moving_side * side:.0f}."
    )


def _fit(clip_spec: ClipSpec, batch_size: int, memory_bytes: int) -> tuple[ClipSpec, str]:
    """Smaller frames, then fewer, until training fits."""
    wanted = _training_bytes(clip_spec, batch_size)
    while _training_bytes(clip_spec, batch_size) > memory_bytes:
        if clip_spec.height > SMALLEST_SIDE:
            side = clip_spec.height - SIDE_STEP
            clip_spec = dataclasses.replace(clip_spec, height=side, width=side)
        elif clip_spec.num_frames > FEWEST_FRAMES:
            clip_spec = dataclasses.replace(clip_spec, num_frames=clip_spec.num_frames - FRAMES_STEP)
        else:
            break
    taken, allowed = _training_bytes(clip_spec, batch_size) / GIBIBYTE, f"{memory_bytes / GIBIBYTE:.2g} GiB allowed"
    what = f"Training the preset base with batches of {batch_size} takes about"
    if taken * GIBIBYTE > memory_bytes:
        return clip_spec, f"{what} {taken:.2g} GiB even so, more than the {allowed}: use smaller batches."
    if wanted > taken * GIBIBYTE:
        shape = f"{clip_spec.num_frames} frames of {clip_spec.height} pixels a side"
        return (
            clip_spec,
            f"{what} {wanted / GIBIBYTE:.2g} GiB so, more than the {allowed}: with {shape} {taken:.2g} GiB.",
        )
    return clip_spec, f"{what} {taken:.2g} GiB of the {allowed}."


def _training_bytes(clip_spec: ClipSpec, batch_size: int) -> int:
    return TRAINING_BYTES_A_PIXEL * batch_size * math.prod(clip_spec.shape[:3])


def _cache(clip_spec: ClipSpec, num_rows: int) -> str:
    needed = num_rows * math.prod(clip_spec.shape)
    place = "in memory (cache=True)" if needed < machine_memory_bytes() / 4 else "in a folder (cache=FOLDER)"
    return f"One decoded clip of each of the {num_rows} rows takes {needed / GIBIBYTE:.2g} GiB: keep them {place}."


def _stepped(value: float, step: int) -> int:
    """Up to the next multiple, a hundredth of a step forgiven."""
    return step * math.ceil(value / step - 0.01)

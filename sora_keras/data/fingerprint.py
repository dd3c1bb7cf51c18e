"""A video in, perceptual hashes of its frames and the course of its motion out, both the same for its copies."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from sora_keras.data.manifest import Row
from sora_keras.video import ClipSpec, probe, read_clip

HASH_BITS = 256
FRAMES_PER_SECOND = 2.0
FEWEST_FRAMES, MOST_FRAMES = 8, 32
MOTION_FRAMES_PER_SECOND = 8.0
LONGEST_MOTION_SECONDS = 64.0
MOTION_SIDE = 16

_SIDE = 64
_HASH_SIDE = 16
# A frame with less contrast than this, in gray levels, is a fade or a blank: its hash would be that of noise.
_LEAST_CONTRAST = 4.0
# Bars around a picture differ by no more than this, in gray levels, over their rows or columns and over time.
_BAR_CONTRAST = 8
_FRAMES_BETWEEN_ALTERED = 4
# The pictures of a copy cropped by something between these match one of them to within 2 %.
_CROPS = (0.03, 0.065, 0.10)
_LEAST_OVERLAP = 0.6


@dataclasses.dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is kept of a video to recognize its copies.

    Args:
        hashes: `uint8 (V, 32)`, 256 bits for each frame looked at, for their median, and for each without its bars.
        altered: `uint8 (A, 32)`, the same of every fourth of these, mirrored and cropped.
    """

    hashes: np.ndarray
    altered: np.ndarray


def fingerprint(row: Row) -> Fingerprint:
    """Hash frames spread over a video, or over the part of it that the row is: two a second, 8 to 32 in all.

    Args:
        row: the video.

    Returns:
        Its fingerprint. Blank frames have no hash, so that a video without any picture has no hashes at all.

    Raises:
        VideoError: if the video cannot be read.

    Example:
        >>> fingerprint(Row("walk.mp4")).hashes.shape
        (8, 32)
    """
    num_frames = round(min(max(_seconds_of(row) * FRAMES_PER_SECOND, FEWEST_FRAMES), MOST_FRAMES))
    frames = _gray_frames(row, ClipSpec(num_frames, _SIDE, _SIDE), row.end_seconds)
    # The median shows the place without what moves there, so that a scene is known at any time.
    frames.append(np.median(frames, axis=0).astype(np.uint8))
    frames = [frame for frame in frames if frame.std() >= _LEAST_CONTRAST]
    frames += _without_bars(frames)
    altered = [other for frame in frames[::_FRAMES_BETWEEN_ALTERED] for other in _alterations(frame)]
    return Fingerprint(_hashes(frames), _hashes(altered))


def hash_frame(frame: np.ndarray) -> np.ndarray:
    """Hash one frame: which of its 16x16 lowest frequencies are stronger than the median one.

    The mean brightness is left out, so that brightness and contrast do not count.

    Args:
        frame: gray, `uint8` or `float32 (64, 64)`.

    Returns:
        `uint8 (32,)`, 256 bits.

    Reference:
        Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, section 3.2.1, with the
        sizes of PDQ (Facebook, The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm, 2019).
    """
    frequencies = cv2.dct(np.ascontiguousarray(frame, np.float32))[1 : _HASH_SIDE + 1, 1 : _HASH_SIDE + 1]
    return np.packbits(frequencies.ravel() > np.median(frequencies))


def motion(row: Row) -> np.ndarray:
    """Take what moves in a video: its frames, small and gray, less their mean.

    Args:
        row: the video, of which up to 64 s are looked at, 8 frames a second.

    Returns:
        `float32 (T, 16, 16)`.

    Raises:
        VideoError: if the video cannot be read.
    """
    seconds = min(_seconds_of(row), LONGEST_MOTION_SECONDS)
    num_frames = max(1, round(seconds * MOTION_FRAMES_PER_SECOND))
    clip_spec = ClipSpec(num_frames, MOTION_SIDE, MOTION_SIDE, MOTION_FRAMES_PER_SECOND)
    frames = np.stack(_gray_frames(row, clip_spec, row.start_seconds + seconds)).astype(np.float32)
    return frames - frames.mean(axis=0)


def motion_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Correlate the motion of two videos where they fit best, one of them shifted in time and mirrored if need be.

    Args:
        first: from `motion`, `float32 (T, 16, 16)`.
        second: the other one.

    Returns:
        The correlation over the frames they share, at least 60 % of the shorter one: 1 for the same footage, about 0.1
        for two moments of one scene.
    """
    first_flat = first.reshape(len(first), -1)
    return max(_best_correlation(first_flat, other.reshape(len(other), -1)) for other in (second, second[:, :, ::-1]))


def _best_correlation(first: np.ndarray, second: np.ndarray) -> float:
    products, best = first @ second.T, 0.0
    energies, other_energies = (first**2).sum(axis=1), (second**2).sum(axis=1)
    least = max(1, round(_LEAST_OVERLAP * min(len(first), len(second))))
    for lag in range(least - len(second), len(first) - least + 1):
        start, end = max(0, lag), min(len(first), len(second) + lag)
        energy = energies[start:end].sum() * other_energies[start - lag : end - lag].sum()
        if energy > 0:
            best = max(best, float(products[start:end, start - lag : end - lag].trace() / np.sqrt(energy)))
    return best


def _seconds_of(row: Row) -> float:
    duration_seconds = probe(row.path).duration_seconds
    return max(0.0, min(row.end_seconds or duration_seconds, duration_seconds) - row.start_seconds)


def _gray_frames(row: Row, clip_spec: ClipSpec, end_seconds: float | None) -> list[np.ndarray]:
    clip = read_clip(row.path, clip_spec, start_seconds=row.start_seconds, end_seconds=end_seconds)
    return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.frames]


def _hashes(frames: list[np.ndarray]) -> np.ndarray:
    return np.stack([hash_frame(frame) for frame in frames]) if frames else np.zeros((0, HASH_BITS // 8), np.uint8)


def _alterations(frame: np.ndarray) -> list[np.ndarray]:
    """The frame mirrored, and cropped on all sides."""
    return [frame[:, ::-1], *(_resized(frame, share, 1 - share, share, 1 - share) for share in _CROPS)]


def _without_bars(frames: list[np.ndarray]) -> list[np.ndarray]:
    """The frames without the bars around them; none where there are no bars, or hardly anything else."""
    if not frames:
        return []
    contrast = (np.max(frames, axis=0), np.min(frames, axis=0))
    rows, columns = (
        np.flatnonzero(contrast[0].max(axis=axis).astype(int) - contrast[1].min(axis=axis) > _BAR_CONTRAST)
        for axis in (1, 0)
    )
    if min(len(rows), len(columns)) < _SIDE // 4 or len(rows) == len(columns) == _SIDE:
        return []
    top, bottom, left, right = (edge / _SIDE for edge in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    return [_resized(frame, top, bottom, left, right) for frame in frames]


def _resized(frame: np.ndarray, top: float, bottom: float, left: float, right: float) -> np.ndarray:
    """A part of the frame, its edges given as shares of the frame's sides, at the frame's size."""
    height, width = bottom - top, right - left
    # Pixels are areas, so that their centers lie half a pixel inside.
    matrix = np.array([
        [width, 0, left * _SIDE + width / 2 - 0.5],
        [0, height, top * _SIDE + height / 2 - 0.5],
    ])  # fmt: skip
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(frame, matrix, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)

"""A video of any length and a generator in, how wrong each patch of each frame was predicted out."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator

import cv2
import numpy as np

from sora_keras.models import SoraGenerator
from sora_keras.progress import show_progress
from sora_keras.video import ClipSpec, VideoError, probe, read_windows

PATCH_SHARE = 0.19  # of the frame's height: what is abnormal is small, and an average over the frame would lose it
PATCHES_PER_SIDE = 6  # patches that begin within the side of one
BORDER_SHARE = 0.03  # of the frame's height: nobody can foresee who comes in from outside the picture
LEAST_STEP = 0.75  # of a step: the last window would else begin anywhere after the one before
RATE_TOLERANCE = 0.01  # of the frames to a step: 29.97 a second count as 30
FRAMES_UNTIL_JUDGED = 4  # to tell how something moves takes a few


class PredictionErrors:
    """Watch a video frame by frame, each time predicting the next one, and tell how wrong that was.

    It holds one frame and the model's state, however long the video is. Where the video's rate is no multiple of the
    model's, the steps between its frames differ and with them the scores: a warning says so.

    Args:
        model: the generator; its `clip_spec` has the frames' size and rate.
        path: the video file.

    Raises:
        ValueError: if the model's `clip_spec` has no rate.

    Example:
        >>> errors = PredictionErrors(SoraGenerator.from_preset("saved_models/ped2_anomaly"), "street.mp4")
        >>> for seconds, of_patches in errors:
        ...     print(seconds, of_patches.max())
        >>> errors.error  # why the video cannot be read any farther, if it breaks off

    Reference:
        Liu et al., Future Frame Prediction for Anomaly Detection, 2018, https://arxiv.org/abs/1712.09867
    """

    def __init__(self, model: SoraGenerator, path: str | os.PathLike[str]) -> None:
        if model.clip_spec.frames_per_second is None:
            raise ValueError(
                f"{model.name!r} must know how far in time its frames are apart, received a clip_spec with "
                "frames_per_second=None: train one with a rate."
            )
        self.error: VideoError | None = None
        info = probe(path)
        self.duration_seconds = info.duration_seconds
        self._model, self._path = model, path
        frames_a_step = info.frames_per_second / model.clip_spec.frames_per_second
        if abs(frames_a_step - round(frames_a_step)) > RATE_TOLERANCE * frames_a_step:
            logging.getLogger(__name__).warning(
                "%s: it has %.4g frames a second, no multiple of the model's %.4g: scores vary with the steps.",
                os.fsdecode(path), info.frames_per_second, model.clip_spec.frames_per_second,
            )  # fmt: skip

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds and `float32 (R, C)`, the mean squared error of R x C patches; the first frames have none."""
        predicted, foresight = None, _Foresight(self._model)
        for number, (seconds, frame) in enumerate(self._frames()):
            if predicted is not None and number >= FRAMES_UNTIL_JUDGED:
                yield seconds, _patch_means(((predicted - frame) ** 2).mean(axis=-1))
            predicted = foresight.next_frame(frame)

    def _frames(self) -> Iterator[tuple[float, np.ndarray]]:
        spec = self._model.clip_spec
        frame_spec = ClipSpec(1, spec.height, spec.width, spec.frames_per_second)
        num_frames = max(1, math.ceil(self.duration_seconds * (spec.frames_per_second or 1) - 1e-6))
        clips = show_progress(
            read_windows(self._path, frame_spec), f"Watching {os.path.basename(os.fsdecode(self._path))}", num_frames
        )
        shortest = LEAST_STEP / (spec.frames_per_second or 1)
        before = -math.inf
        try:
            for clip in clips:
                seconds, frame = float(clip.times[0]), clip.frames[0]
                if seconds - before < shortest:
                    continue
                if self._model.num_channels == 1:
                    frame = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
                yield seconds, frame
                before = seconds
        except VideoError as error:
            if before < 0:
                raise
            self.error = error


class _Foresight:
    """Foresees from as many frames as the model learned from: on longer sequences some networks go astray.

    Two memories take turns, each begun anew when it has seen that many; the elder one, at least half as old, answers.
    """

    def __init__(self, model: SoraGenerator) -> None:
        self._model = model
        self._length = max(2, model.clip_spec.num_frames)
        self._num_seen = 0
        self._state: dict[str, np.ndarray] | None = None

    def next_frame(self, frame: np.ndarray) -> np.ndarray:
        """After `frame`, `uint8 (H, W, C)`, the next one, `float32 (H, W, C)`."""
        half, turn = self._length // 2, self._num_seen % self._length
        if turn in (0, half):
            self._forget(memory=0 if turn == 0 else 1)
        is_first_new = self._num_seen >= self._length and turn < half
        predicted, self._state = self._model.predict_next_frame(np.stack([frame, frame]), self._state)
        self._num_seen += 1
        of_elder: np.ndarray = predicted[1 if is_first_new else 0]
        return of_elder

    def _forget(self, memory: int) -> None:
        self._state = self._state and {name: np.array(values) for name, values in self._state.items()}
        for values in (self._state or {}).values():
            values[memory] = 0


def _patch_sides(height: int) -> tuple[int, int]:
    """A patch's side, and from one patch to the next, in pixels."""
    side = max(1, round(PATCH_SHARE * height))
    return side, max(1, side // PATCHES_PER_SIDE)


def _patch_means(squares: np.ndarray) -> np.ndarray:
    """Means `(R, C)` over patches of `(H, W)`: its border counts as foreseen, and beyond is its mirror image."""
    side, stride = _patch_sides(len(squares))
    border = round(BORDER_SHARE * len(squares))
    unforeseen = np.pad(squares[border : len(squares) - border, border : squares.shape[1] - border], border)
    return cv2.blur(unforeseen, (side, side), borderType=cv2.BORDER_REFLECT)[::stride, ::stride]


def patch_box(row: int, column: int, height: int, width: int) -> tuple[float, float, float, float]:
    """Where a patch lies in the frame.

    Args:
        row: its row in `(R, C)`.
        column: its column.
        height: rows H of the model's frames.
        width: columns W of them.

    Returns:
        Left, top, right and bottom, as shares of the frame's width and height.

    Example:
        >>> patch_box(5, 10, height=100, width=200)
        (0.105, 0.06, 0.2, 0.25)
    """
    side, stride = _patch_sides(height)
    left, top = column * stride - side // 2, row * stride - side // 2
    return max(0, left) / width, max(0, top) / height, min(1, (left + side) / width), min(1, (top + side) / height)

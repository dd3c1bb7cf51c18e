"""A video of any length and a generator in, how unexpected each moment was, and where in the frame, out."""

from __future__ import annotations

import dataclasses
import logging
import math
import os

import numpy as np

from sora_keras.apps.prediction_errors import FRAMES_UNTIL_JUDGED, PredictionErrors, patch_box
from sora_keras.evaluation.anomaly_curve import normalize_scores, smooth_scores
from sora_keras.models import SoraGenerator
from sora_keras.video import VideoError

SMOOTHING_SECONDS = 0.9
LEAST_ERROR = 1 / 12  # the mean squared error of rounding to whole gray levels


@dataclasses.dataclass(frozen=True, eq=False)
class AnomalyCurve:
    """How unexpected a video was, moment by moment.

    Args:
        path: the video file.
        duration_seconds: how long it is, by its header.
        times: `float64 (N,)`, seconds since the video's first frame, at the model's rate.
        scores: `float64 (N,)`, minus the PSNR of the frame's worst patch in decibels: -50 is foreseen, -20 is not. The
            first 4 frames, of which there is nothing to foresee from, have the fifth one's.
        boxes: `float32 (N, 4)`, that patch: left, top, right and bottom as shares of the frame's width and height.
        smoothing_seconds: standard deviation of the Gaussian of `smoothed`.
        error: why the video cannot be read any farther than `times` go; `None` if it was read to its end.
    """

    path: str
    duration_seconds: float
    times: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    smoothing_seconds: float = SMOOTHING_SECONDS
    error: str | None = None

    @property
    def smoothed(self) -> np.ndarray:
        """The scores, averaged over time: `sora_keras.evaluation.smooth_scores`."""
        return smooth_scores(self.scores, self.times, self.smoothing_seconds)

    @property
    def normalized(self) -> np.ndarray:
        """The smoothed scores, stretched to 0..1 over this video: `sora_keras.evaluation.normalize_scores`."""
        return normalize_scores(self.smoothed)


def anomaly_scores(
    model: SoraGenerator,
    video: str | os.PathLike[str],
    smoothing_seconds: float = SMOOTHING_SECONDS,
) -> AnomalyCurve:
    """Score each moment of a video by how wrong its prediction was: no label of what is wrong is ever needed.

    A generator that was trained on what usually happens, and saw nothing else, predicts that well and the rest badly.
    What is unusual takes up little of a frame, so the frame's worst patch counts, a fifth of its height a side; a
    narrow strip along the border does not, because nobody can foresee who comes in there.

    Args:
        model: the generator, trained on videos of the same camera, or of such ones, in which nothing is wrong.
        video: the video file.
        smoothing_seconds: standard deviation of the Gaussian of the curve's `smoothed`; `scores` are left raw.

    Returns:
        The curve. Of a video that breaks off what was seen up to there, with the `error`, and a warning.

    Raises:
        VideoError: if not even 5 frames can be read.
        ValueError: if `smoothing_seconds` is negative, or the model has no rate.

    Example:
        >>> model = SoraGenerator.from_preset("saved_models/ped2_anomaly")
        >>> curve = anomaly_scores(model, "walkway.mp4")
        >>> curve.times[curve.smoothed.argmax()]
        9.25

    Reference:
        Liu et al., Future Frame Prediction for Anomaly Detection, 2018, https://arxiv.org/abs/1712.09867
    """
    if not (math.isfinite(smoothing_seconds) and smoothing_seconds >= 0):
        raise ValueError(f"`smoothing_seconds` must be a number of at least 0, received {smoothing_seconds!r}.")
    spec = model.clip_spec
    errors = PredictionErrors(model, video)
    times, scores, boxes = [], [], []
    for seconds, of_patches in errors:
        row, column = np.unravel_index(of_patches.argmax(), of_patches.shape)
        times.append(seconds)
        scores.append(-_psnr(float(of_patches[row, column])))
        boxes.append(patch_box(int(row), int(column), spec.height, spec.width))
    if not times:
        reason = "" if errors.error is None else f" before it breaks off: {errors.error.reason}"
        raise VideoError(
            video, f"it has fewer than {FRAMES_UNTIL_JUDGED + 1} frames at {spec.frames_per_second:g} a second{reason}"
        )
    if errors.error is not None:
        logging.getLogger(__name__).warning("%s; what comes before was scored.", errors.error)
    before = times[0] - np.arange(FRAMES_UNTIL_JUDGED, 0, -1) / (spec.frames_per_second or 1)
    return AnomalyCurve(
        os.fsdecode(video),
        errors.duration_seconds,
        np.concatenate([before, times]),
        np.array(scores[:1] * FRAMES_UNTIL_JUDGED + scores),
        np.array(boxes[:1] * FRAMES_UNTIL_JUDGED + boxes, np.float32),
        smoothing_seconds,
        None if errors.error is None else errors.error.reason,
    )


def _psnr(mean_squared_error: float) -> float:
    """Decibels, as Liu et al. take them: so twice the error counts the same, small or large."""
    return 10 * math.log10(255**2 / max(mean_squared_error, LEAST_ERROR))

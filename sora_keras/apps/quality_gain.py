"""A video before and after, and what it should look like, in; how much nearer it has come out."""

from __future__ import annotations

import dataclasses
import itertools
import os

import cv2
import numpy as np

from sora_keras.evaluation.video_quality import psnr, ssim
from sora_keras.progress import show_progress
from sora_keras.video import VideoError, stream_frames


@dataclasses.dataclass(frozen=True)
class QualityGain:
    """Likeness to a reference, means over the frames.

    Args:
        psnr_before: dB, of the video before, scaled bicubically to the reference's size where it is smaller.
        psnr_after: dB, of the enhanced file.
        ssim_before: structural similarity, at most 1, of the video before.
        ssim_after: of the enhanced file.
    """

    psnr_before: float
    psnr_after: float
    ssim_before: float
    ssim_after: float


def measure_gain(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    num_frames: int | None = None,
) -> QualityGain:
    """Compare two video files with a third, frame by frame in their order, one of each held at a time.

    What counts is what a viewer of the file sees, its compression included.

    Args:
        before: the video before.
        after: the enhanced one, in the reference's size.
        reference: what it should look like.
        num_frames: how many frames there are, for the progress bar.

    Returns:
        Means of PSNR and SSIM over RGB, see `sora_keras.evaluation.video_quality`.

    Raises:
        VideoError: if one cannot be read, or the reference has another number of frames than the enhanced one.

    Example:
        >>> measure_gain("noisy.mp4", "denoised.mp4", "clean.mp4").psnr_after
        31.7
    """
    streams = (stream_frames(path) for path in (before, after, reference))
    rows: list[list[float]] = []
    for triple in show_progress(itertools.zip_longest(*streams), "Measuring", num_frames):
        if None in triple:
            raise VideoError(
                reference,
                f"it cannot be compared: one of the three videos ends after {len(rows)} frames, and another goes on; "
                "pass a reference with the same frames",
            )
        one, enhanced, wanted = (frame for _, frame in triple)
        height, width = wanted.shape[:2]
        if one.shape != wanted.shape:
            one = cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC)
        rows.append([float(measure(frame, wanted)) for measure in (psnr, ssim) for frame in (one, enhanced)])
    return QualityGain(*np.mean(rows, axis=0).tolist())

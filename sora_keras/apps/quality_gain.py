"""A video before and after, and what it should look like, in; how much nearer it has come out."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os

import cv2
import numpy as np

from sora_keras.evaluation.video_quality import psnr, ssim
from sora_keras.progress import show_progress
from sora_keras.video import VideoError
from sora_keras.video.frame_source import mended_frames

NAMES = ("the video before", "the enhanced one", "the reference")
MOST_FRAMES_MORE = 2  # one that goes on longer shows something else


@dataclasses.dataclass(frozen=True)
class QualityGain:
    """Likeness to a reference, means over the frames.

    Args:
        psnr_before: dB, of the video before, scaled bicubically to the reference's size where it is smaller.
        psnr_after: dB, of the enhanced file.
        ssim_before: structural similarity, at most 1, of the video before.
        ssim_after: of the enhanced file.
        warning: what could not be compared, in a whole sentence; `None` if everything was.
    """

    psnr_before: float
    psnr_after: float
    ssim_before: float
    ssim_after: float
    warning: str | None = None


def measure_gain(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    num_frames: int | None = None,
) -> QualityGain:
    """Compare two video files with a third, frame by frame in their order, one of each held at a time.

    What counts is what a viewer of the file sees, its compression included. Frames that are lost are made from their
    neighbors, as they are for enhancing. One or two frames that not all three have are left out, with a warning.

    Args:
        before: the video before.
        after: the enhanced one, in the reference's size.
        reference: what it should look like.
        num_frames: how many frames there are, for the progress bar.

    Returns:
        Means of PSNR and SSIM over RGB, see `sora_keras.evaluation.video_quality`.

    Raises:
        VideoError: if one cannot be read, or goes on for more than two frames after another ended.

    Example:
        >>> measure_gain("noisy.mp4", "denoised.mp4", "clean.mp4").psnr_after
        31.7
    """
    rows: list[list[float]] = []
    num_more, ended = 0, ""
    triples = itertools.zip_longest(*map(mended_frames, (before, after, reference)))
    for triple in show_progress(triples, "Measuring", num_frames):
        if None in triple:
            ended = ended or " and ".join(name for name, pair in zip(NAMES, triple, strict=True) if pair is None)
            num_more += 1
            if num_more > MOST_FRAMES_MORE:
                raise VideoError(
                    reference,
                    f"it cannot be compared: {ended} ended after {len(rows)} frames, and others go on; "
                    f"{os.fsdecode(after)!r} is whole; pass a reference with the same frames",
                )
        else:
            rows.append(_likeness(*(frame for _, frame in triple)))
    warning = None
    if num_more:
        warning = f"{ended} ended after {len(rows)} frames, {num_more} before the rest, of which these are not compared"
        logging.getLogger(__name__).warning("%s: %s.", os.fsdecode(reference), warning)
    psnr_before, psnr_after, ssim_before, ssim_after = np.mean(rows, axis=0).tolist()
    return QualityGain(psnr_before, psnr_after, ssim_before, ssim_after, warning)


def _likeness(before: np.ndarray, after: np.ndarray, wanted: np.ndarray) -> list[float]:
    height, width = wanted.shape[:2]
    if before.shape != wanted.shape:
        before = cv2.resize(before, (width, height), interpolation=cv2.INTER_CUBIC)
    return [float(measure(frame, wanted)) for measure in (psnr, ssim) for frame in (before, after)]

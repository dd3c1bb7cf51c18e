"""An anomaly curve in, a picture of it out: the score over time, and above it the least expected moments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle
from matplotlib.ticker import FuncFormatter

from sora_keras.apps.captions import clock_text, drawable_text
from sora_keras.apps.key_moment import read_frames
from sora_keras.apps.prediction_errors import FRAMES_UNTIL_JUDGED
from sora_keras.apps.video_anomalies import AnomalyCurve
from sora_keras.atomic import appearing_when_whole
from sora_keras.evaluation.frame_scores import runs

DOTS_PER_INCH = 110
MOMENTS_SHOWN = 2
_WIDTH_INCHES, _HEIGHT_INCHES = 11.0, 5.6
_APART_SHARE = 0.15  # of the video, so that two pictures do not show the same thing
_SCORE_COLOR, _BOX_COLOR, _ABNORMAL_COLOR = "#1f77b4", "#ffb000", "#e8b4b8"


def draw_anomalies(curve: AnomalyCurve, path: str | os.PathLike[str], abnormal: Any = None) -> None:
    """Draw the smoothed score over time with the raw one behind it, and the two moments at which it is highest.

    A box in each picture is the patch that was predicted worst.

    Args:
        curve: from `anomaly_scores`.
        path: PNG file to write; it appears when it is whole.
        abnormal: `bool (N,)`, which times somebody has labeled abnormal: these are shaded.

    Raises:
        ValueError: if there is not one label for each time.
        OSError: if the file cannot be written.
        VideoError: if the video is gone.

    Example:
        >>> draw_anomalies(curve, "anomalies.png", during_event(row, curve.times))
    """
    if abnormal is not None and np.shape(abnormal) != curve.times.shape:
        raise ValueError(f"expected {len(curve.times)} labels, one a time, received shape {np.shape(abnormal)}.")
    figure = Figure(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.07, 0.1, 0.9, 0.34))
    _draw_curve(axes, curve, abnormal)
    moments = unexpected_moments(curve)
    frames = read_frames(curve.path, curve.times[moments].tolist())
    for number, (moment, frame) in enumerate(zip(moments, frames, strict=True)):
        share = 0.9 / len(moments)
        inset = figure.add_axes((0.07 + share * number, 0.51, share, 0.38))
        _draw_frame(inset, frame, curve.boxes[moment])
        inset.set_title(clock_text(curve.times[moment], 1), fontsize=9, pad=3)
        below = (curve.times[moment], curve.normalized[moment])
        figure.add_artist(ConnectionPatch((0.5, 0), below, inset.transAxes, axes.transData, color="0.5", linewidth=0.8))
    title = f"{drawable_text(Path(curve.path).name, 80)}   {clock_text(curve.duration_seconds)}"
    figure.text(0.07, 0.98, title, fontsize=11, fontweight="bold", va="top", parse_math=False)
    with appearing_when_whole(path) as unfinished:
        figure.savefig(unfinished, format="png")


def unexpected_moments(curve: AnomalyCurve, most: int = MOMENTS_SHOWN) -> np.ndarray:
    """Choose the moments that are least expected, and apart from each other by 15 % of the video.

    Args:
        curve: from `anomaly_scores`.
        most: how many to choose.

    Returns:
        `int64 (M,)`, numbers of times, in order; fewer than `most` where there is no room for them.

    Example:
        >>> curve.times[unexpected_moments(curve)]
        array([3.45, 9.25])
    """
    left = curve.smoothed.copy()
    left[:FRAMES_UNTIL_JUDGED] = -np.inf  # nobody knows how unexpected these are
    chosen: list[int] = []
    while len(chosen) < most and np.isfinite(left.max()):
        chosen.append(int(left.argmax()))
        span = curve.times[-1] - curve.times[0]
        left[np.abs(curve.times - curve.times[chosen[-1]]) <= _APART_SHARE * span] = -np.inf
    return np.sort(np.array(chosen))


def _draw_curve(axes: Axes, curve: AnomalyCurve, abnormal: Any) -> None:
    spacing = np.median(np.diff(curve.times))
    if abnormal is not None:
        for first, end in runs(np.asarray(abnormal, bool)):
            label = "labeled abnormal" if first == runs(np.asarray(abnormal, bool))[0][0] else None
            axes.axvspan(
                curve.times[first] - spacing / 2, curve.times[end - 1] + spacing / 2, color=_ABNORMAL_COLOR, alpha=0.5,
                linewidth=0, label=label,
            )  # fmt: skip
    smoothed = curve.smoothed
    low, high = smoothed.min(), smoothed.max()
    raw = np.clip((curve.scores - low) / (high - low), 0, 1.15) if high > low else np.zeros(len(smoothed))
    axes.plot(curve.times, raw, color="0.72", linewidth=0.7, label="each frame")
    axes.plot(
        curve.times,
        curve.normalized,
        color=_SCORE_COLOR,
        linewidth=1.8,
        label=f"smoothed over {curve.smoothing_seconds:g} s",
    )
    axes.set(xlim=(0, max(curve.duration_seconds, curve.times[-1])), ylim=(0, 1.15), ylabel="how unexpected")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock_text(max(0.0, seconds))))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    if curve.error is not None:
        axes.axvspan(
            curve.times[-1], curve.duration_seconds, facecolor="0.93", edgecolor="0.7", hatch="//", linewidth=0
        )
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=3, fontsize=8, frameon=False)


def _draw_frame(axes: Axes, frame: np.ndarray, box: np.ndarray) -> None:
    """A picture with a box around the patch that was predicted worst."""
    axes.imshow(frame)
    height, width = frame.shape[:2]
    left, top, right, bottom = box * (width, height, width, height)
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=_BOX_COLOR, linewidth=1.8))
    axes.set_axis_off()

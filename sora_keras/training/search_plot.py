"""Trials in, a picture out: an axis for each value tried, and a line across them for each trial, colored by success."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

DOTS_PER_INCH = 120
INCHES_PER_AXIS = 1.15
WIDEST_RATIO_OF_A_LINEAR_AXIS = 10.0
MOST_TICKS = 6


def plot_trials(
    rows: Sequence[Mapping[str, Any]], values: Sequence[str], objective: str, path: str | os.PathLike[str]
) -> None:
    """Draw the trials of a search.

    The last axis is the objective; a trial that failed ends before it, dashed. The best line is the thick one.

    Args:
        rows: trials, the best first, as `sora_keras.training.trials_of` lists them.
        values: the keys to draw an axis of.
        objective: the key of what was searched for.
        path: PNG file to write.

    Raises:
        ValueError: if there is no trial.
    """
    if not rows:
        raise ValueError("rows must hold at least 1 trial to draw, received 0.")
    names = [name for name in values if any(row.get(name) is not None for row in rows)]
    figure = Figure(figsize=(INCHES_PER_AXIS * (len(names) + 2), 4.2), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    heights = np.stack([_draw_axis(axes, x, name, rows) for x, name in enumerate([*names, objective])], axis=1)
    scores = np.array([math.nan if row.get(objective) is None else row[objective] for row in rows], float)
    colors = ScalarMappable(Normalize(*_ends(scores)), "viridis")
    for number, (line, score) in reversed(list(enumerate(zip(heights, scores, strict=True)))):
        is_best, has_failed = number == 0 and math.isfinite(score), not math.isfinite(score)
        axes.plot(
            np.flatnonzero(np.isfinite(line)),
            line[np.isfinite(line)],
            color="0.6" if has_failed else colors.to_rgba(score),
            linestyle="--" if has_failed else "-",
            linewidth=3.5 if is_best else 1.3,
            marker="o",
            markersize=3,
        )
    axes.set_xticks(range(len(names) + 1), [*(name.replace("_", "\n") for name in names), objective], fontsize=8)
    axes.set(xlim=(-0.2, len(names) + 0.4), ylim=(-0.05, 1.05), yticks=[])
    axes.set_frame_on(False)
    axes.tick_params(length=0)
    figure.savefig(path, format="png", bbox_inches="tight", pad_inches=0.1)


def _draw_axis(axes: Axes, x: int, name: str, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Draw an axis with what it stands for, and return where on it each row is, 0 to 1, NaN where it is not."""
    received = [row.get(name) for row in rows]
    known = [value for value in received if value is not None]
    axes.axvline(x, color="0.8", zorder=0)
    if any(isinstance(value, (str, bool)) for value in known) or len(set(known)) <= MOST_TICKS:
        ticks = sorted(set(known), key=lambda value: (isinstance(value, str), value))
        places = {value: (index + 0.5) / len(ticks) for index, value in enumerate(ticks)}
        heights = np.array([places.get(value, math.nan) for value in received])
        marks = [(place, str(value) if isinstance(value, str) else f"{value:g}") for value, place in places.items()]
    else:
        numbers = np.array([math.nan if value is None else value for value in received], float)
        low, high = _ends(numbers)
        is_wide = low > 0 and high / low > WIDEST_RATIO_OF_A_LINEAR_AXIS
        scale = np.log if is_wide else np.asarray
        heights = (scale(numbers) - scale(low)) / (scale(high) - scale(low))
        marks = [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")]
    for height, text in marks:
        axes.text(x + 0.05, height, text, fontsize=7, va="center", color="0.3", parse_math=False)
    return heights


def _ends(numbers: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest number there is, not the same one."""
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return low, high if high > low else low + 1

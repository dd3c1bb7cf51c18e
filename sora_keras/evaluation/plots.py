"""Training histories, confusion matrices and mistakes to pictures, drawn off screen without pyplot's global state."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from sora_keras.evaluation.mistake import Mistake

DOTS_PER_INCH = 120
MOST_CLASSES_WITH_COUNTS = 20
MOST_CLASSES_WITH_NAMES = 150
FRAMES_PER_MISTAKE = 6
FRAME_WIDTH_PIXELS = 224
CAPTION_WIDTH_PIXELS = 1000
CAPTION_HEIGHT_PIXELS = 34


def plot_learning_curves(history: Mapping[str, Sequence[float]], path: str | os.PathLike[str]) -> None:
    """Draws loss and accuracy by epoch, the learning rate behind the loss, and marks the epoch of the lowest loss.

    Args:
        history: `History.history` of Keras: `loss`, and where recorded `val_loss`, `accuracy`, `val_accuracy` and
            `learning_rate`, one number an epoch.
        path: PNG file to write.

    Raises:
        ValueError: if there is no loss.
    """
    if not history.get("loss"):
        raise ValueError(f"history must hold the loss of at least 1 epoch under 'loss', received {sorted(history)}.")
    panels = ["loss", "accuracy"] if history.get("accuracy") else ["loss"]
    figure = _figure(5.6 * len(panels), 3.8)
    monitored = "val_loss" if history.get("val_loss") else "loss"
    best = _best_epoch(history[monitored])
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        if name == "loss" and history.get("learning_rate"):
            _draw_learning_rate(axes, history["learning_rate"])
        _draw_curve(axes, history, name, best)
    figure.set_layout_engine("constrained", wspace=0.08)
    if best is not None:
        figure.suptitle(f"lowest {monitored} {history[monitored][best - 1]:.3g} at epoch {best}", fontsize=10)
    _save(figure, path)


def _best_epoch(losses: Sequence[float]) -> int | None:
    finite = [(loss, epoch) for epoch, loss in enumerate(losses, start=1) if math.isfinite(loss)]
    return min(finite)[1] if finite else None


def _draw_curve(axes: Axes, history: Mapping[str, Sequence[float]], name: str, best_epoch: int | None) -> None:
    for key, label, color in ((name, "training", "tab:blue"), (f"val_{name}", "validation", "tab:orange")):
        if values := history.get(key):
            epochs, marker = range(1, len(values) + 1), "." if len(values) < 40 else ""
            axes.plot(epochs, values, marker=marker, color=color, label=label)
    if best_epoch is not None:
        axes.axvline(best_epoch, color="0.5", linestyle="--", linewidth=1, zorder=0, label="best epoch")
    axes.set(xlabel="epoch", ylabel=name, xlim=(0.5, len(history[name]) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _draw_learning_rate(axes: Axes, rates: Sequence[float]) -> None:
    right = axes.twinx()
    right.step(range(1, len(rates) + 1), rates, where="mid", color="tab:green", linewidth=1, alpha=0.6)
    if min(rates) > 0:
        right.set_yscale("log")
    right.set_ylabel("learning rate", color="tab:green", fontsize=8)
    right.tick_params(colors="tab:green", labelsize=8, which="both")


def plot_confusion_matrix(matrix: np.ndarray, class_names: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Draws a confusion matrix: colors are shares of the true class, and up to 20 classes the cells show counts.

    The colors grow with the root of the share, so that rare confusions show. Over 150 classes go without their names.

    Args:
        matrix: counts `(K, K)`; rows are true classes, columns predicted ones.
        class_names: K names.
        path: PNG file to write.

    Raises:
        ValueError: if the matrix is not `(K, K)`.
    """
    matrix, num_classes = np.asarray(matrix), len(class_names)
    if matrix.shape != (num_classes, num_classes):
        raise ValueError(
            f"matrix must have shape ({num_classes}, {num_classes}) for {num_classes} class names, received "
            f"{matrix.shape}."
        )
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side_inches = min(max(2.2, 0.5 * num_classes), max(10, 0.15 * num_classes), 22)
    figure = _figure(side_inches + 2.6, side_inches + 1.8)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    bar = figure.colorbar(
        image, ax=axes, shrink=0.8, aspect=5 * side_inches, format=PercentFormatter(1), label="share of the true class"
    )
    bar.outline.set_visible(False)
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1])
    _name_classes(axes, class_names, side_inches / num_classes)
    if num_classes <= MOST_CLASSES_WITH_COUNTS:
        _write_counts(axes, matrix, shares)
    _save(figure, path)


def _name_classes(axes: Axes, class_names: Sequence[str], cell_inches: float) -> None:
    names = [_drawable(name, 28) for name in class_names]
    font_size = 9 if cell_inches > 0.3 else 7
    positions: Sequence[int] = range(len(names))
    if len(names) > MOST_CLASSES_WITH_NAMES:
        positions, names = [], []
    widest_inches = 0.01 * font_size * max(map(len, names), default=0)
    axes.set_xticks(positions, names, rotation=0 if widest_inches < cell_inches else 90)
    axes.set_yticks(positions, names)
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set(fontsize=font_size, parse_math=False)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.tick_params(length=0)


def _write_counts(axes: Axes, matrix: np.ndarray, shares: np.ndarray) -> None:
    font_size = 9 if matrix.max() < 100_000 else 7
    for row, column in np.ndindex(matrix.shape):
        color = "white" if shares[row, column] > 0.3 else "black" if matrix[row, column] else "0.7"
        axes.text(column, row, matrix[row, column], ha="center", va="center", color=color, fontsize=font_size)


def plot_mistakes(mistakes: Sequence[Mistake], path: str | os.PathLike[str]) -> None:
    """Draws a contact sheet: a row for each mistake, up to 6 of its frames under what it is and what it was taken for.

    Args:
        mistakes: from `Evaluation.mistakes`.
        path: PNG file to write.

    Raises:
        ValueError: if there are no mistakes.
    """
    if not mistakes:
        raise ValueError("mistakes must hold at least 1 mistake to draw, received 0.")
    strips = [_strip(mistake.frames) for mistake in mistakes]
    width = max(CAPTION_WIDTH_PIXELS, *(strip.shape[1] for strip in strips))
    height = sum(strip.shape[0] + CAPTION_HEIGHT_PIXELS for strip in strips)
    figure = _figure(width / DOTS_PER_INCH, height / DOTS_PER_INCH, layout=None)
    top = height
    for strip, mistake in zip(strips, mistakes, strict=True):
        figure.text(0, (top - CAPTION_HEIGHT_PIXELS + 8) / height, _caption(mistake), fontsize=9, parse_math=False)
        top -= CAPTION_HEIGHT_PIXELS + strip.shape[0]
        axes = figure.add_axes((0, top / height, strip.shape[1] / width, strip.shape[0] / height))
        axes.imshow(strip, aspect="auto")
        axes.set_axis_off()
    _save(figure, path)


def _strip(frames: np.ndarray) -> np.ndarray:
    """Up to 6 evenly spread frames side by side, all strips as wide per frame: `(T, H, W, 3)` -> `(H', W', 3)`."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(len(frames), FRAMES_PER_MISTAKE)).round().astype(int)]
    height = max(1, round(FRAME_WIDTH_PIXELS * frames.shape[1] / frames.shape[2]))
    pixels = [np.clip(frame, 0, 255).astype(np.uint8) for frame in chosen]
    smoothing = cv2.INTER_AREA if frames.shape[2] > FRAME_WIDTH_PIXELS else cv2.INTER_CUBIC
    resized = [cv2.resize(frame, (FRAME_WIDTH_PIXELS, height), interpolation=smoothing) for frame in pixels]
    return np.concatenate([np.pad(frame, ((0, 0), (0, 4), (0, 0)), constant_values=255) for frame in resized], axis=1)


def _caption(mistake: Mistake) -> str:
    names = f"{_drawable(mistake.true_name, 40)} \N{RIGHTWARDS ARROW} {_drawable(mistake.predicted_name, 40)}"
    file_name = "" if mistake.path is None else "   " + _drawable(Path(mistake.path).name, 60)
    return f"{names} (p={mistake.probability:.2f}){file_name}"


def _drawable(text: str, longest: int) -> str:
    """Text that fits and that no font refuses: file names may hold bytes that are no characters."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _figure(width_inches: float, height_inches: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    figure = Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    figure.savefig(path, format="png", bbox_inches="tight", pad_inches=0.1)

"""A timeline in, a picture of it out: key frames, and below them each label's score and segments over time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from sora_keras.apps.captions import clock_text, drawable_text
from sora_keras.apps.key_moment import KeyMoment, read_frames
from sora_keras.apps.timeline import Timeline
from sora_keras.atomic import appearing_when_whole

DOTS_PER_INCH = 110
FRAMES_SHOWN = 8
MOST_LABELS = 16
_WIDTH_INCHES, _LEFT_INCHES, _RIGHT_INCHES = 13.0, 1.7, 0.6
_TITLE_INCHES, _CAPTION_INCHES, _BETWEEN_INCHES, _BELOW_INCHES, _LANE_INCHES = 0.34, 0.36, 0.3, 0.34, 0.34
_SCORE_HEIGHT = 0.86  # of a lane, for a score of 1
_COLORS = ("#1f77b4", "#d95f02", "#2ca02c", "#c2185b", "#7e57c2", "#8c6d1f", "#0097a7", "#5d6d7e")
_MOST_POINTS = 2000
_MOST_TICKS = 14
_SECONDS_BETWEEN_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)


def draw_timeline(timeline: Timeline, path: str | os.PathLike[str], moments: Sequence[KeyMoment] = ()) -> None:
    """Draw each label's score over time, its segments as bars behind the score, and key frames on top.

    Dotted lines are thresholds, the numbers on the right the probabilities that a label holds anywhere in the video. Of
    more than 16 labels of a vocabulary, those that hold somewhere come first, then the most probable ones.

    Args:
        timeline: from `understand`.
        path: PNG file to write; it appears when it is whole.
        moments: from `key_moments`, of which the first 8 are shown; without any, frames spread over the video are.

    Raises:
        OSError: if the file cannot be written.
        VideoError: if there are no moments and the video is gone.

    Example:
        >>> draw_timeline(timeline, "timeline.png", key_moments(timeline))
    """
    pictures = _pictures(timeline, moments)
    lanes = [lane for vocabulary in timeline.vocabularies for lane in _lanes(timeline, vocabulary)]
    inside_inches = _WIDTH_INCHES - _LEFT_INCHES - _RIGHT_INCHES
    rows, columns = pictures[0][3].shape[:2]
    frame_inches = min(0.95 * inside_inches / FRAMES_SHOWN * rows / columns, 1.4)
    lanes_inches = _LANE_INCHES * len(lanes)
    below_frames = _BETWEEN_INCHES + lanes_inches + _BELOW_INCHES
    height_inches = _TITLE_INCHES + _CAPTION_INCHES + frame_inches + below_frames
    figure = Figure(figsize=(_WIDTH_INCHES, height_inches), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    inch = np.array([1 / _WIDTH_INCHES, 1 / height_inches])
    left, bottom = np.array([_LEFT_INCHES, _BELOW_INCHES]) * inch
    axes = figure.add_axes((left, bottom, *(np.array([inside_inches, lanes_inches]) * inch)))
    colors = {lane: _COLORS[number % len(_COLORS)] for number, lane in enumerate(lanes)}
    _draw_lanes(axes, timeline, lanes, colors)
    _mark_time(axes, timeline)
    for number, (seconds, vocabulary, label, frame) in enumerate(pictures):
        center = _LEFT_INCHES + inside_inches * (number + 0.5) / len(pictures)
        width = frame_inches * columns / rows
        place = (*(np.array([center - width / 2, below_frames]) * inch), *(np.array([width, frame_inches]) * inch))
        inset = figure.add_axes(place)
        inset.imshow(frame, aspect="auto")
        inset.set_axis_off()
        caption = f"{drawable_text(label, 18)}\n{clock_text(seconds, 1)}".strip()
        inset.set_title(caption, fontsize=8, pad=3, color=colors.get((vocabulary, label), "0.2"), parse_math=False)
        _connect(figure, inset, axes, seconds)
    title = f"{drawable_text(Path(timeline.path).name, 80)}   {clock_text(timeline.duration_seconds)}"
    figure.text(left, 1 - 0.1 * inch[1], title, fontsize=11, fontweight="bold", va="top", parse_math=False)
    with appearing_when_whole(path) as unfinished:
        figure.savefig(unfinished, format="png")


def _pictures(timeline: Timeline, moments: Sequence[KeyMoment]) -> list[tuple[float, str, str, np.ndarray]]:
    """Time, vocabulary, label and frame of each picture on top, in order of time; no label where nothing happens."""
    if moments:
        shown = sorted(moments[:FRAMES_SHOWN], key=lambda moment: moment.seconds)
        return [(moment.seconds, moment.vocabulary, moment.segment.label, moment.frame) for moment in shown]
    spread = np.linspace(0, len(timeline.times) - 1, min(FRAMES_SHOWN, len(timeline.times))).round().astype(int)
    seconds = timeline.times[spread].tolist()
    return [(time, "", "", frame) for time, frame in zip(seconds, read_frames(timeline.path, seconds), strict=True)]


def _lanes(timeline: Timeline, vocabulary: str) -> list[tuple[str, str | None]]:
    """Vocabulary and label of each lane, from top to bottom; where there is no label, the vocabulary's name stands."""
    labels = timeline.vocabularies[vocabulary]
    held = {segment.label for segment in timeline.segments[vocabulary]}
    order = sorted(
        range(len(labels)), key=lambda index: (labels[index] not in held, -timeline.clip_scores[vocabulary][index])
    )
    shown = {labels[index] for index in order[:MOST_LABELS]}
    heading = [(vocabulary, None)] if len(timeline.vocabularies) > 1 or len(labels) > len(shown) else []
    return heading + [(vocabulary, label) for label in labels if label in shown]


def _draw_lanes(
    axes: Axes,
    timeline: Timeline,
    lanes: Sequence[tuple[str, str | None]],
    colors: Mapping[tuple[str, str | None], str],
) -> None:
    names, probabilities, centers = [], [], []
    for number, (vocabulary, label) in enumerate(lanes):
        base = len(lanes) - number - 1
        if label is None:
            hidden = len(timeline.vocabularies[vocabulary]) - sum(lane[0] == vocabulary for lane in lanes) + 1
            heading = drawable_text(vocabulary, 40) + (f"   ({hidden} labels more)" if hidden else "")
            axes.text(
                0, base + 0.25, heading, fontsize=9, color="0.35", fontweight="bold", parse_math=False,
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
            continue
        _draw_lane(axes, timeline, vocabulary, label, base, colors[vocabulary, label])
        column = timeline.vocabularies[vocabulary].index(label)
        names.append(drawable_text(label, 24))
        probabilities.append(f"{timeline.clip_scores[vocabulary][column]:.2f}")
        centers.append(base + 0.45)
    axes.set_ylim(0, len(lanes))
    axes.set_yticks(centers, names)
    for text in axes.get_yticklabels():
        text.set(fontsize=9, parse_math=False)
    for center, probability in zip(centers, probabilities, strict=True):
        axes.text(
            1.008, center, probability, fontsize=8, color="0.35", va="center", transform=axes.get_yaxis_transform()
        )
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_lane(axes: Axes, timeline: Timeline, vocabulary: str, label: str, base: float, color: str) -> None:
    column = timeline.vocabularies[vocabulary].index(label)
    spans = [
        (segment.start_seconds, segment.end_seconds - segment.start_seconds)
        for segment in timeline.segments[vocabulary]
        if segment.label == label
    ]
    axes.broken_barh(spans, (base, 0.96), facecolors=color, alpha=0.28, linewidth=0)
    times, scores = _thinned(timeline.times, timeline.frame_scores[vocabulary][:, column])
    axes.fill_between(times, base, base + _SCORE_HEIGHT * scores, color=color, alpha=0.75, linewidth=0)
    threshold = base + _SCORE_HEIGHT * timeline.thresholds[vocabulary][column]
    axes.axhline(threshold, color="0.4", linewidth=0.6, linestyle=(0, (1, 4)))
    axes.axhline(base, color="0.8", linewidth=0.6)


def _thinned(times: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As many points as can be told apart, each the highest score of those it stands for."""
    starts = np.arange(0, len(times), -(-len(times) // _MOST_POINTS))
    return times[starts], np.maximum.reduceat(scores, starts)


def _mark_time(axes: Axes, timeline: Timeline) -> None:
    axes.set_xlim(0, timeline.duration_seconds)
    ticks = (seconds for seconds in _SECONDS_BETWEEN_TICKS if timeline.duration_seconds / seconds <= _MOST_TICKS)
    seconds_between_ticks = next(ticks, timeline.duration_seconds / _MOST_TICKS)
    decimals = 1 if seconds_between_ticks < 1 else 0
    axes.xaxis.set_major_locator(MultipleLocator(seconds_between_ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock_text(max(0.0, seconds), decimals)))
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", alpha=0.2)
    if timeline.error is not None:
        unread = float(timeline.times[-1])
        axes.axvspan(unread, timeline.duration_seconds, facecolor="0.93", edgecolor="0.7", hatch="//", linewidth=0)
        axes.text(
            unread, 0.97, " cannot be read", fontsize=8, color="0.35", va="top", transform=axes.get_xaxis_transform()
        )


def _connect(figure: Figure, inset: Axes, axes: Axes, seconds: float) -> None:
    """A line from a picture down to its time."""
    top = axes.get_ylim()[1]
    line = ConnectionPatch((0.5, 0), (seconds, top), inset.transAxes, axes.transData, color="0.55", linewidth=0.8)
    figure.add_artist(line)
    axes.axvline(seconds, color="0.55", linewidth=0.6, alpha=0.6)

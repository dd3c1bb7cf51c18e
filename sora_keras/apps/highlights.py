"""Key moments in, a summary of the video out: a contact sheet, and a video of them alone."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sora_keras.apps.captions import clock_text, drawable_text
from sora_keras.apps.key_moment import KeyMoment
from sora_keras.apps.timeline import Timeline
from sora_keras.atomic import appearing_when_whole
from sora_keras.video.cutting import cut_video

DOTS_PER_INCH = 100
_COLUMNS = 4
_CAPTION_PIXELS, _GAP_PIXELS = 46, 8
_LONGEST_LABEL = 30
_HIGHLIGHT_ROWS = 720


def draw_key_moments(moments: Sequence[KeyMoment], path: str | os.PathLike[str]) -> None:
    """Draw a contact sheet: the frame of each moment, in order of time, over its label, time and score.

    Args:
        moments: from `key_moments`.
        path: JPEG or PNG file to write; it appears when it is whole.

    Raises:
        ValueError: if there are no moments.
        OSError: if the file cannot be written.

    Example:
        >>> draw_key_moments(key_moments(timeline), "key_moments.jpg")
    """
    if not moments:
        raise ValueError("`moments` must hold at least 1 moment to draw, received 0.")
    columns = min(_COLUMNS, len(moments))
    frame_height, frame_width = moments[0].frame.shape[:2]
    cell_height, cell_width = frame_height + _CAPTION_PIXELS, max(frame_width, 200) + _GAP_PIXELS
    height, width = math.ceil(len(moments) / columns) * cell_height, columns * cell_width + _GAP_PIXELS
    figure = Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    for number, moment in enumerate(sorted(moments, key=lambda moment: moment.seconds)):
        row, column = divmod(number, columns)
        left, top = _GAP_PIXELS + column * cell_width, height - _GAP_PIXELS - row * cell_height
        place = (left / width, (top - frame_height) / height, frame_width / width, frame_height / height)
        axes = figure.add_axes(place)
        axes.imshow(moment.frame, aspect="auto")
        axes.set_axis_off()
        name = drawable_text(moment.segment.label, _LONGEST_LABEL)
        below = (top - frame_height - 4) / height
        figure.text(left / width, below, name, fontsize=10, fontweight="bold", va="top", parse_math=False)
        figure.text(
            left / width, below - 17 / height, f"{clock_text(moment.seconds, 1)}   {moment.segment.score:.2f}",
            fontsize=9, color="0.35", va="top",
        )  # fmt: skip
    with appearing_when_whole(path) as unfinished:
        figure.savefig(unfinished)


def write_highlights(
    timeline: Timeline, moments: Sequence[KeyMoment], path: str | os.PathLike[str], seconds_a_moment: float = 4.0
) -> None:
    """Cut the key moments out of the video and write them one after the other, in order of time, with their sound.

    Args:
        timeline: the timeline.
        moments: from `key_moments`; those that overlap are shown as one.
        path: `.mp4`, `.mov` or `.mkv` file to write; it appears when it is whole.
        seconds_a_moment: how much to show of a segment that lasts longer, around its surest time.

    Raises:
        ValueError: if there are no moments, or `seconds_a_moment` is not positive.
        VideoError: if the video cannot be read, or the file cannot be written.

    Example:
        >>> write_highlights(timeline, key_moments(timeline), "highlights.mp4")
    """
    if not seconds_a_moment > 0:
        raise ValueError(f"`seconds_a_moment` must be positive, received {seconds_a_moment!r}.")
    cut_video(timeline.path, _parts(timeline, moments, seconds_a_moment), path, most_rows=_HIGHLIGHT_ROWS)


def _parts(timeline: Timeline, moments: Sequence[KeyMoment], seconds_a_moment: float) -> list[tuple[float, float]]:
    """What to show: each moment's segment with a little before and after it, or so much of it around the moment."""
    margin = seconds_a_moment / 8
    video_end = timeline.duration_seconds if timeline.error is None else float(timeline.times[-1])
    parts: list[tuple[float, float]] = []
    for moment in sorted(moments, key=lambda moment: moment.seconds):
        start = max(0.0, moment.segment.start_seconds - margin, moment.seconds - seconds_a_moment / 2)
        end = min(video_end, moment.segment.end_seconds + margin, moment.seconds + seconds_a_moment / 2)
        if parts and start <= parts[-1][1]:
            start, end = parts[-1][0], max(end, parts.pop()[1])
        parts.append((start, end))
    return parts

"""Findings of an audit in, a picture of their videos side by side out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sora_keras.atomic import appearing_when_whole
from sora_keras.data.audit import Finding
from sora_keras.data.manifest import Row
from sora_keras.video import ClipSpec, VideoError, probe, read_clip

FRAMES_A_VIDEO = 3
FRAME_HEIGHT = 120
FRAME_WIDTH = 160
CAPTION_HEIGHT = 58
DOTS_PER_INCH = 100
_GAP = 24
_LONGEST_NAME = 60


def draw_findings(findings: Sequence[Finding], path: str | os.PathLike[str], most: int = 12) -> None:
    """Draw the two videos of each finding side by side, three frames of each, under what was found.

    Those that look alike come first: of a group or a file there is less to see.

    Args:
        findings: from `Audit.findings`, the worst first.
        path: JPEG or PNG file to write.
        most: how many to draw.

    Raises:
        ValueError: if there are no findings.

    Example:
        >>> draw_findings(audit.findings, "leaks.jpg")
    """
    if not findings:
        raise ValueError("`findings` must hold at least 1 finding to draw, received 0.")
    drawn = sorted(findings, key=lambda finding: finding.distance is None)[:most]
    width = 2 * FRAMES_A_VIDEO * FRAME_WIDTH + _GAP
    height = len(drawn) * (CAPTION_HEIGHT + FRAME_HEIGHT)
    figure = Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    for number, finding in enumerate(drawn):
        top = height - number * (CAPTION_HEIGHT + FRAME_HEIGHT)
        figure.text(0.004, (top - 24) / height, f"{finding.kind}: {finding.detail}", fontsize=9, parse_math=False)
        for row, side, left in zip(finding.rows, finding.sides, (0, (width + _GAP) // 2), strict=True):
            name = _caption(row, side)
            figure.text(left / width + 0.004, (top - 46) / height, name, fontsize=8, color="0.35", parse_math=False)
            bottom, strip_width = (top - CAPTION_HEIGHT - FRAME_HEIGHT) / height, (width - _GAP) / 2 / width
            axes = figure.add_axes((left / width, bottom, strip_width, FRAME_HEIGHT / height))
            axes.imshow(_strip(row), aspect="auto")
            axes.set_axis_off()
    with appearing_when_whole(path) as unfinished:
        figure.savefig(unfinished)


def _strip(row: Row) -> np.ndarray:
    """Three frames spread over the video side by side, `uint8 (H, W, 3)`; gray where it cannot be read."""
    strip = np.full((FRAME_HEIGHT, FRAMES_A_VIDEO * FRAME_WIDTH, 3), 230, np.uint8)
    try:
        info = probe(row.path)
        width = max(1, min(FRAME_WIDTH, round(FRAME_HEIGHT * info.width / info.height)))
        clip_spec = ClipSpec(FRAMES_A_VIDEO, max(1, min(FRAME_HEIGHT, round(width * info.height / info.width))), width)
        clip = read_clip(row.path, clip_spec, start_seconds=row.start_seconds, end_seconds=row.end_seconds)
    except VideoError:  # the audit names it among its faults
        return strip
    for number, frame in enumerate(clip.frames):
        strip[: clip_spec.height, number * FRAME_WIDTH : number * FRAME_WIDTH + clip_spec.width] = frame
    return strip


def _caption(row: Row, side: str) -> str:
    name = _drawable(os.path.join(*Path(row.path).parts[-2:]))
    return name if side == row.path else f"{name}  ({_drawable(side)})"


def _drawable(text: str) -> str:
    """Text that fits and that no font refuses: file names may hold bytes that are no characters."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _LONGEST_NAME else "\N{HORIZONTAL ELLIPSIS}" + text[1 - _LONGEST_NAME :]

"""A timeline in, files of it out: JSON, subtitles, a table, pictures, a summary of the video."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

from sora_keras.apps.highlights import draw_key_moments, write_highlights
from sora_keras.apps.key_moment import key_moments
from sora_keras.apps.timeline import Timeline
from sora_keras.apps.timeline_plot import draw_timeline
from sora_keras.atomic import appearing_when_whole

_CSV_COLUMNS = ("path", "vocabulary", "label", "start_seconds", "end_seconds", "score")
_VTT_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def write_timeline(timeline: Timeline, to: str | os.PathLike[str]) -> None:
    """Write a timeline in every form, each file appearing once it is whole.

    `timeline.json` (all of it), `timeline.vtt` (subtitles), `timeline.csv` (the segments, read back by
    `sora_keras.data.read_events`), `timeline.png` (scores, segments and key frames over time), and where there is any
    segment `key_moments.jpg` (a contact sheet) and `highlights.mp4` (the key moments one after the other).

    Args:
        timeline: from `understand`.
        to: the folder, made where it is missing. Files of these names are replaced, or removed where there is no
            segment.

    Raises:
        OSError: if they cannot be written.
        VideoError: if the video has become unreadable.

    Example:
        >>> write_timeline(understand("street.mp4", model), "street")
    """
    folder = Path(to)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(timeline, folder / "timeline.json")
    write_subtitles(timeline, folder / "timeline.vtt")
    write_segments(timeline, folder / "timeline.csv")
    moments = key_moments(timeline)
    draw_timeline(timeline, folder / "timeline.png", moments)
    if moments:
        draw_key_moments(moments, folder / "key_moments.jpg")
        write_highlights(timeline, moments, folder / "highlights.mp4")
    else:
        for name in ("key_moments.jpg", "highlights.mp4"):
            (folder / name).unlink(missing_ok=True)


def write_json(timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Write all of a timeline as JSON, a line for each segment and each vocabulary's frame scores.

    Times and scores are rounded to a thousandth.

    Args:
        timeline: the timeline.
        path: the file.

    Raises:
        OSError: if it cannot be written.

    Example:
        >>> write_json(timeline, "timeline.json")
    """
    document: dict[str, Any] = {
        "path": timeline.path,
        "duration_seconds": round(timeline.duration_seconds, 3),
        "error": timeline.error,
        "vocabularies": timeline.vocabularies,
        "thresholds": timeline.thresholds,
        "clip_scores": {
            vocabulary: dict(zip(labels, _rounded(timeline.clip_scores[vocabulary]), strict=True))
            for vocabulary, labels in timeline.vocabularies.items()
        },
        "segments": [
            {
                "vocabulary": vocabulary,
                "label": segment.label,
                "start_seconds": round(segment.start_seconds, 3),
                "end_seconds": round(segment.end_seconds, 3),
                "score": round(segment.score, 3),
            }
            for vocabulary, segment in timeline.all_segments
        ],
        "times": _rounded(timeline.times),
        "frame_scores": {
            vocabulary: {label: _rounded(timeline.scores_of(vocabulary, label)) for label in labels}
            for vocabulary, labels in timeline.vocabularies.items()
        },
    }
    with appearing_when_whole(path) as unfinished:
        unfinished.write_text(_readable(document), encoding="utf-8")


def write_subtitles(timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Write a timeline's segments as WebVTT subtitles, which a player shows beside the video.

    Each cue says the label, behind its vocabulary's name where there are several, and the score.

    Args:
        timeline: the timeline.
        path: the file.

    Raises:
        OSError: if it cannot be written.

    Example:
        >>> write_subtitles(timeline, "street.vtt")

    Reference:
        WebVTT: The Web Video Text Tracks Format, https://www.w3.org/TR/webvtt1/
    """
    cues = ["WEBVTT"]
    for vocabulary, segment in timeline.all_segments:
        name = segment.label if len(timeline.vocabularies) == 1 else f"{vocabulary}: {segment.label}"
        text = "".join(_VTT_ESCAPES.get(character, character) for character in name)
        start = round(1000 * segment.start_seconds)
        end = max(start + 1, round(1000 * segment.end_seconds))  # a cue must end after it begins
        cues.append(f"{_vtt_time(start)} --> {_vtt_time(end)}\n{text} ({segment.score:.2f})")
    with appearing_when_whole(path) as unfinished:
        unfinished.write_text("\n\n".join(cues) + "\n", encoding="utf-8")


def write_segments(timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Write a timeline's segments as a table of events, which can be corrected, read back, and trained on.

    Of a vocabulary of which nothing happens, a line says so: it has neither label nor times.

    Args:
        timeline: the timeline.
        path: the CSV file; the video's path in it is relative to its folder where it lies below it.

    Raises:
        OSError: if it cannot be written.

    Example:
        >>> write_segments(timeline, "street.csv")
    """
    folder, video = Path(path).absolute().parent, Path(timeline.path).absolute()
    place = video.relative_to(folder) if video.is_relative_to(folder) else video
    with (
        appearing_when_whole(path) as unfinished,
        open(unfinished, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_CSV_COLUMNS)
        for vocabulary, segment in timeline.all_segments:
            times = (f"{seconds:.3f}" for seconds in (segment.start_seconds, segment.end_seconds))
            writer.writerow([place, vocabulary, segment.label, *times, f"{segment.score:.3f}"])
        for vocabulary, segments in timeline.segments.items():
            if not segments:
                writer.writerow([place, vocabulary, "", "", "", ""])


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 3) for value in values]


def _readable(document: dict[str, Any]) -> str:
    """JSON with a line for each entry and, where an entry has parts, for each of these."""
    lines = []
    for key, value in document.items():
        if isinstance(value, dict):
            parts = [f"{json.dumps(name)}: {json.dumps(part)}" for name, part in value.items()]
        else:
            parts = [json.dumps(part) for part in value] if key == "segments" else []
        brackets = "{}" if isinstance(value, dict) else "[]"
        text = f"{brackets[0]}\n    " + ",\n    ".join(parts) + f"\n  {brackets[1]}" if parts else json.dumps(value)
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _vtt_time(milliseconds: int) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds:03}"

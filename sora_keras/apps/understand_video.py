"""A video and a model in, what happens when, in files of several kinds, out."""

from __future__ import annotations

import os

from sora_keras.apps.timeline import Timeline, timeline_of
from sora_keras.apps.timeline_files import write_timeline
from sora_keras.apps.video_scores import score_video
from sora_keras.models import SoraUnderstanding


def understand(
    video: str | os.PathLike[str],
    model: SoraUnderstanding,
    to: str | os.PathLike[str] | None = None,
    minimum_seconds: float = 0.5,
    seconds_between_windows: float | None = None,
) -> Timeline:
    """Tell what happens when in a video of any length, in bounded memory.

    Args:
        video: the video file.
        model: the model; its `thresholds` decide from which probability on a label holds.
        to: folder to write the timeline to in every form, see `write_timeline`; `None` writes nothing.
        minimum_seconds: shorter segments are left out, unless they last as long as the video.
        seconds_between_windows: see `score_video`.

    Returns:
        The timeline. Of a video that breaks off, what was seen up to there, with the `error`.

    Raises:
        VideoError: if nothing of the video can be read.
        ValueError: if `minimum_seconds` or `seconds_between_windows` is out of its range.
        OSError: if the files cannot be written.

    Example:
        >>> model = SoraUnderstanding.from_preset("saved_models/street")
        >>> for segment in understand("street.mp4", model, to="street").segments["event"]:
        ...     print(f"{segment.start_seconds:6.1f} s  {segment.label}")
          12.5 s  walk
    """
    if not minimum_seconds >= 0:
        raise ValueError(f"`minimum_seconds` must be at least 0, received {minimum_seconds!r}.")
    if to is not None:
        os.makedirs(to, exist_ok=True)
    timeline = timeline_of(video, score_video(video, model, seconds_between_windows), model, minimum_seconds)
    if to is not None:
        write_timeline(timeline, to)
    return timeline

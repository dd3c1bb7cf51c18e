"""A video of any length in, where somebody is in it and how many (`PeopleTrack`) out."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sora_keras.atomic import appearing_when_whole
from sora_keras.evaluation.segments import LOW_THRESHOLD_SHARE, Segment, segments_from_scores
from sora_keras.progress import show_progress
from sora_keras.video import Clip, ClipSpec, VideoError, VideoInfo, probe, read_windows
from sora_keras.video.person_detection import INPUT_SIDE, detect_people, tile_share

LABEL = "somebody"


@dataclasses.dataclass(frozen=True, eq=False)
class PeopleTrack:
    """The people in a video, at each of the times that were looked at.

    Args:
        path: the video file.
        duration_seconds: how long it is, by its header.
        times: `float64 (N,)`, seconds since the video's first frame.
        seconds_between_frames: from one of these times to the next; the last one may come sooner.
        minimum_score: how sure a detection had to be.
        boxes: for each time those of P people, `float32 (P, 4)`: left, top, right and bottom as shares of the frame's
            width and height.
        scores: for each time how sure these are, `float32 (P,)`, from high to low.
        best_scores: `float32 (N,)`, the surest detection's score, also where it misses `minimum_score`; 0 for none.
        error: why the video cannot be read any farther than `times` go; `None` if it was read to its end.
    """

    path: str
    duration_seconds: float
    times: np.ndarray
    seconds_between_frames: float
    minimum_score: float
    boxes: list[np.ndarray]
    scores: list[np.ndarray]
    best_scores: np.ndarray
    error: str | None = None

    @property
    def counts(self) -> np.ndarray:
        """How many people there are at each time, `int64 (N,)`."""
        return np.array([len(scores) for scores in self.scores], np.int64)

    def presence(self, minimum_seconds: float = 0.0) -> list[Segment]:
        """When somebody is there: begun by a detection, held on by fainter ones (down to 0.6 of `minimum_score`).

        Args:
            minimum_seconds: shorter stretches are left out.

        Returns:
            Segments with the label "somebody", in the order of time.

        Raises:
            ValueError: if `minimum_seconds` is negative.

        Example:
            >>> [(segment.start_seconds, segment.end_seconds) for segment in find_people("shop.mp4").presence()]
            [(6.5, 21.5), (23.5, 33.5)]
        """
        segments = segments_from_scores(
            self.best_scores, self.times, LABEL, self.minimum_score, None, minimum_seconds, self.seconds_between_frames
        )
        return [
            # The first time stands for all that comes before it.
            Segment(
                LABEL,
                segment.start_seconds if segment.start_seconds > self.times[0] else 0.0,
                min(segment.end_seconds, self.duration_seconds),
                segment.score,
            )
            for segment in segments
        ]


def find_people(
    path: str | os.PathLike[str], seconds_between_frames: float = 1.0, minimum_score: float = 0.4, zoom: int = 3
) -> PeopleTrack:
    """Look for people in a video, a frame every now and then, holding one frame at a time.

    Each frame is looked at by itself with `sora_keras.video.person_detection.detect_people`: who somebody is, and
    whether it is the same person as a second ago, is not told.

    Args:
        path: the video file.
        seconds_between_frames: from one look to the next.
        minimum_score: how sure a detection must be, above 0 and up to 1.
        zoom: 1 is fastest and finds people from about a fifth of the frame's height; 2 finds smaller ones, too, and
            takes about 7 times as long, 3 about 22 times (half a second a frame on one core).

    Returns:
        The track. Of a video that breaks off what comes before, with the `error`, and a warning.

    Raises:
        VideoError: if no frame can be read.
        ValueError: if a number is out of range.

    Example:
        >>> track = find_people("shop.mp4")
        >>> track.counts[:5]
        array([0, 0, 1, 1, 2])
    """
    if not (math.isfinite(seconds_between_frames) and seconds_between_frames > 0):
        raise ValueError(f"`seconds_between_frames` must be a positive number, received {seconds_between_frames!r}.")
    if not 0 < minimum_score <= 1:
        raise ValueError(f"`minimum_score` must be above 0 and at most 1, received {minimum_score!r}.")
    info, name = probe(path), os.path.basename(os.fsdecode(path))
    num_frames = max(1, math.ceil(info.duration_seconds / seconds_between_frames))
    clips = _Frames(path, _spec(info, seconds_between_frames, zoom))
    times, boxes, scores, best_scores = [], [], [], []
    for clip in show_progress(clips, f"Looking for people in {name}", num_frames):
        frame_boxes, frame_scores = detect_people(clip.frames[0], LOW_THRESHOLD_SHARE * minimum_score, zoom)
        is_sure = frame_scores >= minimum_score
        times.append(float(clip.times[0]))
        boxes.append(frame_boxes[is_sure])
        scores.append(frame_scores[is_sure])
        best_scores.append(frame_scores.max(initial=0.0))
    if clips.error is not None:
        logging.getLogger(__name__).warning("%s; what comes before was looked at.", clips.error)
    return PeopleTrack(
        os.fsdecode(path), info.duration_seconds, np.array(times), seconds_between_frames, minimum_score, boxes, scores,
        np.array(best_scores, np.float32), None if clips.error is None else clips.error.reason,
    )  # fmt: skip


def write_people(track: PeopleTrack, to: str | os.PathLike[str]) -> None:
    """Write `people.csv`, a row for each time, and `people.json`, with boxes and the stretches of presence.

    Args:
        track: from `find_people`.
        to: the folder, made where it is missing. Files of these names are replaced, each once it is whole.

    Raises:
        OSError: if they cannot be written.

    Example:
        >>> write_people(find_people("shop.mp4"), "shop")
    """
    folder = Path(to)
    folder.mkdir(parents=True, exist_ok=True)
    with appearing_when_whole(folder / "people.csv") as unfinished, open(unfinished, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("seconds", "count", "best_score"))
        for seconds, count, score in zip(track.times, track.counts, track.best_scores, strict=True):
            writer.writerow((f"{seconds:.3f}", count, f"{score:.3f}"))
    document = {
        "path": track.path,
        "duration_seconds": round(track.duration_seconds, 3),
        "seconds_between_frames": track.seconds_between_frames,
        "minimum_score": track.minimum_score,
        "error": track.error,
        "presence": [[round(one.start_seconds, 3), round(one.end_seconds, 3)] for one in track.presence()],
        "frames": [
            {"seconds": round(seconds, 3), "boxes": boxes.round(4).astype(float).tolist(), "scores": scores.tolist()}
            for seconds, boxes, scores in zip(track.times.tolist(), track.boxes, track.scores, strict=True)
        ],
    }
    with appearing_when_whole(folder / "people.json") as unfinished:
        unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


class _Frames:
    """A video's frames as clips of one, up to where it breaks off.

    Args:
        path: the video file.
        clip_spec: a frame's size, and how many there are in a second.
    """

    def __init__(self, path: str | os.PathLike[str], clip_spec: ClipSpec) -> None:
        self._path, self._clip_spec = path, clip_spec
        self.error: VideoError | None = None

    def __iter__(self) -> Iterator[Clip]:
        has_begun = False
        try:
            for clip in read_windows(self._path, self._clip_spec):
                yield clip
                has_begun = True
        except VideoError as error:
            if not has_begun:
                raise
            self.error = error


def _spec(info: VideoInfo, seconds_between_frames: float, zoom: int) -> ClipSpec:
    """The video's own shape, as small as the smallest tiles need it."""
    shrinkage = min(1.0, INPUT_SIDE / tile_share(max(1, zoom)) / min(info.height, info.width))
    height, width = (max(1, round(side * shrinkage)) for side in (info.height, info.width))
    return ClipSpec(1, height, width, 1 / seconds_between_frames)

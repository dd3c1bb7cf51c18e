"""An opened video in, its frames to be changed out; and the changed ones, in the same order, back to such frames."""

from __future__ import annotations

import collections
import logging
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from sora_keras.video.decoding import ends_early
from sora_keras.video.every_frame import TimedFrame, every_frame
from sora_keras.video.frame_pixels import FramePixels
from sora_keras.video.frame_repair import LONGEST_GAP_SECONDS, between
from sora_keras.video.opening import open_video

LONGEST_SIDE = 16384  # of what H.264 holds


def mended_frames(path: str | os.PathLike[str]) -> Iterator[tuple[float, np.ndarray]]:
    """A file's frames as `rewrite_video` hands them out: those that are lost are made from their neighbors.

    Args:
        path: the video file.

    Yields:
        Seconds since the first frame, and the frame as displayed, `uint8 (H, W, 3)`.

    Raises:
        VideoError: if it cannot be read.

    Example:
        >>> sum(1 for _ in mended_frames("broken/damaged_middle.mp4"))
        377
    """
    with open_video(path) as video:
        source = FrameSource(os.fsdecode(path), video, is_quiet=True)
        for seconds, rgb in source.frames():
            source._pending.clear()
            yield seconds, rgb


class FrameSource:
    """A video's frames as they are asked for and, in the same order, what is needed to store their changed forms.

    Args:
        path: the file, for messages.
        video: its freshly opened `av` video stream.
        is_quiet: whether warnings are collected only, not logged as well.
    """

    def __init__(self, path: str, video: Any, is_quiet: bool = False) -> None:
        self.path, self.video, self._is_quiet = path, video, is_quiet
        self.size_before = self.size_after = (0, 0)
        self.num_frames = 0
        self.broken_seconds: list[float] = []
        self.warnings: list[str] = []
        self.pixels: Any = None  # FramePixels, once there is a first frame
        self._is_at_end = False
        self._origin: int | None = None
        # Timestamp, duration, and what is left over below 8 bits.
        self._pending: collections.deque[tuple[int, int, np.ndarray | None]] = collections.deque()

    def frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds, and each frame as displayed, `uint8 (H, W, 3)`; lost ones are made from their neighbors."""
        before: tuple[int, np.ndarray] | None = None
        holes: list[TimedFrame] = []
        for timed in every_frame(self.path, self.video):
            self._note(timed)
            if timed.picture is None:
                holes.append(timed)
                continue
            if self.pixels is None:
                self._begin(timed.picture)
            if not self.pixels.has_size_of(timed.picture):
                self.warn("its frames change their size; all are brought to the first one's")
            rgb, rest = self.pixels.to_rgb(timed.picture)
            self.size_before = (rgb.shape[0], rgb.shape[1])
            shown = timed.timestamp, rgb
            for hole in holes:
                yield self._hand_out(hole, self._mended(hole.timestamp, before or shown, shown), None)
            yield self._hand_out(timed, rgb, rest)
            before, holes = shown, []
        if before is not None:
            for hole in holes:
                yield self._hand_out(hole, before[1], None)
            self._check_end(timed)
        self._is_at_end = True

    def stored(self, changed: Iterable[np.ndarray]) -> Iterator[Any]:
        """Changed frames `(H2, W2, 3)`, one for each, as `av` frames to be encoded.

        Raises:
            ValueError: if there is not one for each, or they are not of one shape.
        """
        for pixels in changed:
            if not self._pending:
                raise ValueError(f"`change` must give a frame for each, received more than {self.num_frames}.")
            self._check(pixels)
            timestamp, duration, rest = self._pending.popleft()
            frame = self.pixels.from_rgb(pixels, rest)
            frame.pts, frame.duration, frame.time_base = timestamp, duration, self.video.time_base
            del pixels, rest  # before the next one is made: large ones take much memory
            yield frame
        if self._pending or not self._is_at_end:
            num_given = self.num_frames - len(self._pending)
            raise ValueError(
                f"`change` must give a frame for each, received {num_given} for {self.num_frames} or more."
            )

    def warn(self, warning: str) -> None:
        """Take down what is not as it was, and log it, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)
            if not self._is_quiet:
                logging.getLogger(__name__).warning("%s: %s.", self.path, warning)

    def _begin(self, picture: Any) -> None:
        self.pixels = pixels = FramePixels(picture)
        if pixels.bits > 8:
            self.warn(f"its pixels have {pixels.bits} bits; they are changed in 8, and stored in {pixels.stored_bits}")
        if pixels.hdr_transfer:
            self.warn(
                f"its brightness is HDR ({pixels.hdr_transfer}), which is kept, but changed as if it were not; what it "
                "tells of the display it was made on (mastering metadata) is dropped"
            )
        if pixels.has_alpha:
            self.warn("its transparency is dropped")
        if picture.interlaced_frame:
            self.warn("its pictures are interlaced; they are changed and stored as whole frames")

    def _note(self, timed: TimedFrame) -> None:
        self._origin = timed.timestamp if self._origin is None else self._origin
        if timed.is_broken:
            self.broken_seconds.append(self._seconds(timed))

    def _check_end(self, last: TimedFrame) -> None:
        if self.video.duration:
            seconds = self._seconds(last) + float(last.duration * self.video.time_base)
            stated = float(self.video.duration * self.video.time_base)
            if ends_early(seconds, stated, stated):
                self.warn(f"its frames end at {seconds:.2f} s of {stated:.2f} s: the file is cut off")

    def _mended(self, timestamp: int, before: tuple[int, np.ndarray], after: tuple[int, np.ndarray]) -> np.ndarray:
        ticks = after[0] - before[0]
        share = (timestamp - before[0]) / ticks if ticks else 0.0
        if ticks * self.video.time_base > LONGEST_GAP_SECONDS:
            return before[1] if share < 0.5 else after[1]
        return between(before[1], after[1], share)

    def _hand_out(self, timed: TimedFrame, rgb: np.ndarray, rest: np.ndarray | None) -> tuple[float, np.ndarray]:
        self._pending.append((timed.timestamp, timed.duration, rest))
        self.num_frames += 1
        return self._seconds(timed), rgb

    def _seconds(self, timed: TimedFrame) -> float:
        return float((timed.timestamp - (self._origin or 0)) * self.video.time_base)

    def _check(self, pixels: np.ndarray) -> None:
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 3 or pixels.shape[-1] != 3 or pixels.size == 0:
            raise ValueError(f"`change` must give arrays (H, W, 3), received {getattr(pixels, 'shape', pixels)!r}.")
        size = (pixels.shape[0], pixels.shape[1])
        if max(size) > LONGEST_SIDE:
            raise ValueError(f"H.264 holds at most {LONGEST_SIDE} pixels a side, received {size} from `change`.")
        if self.size_after not in ((0, 0), size):
            raise ValueError(f"`change` must give frames of one size, received {size} after {self.size_after}.")
        self.size_after = size

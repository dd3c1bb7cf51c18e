"""A video's decoded frames in, RGB as displayed, its bits below 8 apart, out; and changed RGB back to such frames."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from sora_keras.video.orientation import orientation_of

# FFmpeg's SWS_BICUBIC, FULL_CHR_H_INT, FULL_CHR_H_INP and ACCURATE_RND; PyAV 17 has no names for the last three.
_EXACTLY = 0x4 | 0x2000 | 0x4000 | 0x40000
# AVCOL_SPC_*: those that FFmpeg converts (unspecified counts as BT.601), and the one of RGB.
_CONVERTED_COLORSPACES = (1, 2, 4, 5, 6, 7, 9)
_UNSPECIFIED, _BT709, _LIMITED_RANGE = 2, 1, 1
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
# FFmpeg puts the 8 bits of a color on top of 16.
_STEPS = 256
_ROWS_AT_ONCE = 64


class FramePixels:
    """How the frames of one video are stored, learned from the first of them.

    Args:
        frame: the video's first decoded `av` frame.
    """

    def __init__(self, frame: Any) -> None:
        self.orientation = orientation_of(frame)
        self._size = (frame.width, frame.height)
        self._format = frame.format
        self.bits = max(component.bits for component in frame.format.components)
        self.has_alpha = any(component.is_alpha for component in frame.format.components)
        is_rgb = frame.format.is_rgb or frame.format.has_palette
        self._colorspace = frame.colorspace if frame.colorspace in _CONVERTED_COLORSPACES else _UNSPECIFIED
        self._tags = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
        if is_rgb:
            self._colorspace = _BT709
            self._tags = (_LIMITED_RANGE, _BT709, frame.color_primaries, frame.color_trc)
        self._reader, self._writer = VideoReformatter(), VideoReformatter()

    @property
    def hdr_transfer(self) -> str | None:
        """The name of the transfer function that makes the video one of high dynamic range; `None` for any other."""
        return _HDR_TRANSFERS.get(self._tags[3])

    @property
    def stored_bits(self) -> int:
        """Bits of a changed frame: 8, 10 or 12."""
        return 8 if self.bits <= 8 else 10 if self.bits <= 10 else 12

    def has_size_of(self, frame: Any) -> bool:
        """Whether a frame is stored in the size of the first one."""
        return (frame.width, frame.height) == self._size

    def to_rgb(self, frame: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """The frame as displayed, `uint8 (H, W, 3)`, and, of one with more bits, what is left over, `int16`, 1/256."""
        if frame.colorspace not in _CONVERTED_COLORSPACES and not frame.format.is_rgb:
            frame.colorspace = _UNSPECIFIED
        wanted = "rgb24" if self.bits <= 8 else "rgb48le"
        width, height = self._size
        rgb = self._reader.reformat(frame, width, height, wanted, interpolation=_EXACTLY, threads=1).to_ndarray()
        rgb = self.orientation.upright(rgb)
        if self.bits <= 8:
            return rgb, None
        top = np.minimum((rgb.astype(np.uint32) + _STEPS // 2) // _STEPS, 255).astype(np.uint8)
        return top, (rgb.astype(np.int32) - _STEPS * top.astype(np.int32)).astype(np.int16)

    def from_rgb(self, pixels: np.ndarray, rest: np.ndarray | None) -> Any:
        """The `av` frame that shows these pixels, `(H, W, 3)` in 0..255, and what was left over, resized with them."""
        height, width = pixels.shape[:2]
        if rest is not None and height * rest.shape[1] == width * rest.shape[0]:
            resized = cv2.resize(rest.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
            pixels = pixels + resized / _STEPS
        if self.bits > 8:
            stored = _rounded(pixels, _STEPS, np.uint16)
        else:
            stored = pixels if pixels.dtype == np.uint8 else _rounded(pixels, 1, np.uint8)
        wanted = "rgb24" if self.bits <= 8 else "rgb48le"
        frame = av.VideoFrame.from_ndarray(self.orientation.stored(stored), wanted)
        frame.colorspace, frame.color_range = self._colorspace, self._tags[0]
        wanted = self.pixel_format(frame.width, frame.height)
        return self._writer.reformat(frame, format=wanted, interpolation=_EXACTLY, threads=1)

    def pixel_format(self, width: int, height: int) -> str:
        """FFmpeg's name of the format of changed frames: colors as fine as before, or at full if a side is odd."""
        layout = self._format
        is_gray = len(layout.components) < 3 and not layout.has_palette
        is_yuv = not (is_gray or layout.is_rgb or layout.has_palette)
        is_halved_across = is_gray or (is_yuv and layout.chroma_width(16) < 16)
        is_halved_down = is_gray or (is_yuv and layout.chroma_height(16) < 16)
        is_odd = width % 2 or (is_halved_down and height % 2)
        sampling = "444" if is_odd or not is_halved_across else "420" if is_halved_down else "422"
        return f"yuv{sampling}p" + ("" if self.stored_bits == 8 else f"{self.stored_bits}le")

    def tag(self, encoder: Any) -> None:
        """Give an encoder's `codec_context` the video's color range, matrix, primaries and transfer function."""
        encoder.color_range, encoder.colorspace, encoder.color_primaries, encoder.color_trc = self._tags


def _rounded(pixels: np.ndarray, steps: int, dtype: type[np.unsignedinteger]) -> np.ndarray:
    """Whole numbers of steps, a few rows at a time: large frames in float would take much memory more than once."""
    rounded = np.empty(pixels.shape, dtype)
    for top in range(0, len(pixels), _ROWS_AT_ONCE):
        rows = np.rint(pixels[top : top + _ROWS_AT_ONCE] * np.float32(steps))
        rounded[top : top + _ROWS_AT_ONCE] = np.clip(rows, 0, np.iinfo(dtype).max, out=rows)
    return rounded

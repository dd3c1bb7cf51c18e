"""Videos whose every frame shows its own number in black and white bars, encoded in any way PyAV can."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import av
import numpy as np
import pytest

HEIGHT, WIDTH, NUM_BARS = 32, 64, 8


@pytest.fixture(scope="session")
def numbered_frames() -> Callable[[int], np.ndarray]:
    """The first frames of the video that counts from 0: bar k is white where bit k of the number is set."""

    def draw(num_frames: int) -> np.ndarray:
        bits = (np.arange(num_frames)[:, np.newaxis] >> np.arange(NUM_BARS)) & 1
        rows = np.repeat(bits * 255, WIDTH // NUM_BARS, axis=1).astype(np.uint8)
        return np.broadcast_to(rows[:, np.newaxis, :, np.newaxis], (num_frames, HEIGHT, WIDTH, 3))

    return draw


@pytest.fixture(scope="session")
def read_numbers() -> Callable[[Iterable[np.ndarray]], list[int]]:
    """The numbers frames of any size show."""

    def read(frames: Iterable[np.ndarray]) -> list[int]:
        bars = [np.array_split(frame.mean(axis=(0, 2)), NUM_BARS) for frame in frames]
        return [sum(int(bar.mean() > 127) << bit for bit, bar in enumerate(frame)) for frame in bars]

    return read


@pytest.fixture(scope="session")
def encode() -> Callable[..., pathlib.Path]:
    """Encode frames with every choice open, unlike `write_video`."""

    def write(
        path: pathlib.Path,
        frames: np.ndarray,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        timestamps: Sequence[int] | None = None,
        ticks_per_second: int = 25,
        display: tuple[float, bool, bool] | None = None,
    ) -> pathlib.Path:
        with av.open(str(path), "w", options=container_options or {}) as container:
            stream = container.add_stream(codec, rate=25, options=options or {})
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = pixel_format
            stream.codec_context.time_base = Fraction(1, ticks_per_second)
            if display is not None:
                degrees, is_mirrored, is_upside_down = display
                stream.set_display_rotation(degrees, hflip=is_mirrored, vflip=is_upside_down)
            for index, frame in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
                picture = picture.reformat(format=pixel_format)
                picture.pts = index if timestamps is None else int(timestamps[index])
                picture.time_base = Fraction(1, ticks_per_second)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        return path

    return write

"""What a piece of video is (`Clip`) and what a model wants of one (`ClipSpec`)."""

from __future__ import annotations

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class ClipSpec:
    """How a video becomes a model's input: the handshake between data, models and serving.

    Args:
        num_frames: frames T in a clip.
        height: rows H of a frame, in pixels.
        width: columns W of a frame, in pixels.
        frames_per_second: frames taken for each second of video. `None` spreads the T frames evenly over the whole
            video, whatever its length.

    Raises:
        ValueError: if a number is not positive.

    Example:
        >>> ClipSpec(num_frames=16, height=112, width=112).shape
        (16, 112, 112, 3)
    """

    num_frames: int = 16
    height: int = 64
    width: int = 64
    frames_per_second: float | None = None

    def __post_init__(self) -> None:
        for name in ("num_frames", "height", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"ClipSpec.{name} must be a whole number of at least 1, received {value!r}.")
            object.__setattr__(self, name, int(value))
        if self.frames_per_second is not None:
            value = float(self.frames_per_second)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(
                    f"ClipSpec.frames_per_second must be a positive number, or None to spread the frames over the "
                    f"whole video, received {self.frames_per_second!r}."
                )
            object.__setattr__(self, "frames_per_second", value)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape `(T, H, W, 3)` of one clip's frames."""
        return (self.num_frames, self.height, self.width, 3)

    @property
    def duration_seconds(self) -> float | None:
        """Seconds of video one clip covers, `None` where it covers the whole video."""
        return None if self.frames_per_second is None else self.num_frames / self.frames_per_second

    def get_config(self) -> dict[str, int | float | None]:
        """The four numbers as a plain dict, for JSON and for Keras."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, int | float | None]) -> ClipSpec:
        """The inverse of `get_config`."""
        return cls(**config)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """Frames of one video and the seconds at which they are shown.

    Args:
        frames: `uint8 (T, H, W, 3)`, RGB.
        times: `float64 (T,)`, seconds since the start of the video.

    Raises:
        ValueError: if the shapes or the dtype are others.
    """

    frames: np.ndarray
    times: np.ndarray

    def __post_init__(self) -> None:
        if self.frames.dtype != np.uint8 or self.frames.ndim != 4 or self.frames.shape[-1] != 3:
            raise ValueError(
                f"Clip.frames must be uint8 of shape (T, H, W, 3), received {self.frames.dtype} of shape "
                f"{self.frames.shape}."
            )
        times = np.asarray(self.times, dtype=np.float64)
        if times.shape != (len(self.frames),):
            raise ValueError(
                f"Clip.times must hold one time for each of the {len(self.frames)} frames, received shape "
                f"{times.shape}."
            )
        object.__setattr__(self, "times", times)

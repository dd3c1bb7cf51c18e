"""Frames and a sound in, a video file that holds both out."""

from __future__ import annotations

import pathlib
from fractions import Fraction

import av
import numpy as np


def write_sounding_video(
    path: pathlib.Path,
    frames: np.ndarray,
    sound: np.ndarray | None,
    sample_rate_hz: int = 16_000,
    codec: str = "pcm_s16le",
    frames_per_second: int = 25,
    video_starts_at: float = 0.0,
    sound_starts_at: float = 0.0,
) -> pathlib.Path:
    """Write frames `uint8 (T, H, W, 3)` and a sound `(N,)` or `(N, channels)` in -1..1, each from its own time on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=frames_per_second)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        if sound is not None:
            sound = sound.reshape(len(sound), -1)
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[sound.shape[1]]
            audio = container.add_stream(codec, rate=sample_rate_hz, layout=layout)
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24").reformat(format="yuv420p")
            picture.pts = index + round(video_starts_at * frames_per_second)
            picture.time_base = Fraction(1, frames_per_second)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if sound is not None:
            samples = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16).reshape(1, -1)
            part = av.AudioFrame.from_ndarray(samples, "s16", layout)
            part.sample_rate, part.time_base = sample_rate_hz, Fraction(1, sample_rate_hz)
            part.pts = round(sound_starts_at * sample_rate_hz)
            container.mux(audio.encode(part))
            container.mux(audio.encode(None))
    return path

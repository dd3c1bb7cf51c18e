"""Folders of tiny H.264 videos whose gray levels say which video (left) and which frame of it (right) one sees."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sora_keras.video import write_video

CLASS_NAMES = ("ant", "bee", "cow")
VIDEOS_A_CLASS = 5
NUM_FRAMES = 8


@pytest.fixture(scope="session")
def _gray_videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gray")
    for number in range(len(CLASS_NAMES) * VIDEOS_A_CLASS):
        path = folder / CLASS_NAMES[number // VIDEOS_A_CLASS] / f"{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        frames = np.full((NUM_FRAMES, 16, 16, 3), 8 + 16 * number, np.uint8)
        frames[:, :, 8:] = 8 + 32 * np.arange(NUM_FRAMES)[:, None, None, None]
        write_video(path, frames, frames_per_second=8.0, quality=10)
    return folder


@pytest.fixture
def gray_videos(_gray_videos, tmp_path) -> Path:
    """A copy for each test: ant/0.mp4 to ant/4.mp4, bee/5.mp4 to cow/14.mp4, 8 frames of 16x16, 8 a second."""
    return Path(shutil.copytree(_gray_videos, tmp_path / "videos"))


@pytest.fixture(scope="session")
def read_gray() -> Callable[[np.ndarray], list[tuple[int, int]]]:
    """The number of the video and of the frame, for each frame of a clip."""

    def read(frames: np.ndarray) -> list[tuple[int, int]]:
        columns = np.asarray(frames).mean(axis=(1, 3))
        videos, numbers = (columns[:, :4].mean(axis=1) - 8) / 16, (columns[:, -4:].mean(axis=1) - 8) / 32
        return [(round(video), round(number)) for video, number in zip(videos, numbers, strict=True)]

    return read

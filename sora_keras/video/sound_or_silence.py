"""A video's path and some seconds in, what is heard around each of them out, silence where that is nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import numpy as np

from sora_keras.video.opening import VideoError
from sora_keras.video.sound import read_sound_windows


def read_sound_or_silence(
    path: str | os.PathLike[str], seconds: Sequence[float] | np.ndarray, num_samples: int, sample_rate_hz: int = 16_000
) -> np.ndarray:
    """Read what is heard around each of some seconds; a sound that is missing or broken is silent.

    That a sound is broken is logged as a warning; that there is none is not.

    Args:
        path: the video file. Of several sounds the first is read.
        seconds: T times since the video's first frame, in any order.
        num_samples: samples S around each: half of them come before it.
        sample_rate_hz: samples a second.

    Returns:
        `float32 (T, S)` in -1..1.

    Raises:
        ValueError: if the rate or the number of samples is none.

    Example:
        >>> read_sound_or_silence("mute.mp4", [0.5, 1.5], num_samples=4000).any()  # doctest: +SKIP
        False
    """
    try:
        sound = read_sound_windows(path, seconds, num_samples, sample_rate_hz)
    except VideoError as error:
        logging.getLogger(__name__).warning("no sound: %s", error)
        sound = None
    return np.zeros((len(seconds), num_samples), np.float32) if sound is None else sound

"""Which seconds of a video to take: a duration and a `ClipSpec` in, times out."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from sora_keras.video.clip import ClipSpec

Sampling = Literal["uniform", "center_window", "random_window"]
ShortVideo = Literal["repeat_last", "loop", "error"]
_ROUNDING_SECONDS = 1e-6


def uniform_times(duration_seconds: float, num_frames: int) -> np.ndarray:
    """Spread times evenly: the centers of T equal segments of the video.

    Args:
        duration_seconds: length of the video.
        num_frames: number of segments T.

    Returns:
        `float64 (T,)`, seconds, ascending.

    Example:
        >>> uniform_times(8.0, 4)
        array([1., 3., 5., 7.])
    """
    _check_positive("duration_seconds", duration_seconds)
    return (np.arange(num_frames) + 0.5) * (duration_seconds / num_frames)


def segment_times(duration_seconds: float, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one time from each of T equal segments of the video.

    Args:
        duration_seconds: length of the video.
        num_frames: number of segments T.
        rng: source of the randomness.

    Returns:
        `float64 (T,)`, seconds, ascending.

    Example:
        >>> segment_times(8.0, 2, np.random.default_rng(0)).shape
        (2,)

    Reference:
        Wang et al., Temporal Segment Networks, ECCV 2016, https://arxiv.org/abs/1608.00859
    """
    _check_positive("duration_seconds", duration_seconds)
    return (np.arange(num_frames) + rng.random(num_frames)) * (duration_seconds / num_frames)


def window_times(start_seconds: float, num_frames: int, frames_per_second: float) -> np.ndarray:
    """Sample one window at a fixed rate, each time at the center of its frame's interval.

    A center lies half an interval away from the neighboring frames, so a video that has the wanted rate gives each of
    its frames once, however its container rounds their timestamps.

    Args:
        start_seconds: where the window of `num_frames / frames_per_second` seconds begins.
        num_frames: number of frames T.
        frames_per_second: frames taken for each second of video.

    Returns:
        `float64 (T,)`, seconds, ascending; past the video's end where the window is.

    Example:
        >>> window_times(1.0, 4, 2.0)
        array([1.25, 1.75, 2.25, 2.75])
    """
    _check_positive("frames_per_second", frames_per_second)
    return start_seconds + (np.arange(num_frames) + 0.5) / frames_per_second


def random_window_times(
    duration_seconds: float, num_frames: int, frames_per_second: float, rng: np.random.Generator
) -> np.ndarray:
    """Sample one window at a random place inside the video.

    Args:
        duration_seconds: length of the video.
        num_frames: number of frames T.
        frames_per_second: frames taken for each second of video.
        rng: source of the randomness.

    Returns:
        `float64 (T,)`, seconds. A window longer than the video begins at 0.

    Example:
        >>> random_window_times(2.0, 4, 2.0, np.random.default_rng(0))
        array([0.25, 0.75, 1.25, 1.75])
    """
    _check_positive("duration_seconds", duration_seconds)
    _check_positive("frames_per_second", frames_per_second)
    latest_start_seconds = max(0.0, duration_seconds - num_frames / frames_per_second)
    return window_times(rng.random() * latest_start_seconds, num_frames, frames_per_second)


def all_window_times(
    duration_seconds: float,
    num_frames: int,
    frames_per_second: float,
    seconds_between_windows: float | None = None,
) -> np.ndarray:
    """Cover the whole video with windows, the last of which ends where the video ends.

    Args:
        duration_seconds: length of the video.
        num_frames: number of frames T in a window.
        frames_per_second: frames taken for each second of video.
        seconds_between_windows: from one window's start to the next one's; `None` lays them end to end.

    Returns:
        `float64 (W, T)`, seconds. A video shorter than a window gives one window, which begins at 0.

    Example:
        >>> all_window_times(5.0, 2, 1.0)
        array([[0.5, 1.5],
               [2.5, 3.5],
               [3.5, 4.5]])
    """
    _check_positive("duration_seconds", duration_seconds)
    _check_positive("frames_per_second", frames_per_second)
    window_seconds = num_frames / frames_per_second
    stride = window_seconds if seconds_between_windows is None else seconds_between_windows
    _check_positive("seconds_between_windows", stride)
    last_start = max(0.0, duration_seconds - window_seconds)
    # A last stride shorter than a microsecond is rounding, not a piece of video left uncovered.
    whole_strides = np.arange(int(np.ceil(last_start / stride - 1e-6))) * stride
    starts = np.append(whole_strides, last_start)
    return starts[:, np.newaxis] + window_times(0.0, num_frames, frames_per_second)


def fit_times(times: np.ndarray, duration_seconds: float, short_video: ShortVideo = "repeat_last") -> np.ndarray:
    """Bring the times that lie past the video's end back into the video.

    Args:
        times: `float64`, any shape, seconds of at least 0.
        duration_seconds: length of the video.
        short_video: `"repeat_last"` holds the last frame, `"loop"` starts again from the beginning, `"error"` raises.

    Returns:
        `float64`, the shape of `times`, seconds in `[0, duration_seconds]`.

    Raises:
        ValueError: if the policy is unknown, or is `"error"` and a time lies past the end.

    Example:
        >>> fit_times(np.array([0.5, 1.5, 2.5]), 1.0, "loop")
        array([0.5, 0.5, 0.5])
    """
    _check_positive("duration_seconds", duration_seconds)
    _check_choice("short_video", short_video, get_args(ShortVideo))
    if short_video == "loop":
        return np.mod(times, duration_seconds)
    if short_video == "error" and times.max() > duration_seconds:
        raise ValueError(
            f"the video lasts {duration_seconds:.3f} s, but frames up to {times.max():.3f} s are wanted; take fewer "
            f'frames, more frames per second, or short_video="repeat_last" or "loop"'
        )
    return np.minimum(times, duration_seconds)


def sample_times(
    duration_seconds: float,
    clip_spec: ClipSpec,
    sampling: Sampling = "uniform",
    short_video: ShortVideo = "repeat_last",
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Choose the times of one clip by the names of the policies.

    Where `clip_spec.frames_per_second` is `None` the clip covers the whole video: `"uniform"` and `"center_window"`
    take the centers of T equal segments, `"random_window"` takes a random time of each segment. Where it is a number,
    that rate always holds: `"uniform"` and `"center_window"` take the window in the middle of the video.

    Args:
        duration_seconds: length of the video.
        clip_spec: how many frames T, and how far apart.
        sampling: `"uniform"`, `"center_window"` or `"random_window"` (anywhere inside the video).
        short_video: what to do where the window is longer than the video, see `fit_times`.
        rng: source of the randomness; a fresh one where `None`.

    Returns:
        `float64 (T,)`, seconds in `[0, duration_seconds]`.

    Raises:
        ValueError: if a name is unknown, or the video is too short and `short_video="error"`.

    Example:
        >>> sample_times(9.0, ClipSpec(num_frames=2, frames_per_second=1.0), "center_window")
        array([4., 5.])
    """
    _check_choice("sampling", sampling, get_args(Sampling))
    _check_choice("short_video", short_video, get_args(ShortVideo))
    num_frames, frames_per_second = clip_spec.num_frames, clip_spec.frames_per_second
    rng = np.random.default_rng() if rng is None else rng
    if frames_per_second is None:
        if sampling == "random_window":
            return segment_times(duration_seconds, num_frames, rng)
        return uniform_times(duration_seconds, num_frames)
    if sampling == "random_window":
        times = random_window_times(duration_seconds, num_frames, frames_per_second, rng)
    else:
        spare_seconds = max(0.0, duration_seconds - num_frames / frames_per_second)
        times = window_times(spare_seconds / 2, num_frames, frames_per_second)
    return fit_times(times, duration_seconds, short_video)


def times_on_display(times: np.ndarray, frames_per_second: float | None) -> np.ndarray:
    """Tell the times of a clip's own frames from those of frames that repeat others, as in a video too short for it.

    Args:
        times: `float64 (T,)`, seconds, as `fit_times` gives them.
        frames_per_second: the clip's rate, `None` if it has none.

    Returns:
        `bool (T,)`, true for the former.

    Example:
        >>> times_on_display(np.array([0.5, 1.5, 1.8, 1.8]), 1.0)
        array([ True,  True, False, False])
    """
    if frames_per_second is None:
        return np.diff(times, prepend=-np.inf) > 0
    return np.abs(times - times[:1] - np.arange(len(times)) / frames_per_second) <= _ROUNDING_SECONDS


def _check_positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive number, received {value!r}.")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, received {value!r}.")

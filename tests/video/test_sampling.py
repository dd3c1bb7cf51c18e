from __future__ import annotations

import numpy as np
import pytest

from sora_keras.video import ClipSpec
from sora_keras.video.sampling import (
    all_window_times,
    fit_times,
    random_window_times,
    sample_times,
    segment_times,
    times_on_display,
    uniform_times,
    window_times,
)


def test_uniform_times_are_the_centers_of_equal_segments() -> None:
    np.testing.assert_allclose(uniform_times(8.0, 4), [1, 3, 5, 7])
    np.testing.assert_allclose(uniform_times(3.0, 1), [1.5])
    assert uniform_times(8.0, 4).dtype == np.float64


def test_segment_times_stay_in_their_segments_and_fill_them() -> None:
    rng = np.random.default_rng(1)
    draws = np.stack([segment_times(6.0, 3, rng) for _ in range(500)])
    edges = np.array([0, 2, 4])
    assert ((draws >= edges) & (draws < edges + 2)).all()
    np.testing.assert_allclose(draws.mean(axis=0), [1, 3, 5], atol=0.1)
    np.testing.assert_allclose(draws.std(axis=0), 2 / np.sqrt(12), atol=0.05)


def test_window_times_are_the_centers_of_frame_intervals() -> None:
    np.testing.assert_allclose(window_times(10.0, 4, 2.0), [10.25, 10.75, 11.25, 11.75])


def test_a_window_over_the_whole_video_equals_uniform_sampling() -> None:
    np.testing.assert_allclose(window_times(0.0, 10, 4.0), uniform_times(2.5, 10))


def test_random_windows_reach_every_place_inside_the_video() -> None:
    rng = np.random.default_rng(2)
    starts = np.array([random_window_times(10.0, 4, 2.0, rng)[0] - 0.25 for _ in range(1000)])
    assert starts.min() >= 0
    assert starts.max() <= 8
    np.testing.assert_allclose(np.percentile(starts, [1, 50, 99]), [0.08, 4, 7.92], atol=0.4)


def test_a_random_window_longer_than_the_video_begins_at_zero() -> None:
    np.testing.assert_allclose(random_window_times(1.0, 3, 1.0, np.random.default_rng(3)), [0.5, 1.5, 2.5])


def test_windows_cover_the_video_and_the_last_ends_with_it() -> None:
    windows = all_window_times(5.0, 2, 1.0)
    np.testing.assert_allclose(windows, [[0.5, 1.5], [2.5, 3.5], [3.5, 4.5]])


@pytest.mark.parametrize(
    ("duration_seconds", "stride_seconds", "starts"),
    [
        (6.0, None, [0, 2, 4]),
        (6.0, 1.0, [0, 1, 2, 3, 4]),
        (6.0, 3.0, [0, 3, 4]),
        (2.0, None, [0]),
        (0.5, None, [0]),
        (6.0, 100.0, [0, 4]),
    ],
)
def test_window_starts(duration_seconds: float, stride_seconds: float | None, starts: list[float]) -> None:
    windows = all_window_times(duration_seconds, 4, 2.0, stride_seconds)
    assert windows.shape == (len(starts), 4)
    np.testing.assert_allclose(windows[:, 0] - 0.25, starts)


def test_rounding_makes_no_extra_window() -> None:
    assert len(all_window_times(0.3, 1, 10.0)) == 3
    assert len(all_window_times(16 * 7 / 29.97, 16, 29.97)) == 7


def test_short_videos_by_policy() -> None:
    times = np.array([0.5, 1.5, 2.5])
    np.testing.assert_allclose(fit_times(times, 2.0, "repeat_last"), [0.5, 1.5, 2.0])
    np.testing.assert_allclose(fit_times(times, 2.0, "loop"), [0.5, 1.5, 0.5])
    np.testing.assert_allclose(fit_times(times, 2.5, "error"), times)
    with pytest.raises(ValueError, match=r"lasts 2\.000 s, but frames up to 2\.500 s are wanted"):
        fit_times(times, 2.0, "error")


def test_sample_times_by_name() -> None:
    spec = ClipSpec(num_frames=2, frames_per_second=1.0)
    np.testing.assert_allclose(sample_times(9.0, spec, "center_window"), [4, 5])
    np.testing.assert_allclose(sample_times(9.0, spec, "uniform"), [4, 5])
    times = sample_times(9.0, spec, "random_window", rng=np.random.default_rng(4))
    np.testing.assert_allclose(times, random_window_times(9.0, 2, 1.0, np.random.default_rng(4)))
    np.testing.assert_allclose(np.diff(sample_times(9.0, spec, "random_window")), 1.0)


def test_sample_times_without_a_rate_cover_the_video() -> None:
    spec = ClipSpec(num_frames=3)
    np.testing.assert_allclose(sample_times(6.0, spec, "uniform"), [1, 3, 5])
    np.testing.assert_allclose(sample_times(6.0, spec, "center_window"), [1, 3, 5])
    times = sample_times(6.0, spec, "random_window", rng=np.random.default_rng(5))
    np.testing.assert_allclose(times, segment_times(6.0, 3, np.random.default_rng(5)))


def test_sample_times_of_a_short_video() -> None:
    spec = ClipSpec(num_frames=4, frames_per_second=1.0)
    np.testing.assert_allclose(sample_times(2.0, spec, "center_window"), [0.5, 1.5, 2, 2])
    np.testing.assert_allclose(sample_times(2.0, spec, "center_window", "loop"), [0.5, 1.5, 0.5, 1.5])
    with pytest.raises(ValueError, match=r"lasts 2\.000 s, but frames up to 3\.500 s"):
        sample_times(2.0, spec, "random_window", "error")


def test_unknown_names_and_bad_numbers_are_named() -> None:
    with pytest.raises(ValueError, match=r"sampling must be one of 'uniform', .*, received 'middle'"):
        sample_times(1.0, ClipSpec(), "middle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"short_video must be one of 'repeat_last', .*, received 'pad'"):
        sample_times(1.0, ClipSpec(), short_video="pad")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"duration_seconds must be a positive number, received -1\.5"):
        uniform_times(-1.5, 4)
    with pytest.raises(ValueError, match=r"frames_per_second must be a positive number, received nan"):
        window_times(0.0, 4, float("nan"))
    with pytest.raises(ValueError, match=r"seconds_between_windows must be a positive number, received 0"):
        all_window_times(7.0, 4, 2.0, 0)


@pytest.mark.parametrize("rate", [None, 1.0])
def test_what_repeats_others_is_told_from_what_is_on_display(rate):
    is_clamped = rate is not None  # only a rate tells that the third time is not the wanted one
    times = fit_times(np.array([0.5, 1.5, 2.5, 3.5]), 1.8)
    assert times_on_display(times, rate).tolist() == [True, True, not is_clamped, False]
    assert times_on_display(np.array([0.5, 1.5]), rate).all()
    assert times_on_display(np.zeros(0), rate).shape == (0,)

from __future__ import annotations

import cv2
import numpy as np
import pytest
from known_timeline import SEGMENTS, counted_video, timeline_with
from matplotlib.colors import to_rgb

from sora_keras.apps import timeline_plot
from sora_keras.apps.key_moment import key_moments
from sora_keras.apps.timeline_plot import MOST_LABELS, draw_timeline
from sora_keras.evaluation.segments import Segment

INSIDE = slice(
    round(timeline_plot._LEFT_INCHES * timeline_plot.DOTS_PER_INCH),
    round((timeline_plot._WIDTH_INCHES - timeline_plot._RIGHT_INCHES) * timeline_plot.DOTS_PER_INCH),
)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return counted_video(tmp_path_factory.mktemp("videos") / "a.mp4")


def draw(timeline, path, moments=None):
    draw_timeline(timeline, path, key_moments(timeline) if moments is None else moments)
    assert path.read_bytes().startswith(b"\x89PNG")
    return cv2.imread(str(path))[..., ::-1].astype(int)


def lane_of(pixels, number, num_lanes):
    """The rows of a lane, counted from the top."""
    dots = timeline_plot.DOTS_PER_INCH
    bottom = (
        len(pixels) - timeline_plot._BELOW_INCHES * dots - (num_lanes - number - 1) * timeline_plot._LANE_INCHES * dots
    )
    return pixels[round(bottom - timeline_plot._LANE_INCHES * dots) + 3 : round(bottom) - 3, INSIDE]


def colored_seconds(lane, color):
    """Where a lane shows a segment, drawn in the color, lightened by white."""
    bar = 255 * (0.28 * np.array(to_rgb(color)) + 0.72)
    is_bar = np.abs(lane - bar).max(axis=-1) < 12
    is_score = np.abs(lane - 255 * np.array(to_rgb(color))).max(axis=-1) < 100
    return (np.flatnonzero((is_bar | is_score).mean(axis=0) > 0.8) + 0.5) * 20 / lane.shape[1]


def test_segments_are_bars_at_their_times(video, tmp_path):
    pixels = draw(timeline_with(video, SEGMENTS), tmp_path / "timeline.png")
    walking = colored_seconds(lane_of(pixels, 0, 2), timeline_plot._COLORS[0])
    falling = colored_seconds(lane_of(pixels, 1, 2), timeline_plot._COLORS[1])
    for seconds, start, end in ((walking[walking < 12], 1, 9), (walking[walking > 12], 15, 18), (falling, 11, 12)):
        assert seconds.min() == pytest.approx(start, abs=0.1)
        assert seconds.max() == pytest.approx(end, abs=0.1)


def test_key_frames_are_shown_on_top_in_order_of_time(video, tmp_path):
    pixels = draw(timeline_with(video, SEGMENTS), tmp_path / "timeline.png")
    top = round((timeline_plot._TITLE_INCHES + timeline_plot._CAPTION_INCHES + 0.3) * timeline_plot.DOTS_PER_INCH)
    row = pixels[top : top + 20, INSIDE].mean(axis=(0, 2))
    centers = [round(row.size * (number + 0.5) / 3) for number in range(3)]
    np.testing.assert_allclose([row[center - 10 : center + 10].mean() for center in centers], [50, 110, 160], atol=12)


def test_where_nothing_happens_frames_are_spread_over_the_video(video, tmp_path):
    pixels = draw(timeline_with(video, {}), tmp_path / "timeline.png")
    top = round((timeline_plot._TITLE_INCHES + timeline_plot._CAPTION_INCHES + 0.3) * timeline_plot.DOTS_PER_INCH)
    row = pixels[top : top + 20, INSIDE].mean(axis=(0, 2))
    shown = [row[round(row.size * (number + 0.5) / 8)] for number in range(8)]
    np.testing.assert_allclose(shown, np.linspace(0, 190, 8), atol=12)


def test_what_cannot_be_read_is_hatched(video, tmp_path):
    whole = timeline_with(video, {})
    timeline = timeline_with(video, {}, error="it is cut off")
    for name in timeline.frame_scores:
        timeline.frame_scores[name] = timeline.frame_scores[name][:50]
    object.__setattr__(timeline, "times", timeline.times[:50])
    unread = lane_of(draw(timeline, tmp_path / "off.png"), 1, 2)
    read = lane_of(draw(whole, tmp_path / "whole.png"), 1, 2)
    half = unread.shape[1] // 2
    assert (unread[:, half + 20 :] < 250).mean() > 0.9
    assert (unread[:, : half - 20] < 250).mean() < 0.5
    assert (read[:, half + 20 :] < 250).mean() < 0.5


def test_an_hour_of_scores_keeps_its_peaks():
    times = (np.arange(28_800) + 0.5) / 8
    scores = np.zeros(28_800, np.float32)
    scores[20_001] = 0.9
    thinned_times, thinned = timeline_plot._thinned(times, scores)
    assert len(thinned) == len(thinned_times) <= 2000
    assert thinned.max() == np.float32(0.9)
    assert abs(thinned_times[thinned.argmax()] - times[20_001]) < 2
    np.testing.assert_array_equal(timeline_plot._thinned(times[:5], scores[:5])[0], times[:5])


def test_of_many_labels_those_that_hold_come_first(video):
    labels = [f"label {number}" for number in range(60)]
    timeline = timeline_with(video, {"event": [Segment("label 57", 1.0, 2.0, 0.6)]}, {"event": labels})
    timeline.clip_scores["event"][:] = np.linspace(0.5, 0.1, 60)
    lanes = timeline_plot._lanes(timeline, "event")
    assert lanes[0] == ("event", None)
    assert [label for _, label in lanes[1:]] == [*labels[: MOST_LABELS - 1], "label 57"]


@pytest.mark.parametrize(("height", "width"), [(64, 32), (16, 160)])
def test_any_shape_names_and_length(tmp_path, height, width):
    video = counted_video(tmp_path / "$a_1$ ü.mp4", height, width)
    names = ["$x_1$", "<b>&", "a" * 60]
    segments = {"event": [Segment(names[0], 0.0, 0.3, 0.9)], "person": [Segment("jack", 0.1, 0.2, 0.9)]}
    timeline = timeline_with(video, segments, {"event": names, "person": ["jack"]})
    assert draw(timeline, tmp_path / "timeline.png").shape[1] == pytest.approx(1430, abs=2)
    object.__setattr__(timeline, "duration_seconds", 0.12)
    object.__setattr__(timeline, "times", timeline.times[:1])
    for name in timeline.frame_scores:
        timeline.frame_scores[name] = timeline.frame_scores[name][:1]
    draw(timeline, tmp_path / "short.png", [])
    object.__setattr__(timeline, "duration_seconds", 500_000.0)
    draw(timeline, tmp_path / "long.png", [])

from __future__ import annotations

import cv2
import numpy as np
import pytest
from known_timeline import SEGMENTS, counted_video, timeline_with

from sora_keras.apps.highlights import draw_key_moments, write_highlights
from sora_keras.apps.key_moment import key_moments
from sora_keras.evaluation.segments import Segment
from sora_keras.video import probe, read_sound, stream_frames


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return counted_video(tmp_path_factory.mktemp("videos") / "a.mp4")


def levels(path):
    return [round(float(frame.mean()) / 10) for _, frame in stream_frames(path)]


def test_the_key_moments_in_order_of_time(video, tmp_path):
    timeline = timeline_with(video, SEGMENTS)
    write_highlights(timeline, key_moments(timeline), tmp_path / "highlights.mp4")
    # Four seconds around 5.1 s, the whole second from 11 s with half a second around it, and 14.5 to 18.5 s.
    expected = {3: 23, 4: 25, 5: 25, 6: 25, 7: 2, 10: 12, 11: 25, 12: 13, 14: 12, 15: 25, 16: 25, 17: 25, 18: 13}
    shown = levels(tmp_path / "highlights.mp4")
    assert shown == sorted(shown)
    counts = {level: shown.count(level) for level in sorted(set(shown))}
    assert set(counts) == set(expected)
    assert all(abs(counts[level] - expected[level]) <= 3 for level in counts)
    assert not probe(tmp_path / "highlights.mp4").has_audio


def test_moments_that_overlap_are_shown_once(video, tmp_path):
    segments = {"event": [Segment("walk", 2.0, 8.0, 0.9), Segment("fall", 4.0, 8.0, 0.8)]}
    timeline = timeline_with(video, segments)
    moments = key_moments(timeline)
    assert [round(moment.seconds) for moment in moments] == [5, 6]
    write_highlights(timeline, moments, tmp_path / "highlights.mp4", seconds_a_moment=2.0)
    assert probe(tmp_path / "highlights.mp4").duration_seconds == pytest.approx(3.0, abs=0.3)
    shown = levels(tmp_path / "highlights.mp4")
    assert shown == sorted(shown)
    assert set(shown) == {4, 5, 6} or set(shown) == {4, 5, 6, 7}


def test_nothing_is_shown_from_outside_the_video(video, tmp_path):
    timeline = timeline_with(video, {"event": [Segment("walk", 0.0, 0.4, 0.9), Segment("fall", 19.4, 20.0, 0.9)]})
    write_highlights(timeline, key_moments(timeline), tmp_path / "highlights.mp4")
    assert probe(tmp_path / "highlights.mp4").duration_seconds == pytest.approx(0.9 + 1.1, abs=0.1)
    assert set(levels(tmp_path / "highlights.mp4")) == {0, 18, 19}


@pytest.mark.real_data
def test_sound_is_kept(real_data, tmp_path):
    path = real_data / "scenes" / "v_ApplyEyeMakeup_g01_c01.avi"
    timeline = timeline_with(path, {"event": [Segment("walk", 2.0, 3.0, 0.9)]})
    write_highlights(timeline, key_moments(timeline), tmp_path / "highlights.mp4")
    info = probe(tmp_path / "highlights.mp4")
    assert info.has_audio
    assert info.duration_seconds == pytest.approx(2.0, abs=0.05)
    sound = read_sound(tmp_path / "highlights.mp4")
    wanted = read_sound(path, start_seconds=1.5, end_seconds=3.5)
    num_samples = min(len(sound), len(wanted))
    assert num_samples > 31_000
    assert np.corrcoef(sound[:num_samples], wanted[:num_samples])[0, 1] > 0.95


@pytest.mark.parametrize("num_moments", [1, 3])
def test_a_contact_sheet_shows_each_moment_in_order_of_time(video, tmp_path, num_moments):
    moments = key_moments(timeline_with(video, SEGMENTS))[:num_moments]
    draw_key_moments(moments, tmp_path / "sheet.jpg")
    pixels = cv2.imread(str(tmp_path / "sheet.jpg"))
    frames = [moment.frame.mean() for moment in sorted(moments, key=lambda moment: moment.seconds)]
    cell = pixels.shape[1] // num_moments
    for number, level in enumerate(frames):
        center = pixels[60:120, number * cell + 80 : number * cell + 160]
        np.testing.assert_allclose(center, level, atol=6)
    caption = pixels[-46:, :cell]
    assert caption.min() < 80
    assert caption.max() == 255


def test_rows_of_four_and_labels_that_no_font_draws(video, tmp_path):
    names = ["$x_1$", "a" * 99, "<b>", "ü & ö", "\N{GREEK SMALL LETTER ALPHA}"]
    segments = {"event": [Segment(name, 2.0 * index, 2.0 * index + 1, 0.9) for index, name in enumerate(names)]}
    moments = key_moments(timeline_with(video, segments, {"event": names}))
    draw_key_moments(moments, tmp_path / "sheet.png")
    height, width = cv2.imread(str(tmp_path / "sheet.png")).shape[:2]
    assert width == pytest.approx(4 * (240 + 8), abs=20)
    assert height == pytest.approx(2 * (180 + 46), abs=20)


def test_arguments_out_of_range(video, tmp_path):
    timeline = timeline_with(video, SEGMENTS)
    with pytest.raises(ValueError, match=r"at least 1 moment to draw, received 0"):
        draw_key_moments([], tmp_path / "sheet.jpg")
    with pytest.raises(ValueError, match=r"at least one part to write, received 0"):
        write_highlights(timeline, [], tmp_path / "highlights.mp4")
    with pytest.raises(ValueError, match=r"`seconds_a_moment` must be positive, received -3\.5"):
        write_highlights(timeline, key_moments(timeline), tmp_path / "highlights.mp4", -3.5)
    assert not list(tmp_path.iterdir())

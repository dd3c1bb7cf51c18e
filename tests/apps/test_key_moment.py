from __future__ import annotations

import logging

import numpy as np
import pytest
from known_timeline import SEGMENTS, counted_video, timeline_with

from sora_keras.apps.key_moment import FRAME_ROWS, key_moments, read_frames
from sora_keras.evaluation.segments import Segment
from sora_keras.video import VideoError


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return counted_video(tmp_path_factory.mktemp("videos") / "a.mp4")


def test_the_surest_of_each_label_then_the_surest_of_the_others(video):
    timeline = timeline_with(video, SEGMENTS)
    moments = key_moments(timeline)
    assert [(moment.segment.label, moment.segment.score) for moment in moments] == [
        ("walk", 0.9), ("fall", 0.7), ("walk", 0.8)
    ]  # fmt: skip
    assert [moment.segment.label for moment in key_moments(timeline, most=2)] == ["walk", "fall"]
    assert {moment.vocabulary for moment in moments} == {"event"}


def test_the_moment_is_the_surest_time_and_its_frame_is_shown(video):
    for moment, expected in zip(key_moments(timeline_with(video, SEGMENTS)), (5.0, 11.5, 16.5), strict=True):
        assert moment.seconds == pytest.approx(expected, abs=0.3)
        assert moment.frame.shape == (FRAME_ROWS, 240, 3)
        assert moment.frame.mean() == pytest.approx(10 * int(moment.seconds), abs=2)


def test_of_times_as_sure_the_one_in_the_middle(video):
    timeline = timeline_with(video, {"event": [Segment("walk", 4.0, 8.0, 0.9)]})
    timeline.frame_scores["event"][:, 0] = np.where((timeline.times > 4) & (timeline.times < 8), 1, 0)
    (moment,) = key_moments(timeline)
    assert moment.seconds == pytest.approx(6.0, abs=0.2)


def test_segments_shorter_than_from_one_time_to_the_next(video):
    (moment,) = key_moments(timeline_with(video, {"event": [Segment("fall", 19.8, 19.95, 0.6)]}))
    assert moment.seconds == pytest.approx(19.9)
    assert moment.frame.mean() == pytest.approx(190, abs=2)


def test_nothing_happens(video):
    assert key_moments(timeline_with(video, {})) == []


def test_frames_at_any_times(video, tmp_path):
    frames = read_frames(video, [0.0, 7.5, 19.99, 25.0], rows=30)
    assert [frame.shape for frame in frames] == [(30, 40, 3)] * 4
    np.testing.assert_allclose([frame.mean() for frame in frames], [0, 70, 190, 190], atol=2)
    wide = counted_video(tmp_path / "wide.mp4", height=16, width=160)
    assert read_frames(wide, [1.0])[0].shape == (FRAME_ROWS, 2 * FRAME_ROWS, 3)


@pytest.mark.real_data
def test_a_frame_that_cannot_be_read_is_gray_and_told(real_data, monkeypatch, caplog):
    from sora_keras.apps import key_moment as module

    def read(path, clip_spec, start_seconds, **options):
        if start_seconds > 5:
            raise VideoError(path, "it broke")
        return module_read(path, clip_spec, start_seconds=start_seconds, **options)

    module_read = module.read_clip
    monkeypatch.setattr(module, "read_clip", read)
    with caplog.at_level(logging.WARNING):
        good, bad = read_frames(real_data / "scenes" / "cars.mp4", [2.0, 7.0])
    assert good.std() > 10
    assert set(np.unique(bad)) == {128}
    assert "no picture: " in caplog.text
    assert "it broke" in caplog.text


def test_a_number_that_is_none(video):
    with pytest.raises(ValueError, match=r"`most` must be at least 1, received 0"):
        key_moments(timeline_with(video, SEGMENTS), most=0)

from __future__ import annotations

import numpy as np
import pytest

from sora_keras.data.manifest import Event, Row, rows_of_events
from sora_keras.data.timed_labels import vocabulary_labels
from sora_keras.data.windows import rows_of_windows, throughout, without_times
from sora_keras.video import ClipSpec, read_clip, read_windows, write_video

SPEC = ClipSpec(4, 16, 16, frames_per_second=4.0)  # windows of one second


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    """5.5 s at 8 frames a second, each frame a gray of its own."""
    path = tmp_path_factory.mktemp("windows") / "gray.mp4"
    frames = np.broadcast_to(np.arange(44, dtype=np.uint8)[:, None, None, None] * 5, (44, 16, 16, 3))
    write_video(path, np.ascontiguousarray(frames), frames_per_second=8.0, quality=10)
    return str(path)


def intervals(rows):
    return [(row.start_seconds, row.end_seconds) for row in rows]


class TestWindows:
    @pytest.mark.parametrize("stride", [None, 0.5, 0.75, 1.0, 2.0])
    def test_as_read_windows(self, path, stride):
        rows = rows_of_windows([Row(path, group="a")], SPEC, stride)
        clips = list(read_windows(path, SPEC, stride))
        assert len(rows) == len(clips) > 2
        for row, clip in zip(rows, clips, strict=True):
            again = read_clip(path, SPEC, start_seconds=row.start_seconds, end_seconds=row.end_seconds)
            np.testing.assert_allclose(again.times, clip.times, atol=1e-9)
            np.testing.assert_array_equal(again.frames, clip.frames)

    def test_the_last_one_ends_where_the_video_ends(self, path):
        expected = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (4.5, 5.5)]
        np.testing.assert_allclose(intervals(rows_of_windows([Row(path)], SPEC)), expected)

    def test_a_part_of_a_video(self, path):
        part = Row(path, start_seconds=1.25, end_seconds=3.5)
        np.testing.assert_allclose(intervals(rows_of_windows([part], SPEC)), [(1.25, 2.25), (2.25, 3.25), (2.5, 3.5)])
        beyond = Row(path, start_seconds=4.0, end_seconds=99.0)
        np.testing.assert_allclose(intervals(rows_of_windows([beyond], SPEC)), [(4.0, 5.0), (4.5, 5.5)])

    def test_a_video_shorter_than_a_window(self, path):
        long = ClipSpec(64, 16, 16, frames_per_second=8.0)
        [row] = rows_of_windows([Row(path, events=(Event("rise", 5.44, 5.5),))], long)
        assert (row.start_seconds, row.end_seconds) == pytest.approx((0, 5.5))
        assert row.events == (Event("rise", 5.44, 5.5),)
        [clip] = read_windows(path, long)
        again = read_clip(path, long, start_seconds=row.start_seconds, end_seconds=row.end_seconds)
        np.testing.assert_array_equal(again.frames, clip.frames)

    def test_without_a_rate_the_whole(self, path):
        event = Event("rise", 0.0, 1.0)
        [row, part] = rows_of_windows([Row(path, events=(event,)), Row(path, start_seconds=2.0)], ClipSpec(4, 16, 16))
        assert intervals([row, part]) == [pytest.approx((0, 5.5)), pytest.approx((2, 5.5))]
        assert row.events == (event,)

    def test_unreadable_rows_stay(self, path, tmp_path):
        broken = tmp_path / "broken.mp4"
        broken.write_text("no video")
        rows = [Row(str(broken), events=(Event("rise", 1.0, 2.0),)), Row("no such.mp4"), Row(path, start_seconds=7.0)]
        assert rows_of_windows(rows, SPEC) == rows
        assert len(rows_of_windows([*rows, Row(path)], SPEC)) == len(rows) + 6

    @pytest.mark.real_data
    def test_damaged_and_unreadable_videos(self, real_data):
        spec = ClipSpec(8, 16, 16, frames_per_second=8.0)
        for name in ("damaged_middle.mp4", "megamind_buggy.avi", "BA_MW_D_P_LOST.264"):
            path = str(real_data / "broken" / name)
            assert len(rows_of_windows([Row(path)], spec)) == len(list(read_windows(path, spec)))
        broken = [Row(str(real_data / "broken" / name)) for name in ("empty.mp4", "not_a_video.mp4", "truncated.mp4")]
        assert rows_of_windows(broken, spec) == broken

    def test_what_else_is_known_is_kept(self, path):
        row = Row(path, label="gray", group="g", split="test", attributes={"person": "tom"})
        for window in rows_of_windows([row], SPEC):
            assert (window.label, window.labels, window.group, window.split) == ("gray", ("gray",), "g", "test")
            assert window.attributes == {"person": "tom"}
            assert window.annotated == ()

    @pytest.mark.parametrize("stride", [0.0, -0.25])
    def test_stride(self, path, stride):
        with pytest.raises(ValueError, match=rf"seconds_between_windows must be a positive number, received {stride}"):
            rows_of_windows([Row(path)], SPEC, stride)


class TestEvents:
    def test_those_that_touch_it(self, path):
        events = (Event("rise", 0.5, 2.0), Event("tom", 3.2, 3.4, "person"))
        windows = rows_of_windows([Row(path, events=events)], SPEC)
        assert [window.events for window in windows] == [events[:1], events[:1], (), events[1:], (), ()]
        assert all(window.annotated == ("", "person") for window in windows)

    def test_a_window_without_events_is_a_negative(self, path):
        windows = rows_of_windows([Row(path, events=(Event("rise", 0.5, 2.0),)), Row(path)], SPEC)
        known = [vocabulary_labels(row, {"event": ["rise", "set"]}, np.zeros(0))["event"] for row in windows]
        np.testing.assert_array_equal(known, [[1, 0], [1, 0], [0, 0], [0, 0], [0, 0], [0, 0]] + [[-1, -1]] * 6)

    @pytest.mark.parametrize("frames_per_second", [4.0, 3.0, 30000 / 1001])
    def test_a_window_has_an_event_just_where_a_frame_shows_it(self, path, frames_per_second):
        rng = np.random.default_rng(0)
        spec = ClipSpec(5, 16, 16, frames_per_second)
        for start, length in zip(rng.uniform(0, 4, 60), rng.uniform(1.001, 4, 60) / frames_per_second, strict=True):
            row = Row(path, events=(Event("rise", start, start + length),))
            for window, clip_times in zip(rows_of_windows([row], spec), times_of_windows(path, spec), strict=True):
                shown = ((clip_times >= start) & (clip_times < start + length)).any()
                assert bool(window.events) == shown

    def test_end_to_end_none_is_lost(self, path):
        rng = np.random.default_rng(1)
        for start, length in zip(rng.uniform(0, 5.3, 100), 10 ** rng.uniform(-4, -0.7, 100), strict=True):
            row = Row(path, events=(Event("rise", start, min(start + length, 5.5)),))
            assert 1 <= sum(len(window.events) for window in rows_of_windows([row], SPEC)) <= 3

    def test_clip_labels_hold_where_their_events_are(self, path):
        row = Row(
            path, label="rise", labels=("rise", "gray"), events=(Event("rise", 2.0, 3.0), Event("jo", 2.0, 4.0, "who")),
            attributes={"who": "jo", "where": "home"},
        )  # fmt: skip
        windows = rows_of_windows([row], SPEC)
        assert [window.labels for window in windows[1:4]] == [("gray",), ("rise", "gray"), ("gray",)]
        assert [window.label for window in windows[1:4]] == ["gray", "rise", "gray"]
        assert [window.attributes for window in windows[1:5]] == [
            {"where": "home"}, {"where": "home", "who": "jo"}, {"where": "home", "who": "jo"}, {"where": "home"},
        ]  # fmt: skip

    def test_contradicting_labels(self, path):
        row = Row(path, label="set", events=(Event("rise", 2.0, 3.0),))
        for convert in (without_times, lambda rows: rows_of_windows(rows, SPEC)):
            with pytest.raises(ValueError, match=r"gray\.mp4 has events \['rise'\], but its own labels are \['set'\]"):
                convert([row])


def times_of_windows(path, spec):
    return [clip.times for clip in read_windows(path, spec)]


class TestWithoutTimes:
    def test_labels_in_place_of_events(self):
        events = (
            Event("b", 1, 2),
            Event("a", 1, 2),
            Event("b", 3, 4),
            Event("jo", 0, 9, "who"),
            Event("al", 0, 9, "who"),
        )
        [row] = without_times([Row("x.mp4", events=events, attributes={"where": "home"})])
        assert (row.label, row.labels, row.events) == (None, ("b", "a"), ())
        assert row.attributes == {"where": "home", "who": "jo;al"}
        assert row.annotated == ("", "who")

    def test_one_label(self):
        [row] = without_times([Row("x.mp4", events=(Event("b", 1, 2),))])
        assert (row.label, row.labels) == ("b", ("b",))

    def test_labels_beyond_the_events_are_kept(self):
        [row] = without_times([Row("x.mp4", labels=("a", "b"), events=(Event("b", 1, 2),))])
        assert row.labels == ("a", "b")

    def test_known_to_have_none(self):
        rows = without_times([Row("x.mp4", annotated=("",)), Row("y.mp4"), Row("z.mp4", label="a")])
        assert [row.annotated for row in rows] == [("",), (), ()]
        assert [row.labels for row in rows] == [(), (), ("a",)]

    def test_as_labels_they_say_when_no_more(self):
        vocabularies, times = {"event": ["a", "b"], "who": ["al", "jo"]}, np.array([0.5, 1.5])
        timed = Row("x.mp4", events=(Event("a", 1, 2), Event("jo", 0, 1, "who")), annotated=("who",))
        [weak] = without_times([timed])
        before, after = (vocabulary_labels(row, vocabularies, times) for row in (timed, weak))
        for name in vocabularies:
            np.testing.assert_array_equal(after[name], before[name])
        np.testing.assert_array_equal(before["event_frames"], [[0, 0], [1, 0]])
        np.testing.assert_array_equal(after["event_frames"], [[-1, 0], [-1, 0]])
        np.testing.assert_array_equal(after["who_frames"], [[0, -1], [0, -1]])

    def test_rows_of_events_have_one_event_each(self):
        parts = rows_of_events([Row("x.mp4", events=(Event("a", 1, 2), Event("b", 3, 4)))])
        assert [row.labels for row in without_times(parts)] == [("a",), ("b",)]


class TestThroughout:
    def test_events_last_from_start_to_end(self, path):
        events = (Event("b", 1, 2), Event("a", 1, 2), Event("b", 3, 4), Event("jo", 2, 5, "who"))
        whole, part = throughout(
            [Row(path, events=events), Row(path, events=events, start_seconds=1.0, end_seconds=4.0)]
        )
        for row, start, end in ((whole, 0.0, 5.5), (part, 1.0, 4.0)):
            assert row.events == (Event("b", start, end), Event("a", start, end), Event("jo", start, end, "who"))
            assert (row.labels, row.attributes, row.annotated) == (("b", "a"), {"who": "jo"}, ("", "who"))

    def test_knows_no_more_than_clip_labels(self, path):
        rows = [Row(path, events=(Event("a", 1, 2), Event("jo", 0, 1, "who"))), Row(path, annotated=("", "who"))]
        assert throughout(without_times(rows)) == throughout(rows)

    def test_clip_labels(self, path):
        [labeled, unlabeled] = throughout([Row(path, label="a"), Row(path)])
        assert (labeled.label, labeled.events) == ("a", (Event("a", 0.0, 5.5),))
        assert (unlabeled.events, unlabeled.annotated) == ((), ())

    def test_windows_have_the_labels_of_their_video(self, path):
        rows = [Row(path, events=(Event("a", 1, 2),)), Row(path, annotated=("",))]
        windows = rows_of_windows(throughout(rows), SPEC)
        times = np.array([0.125, 0.375])
        frames = [
            vocabulary_labels(row, {"event": ["a", "b"]}, row.start_seconds + times)["event_frames"] for row in windows
        ]
        np.testing.assert_array_equal(frames, [[[1, 0]] * 2] * 6 + [[[0, 0]] * 2] * 6)

    def test_unreadable_rows_stay(self):
        rows = [Row("no such.mp4", label="a")]
        assert throughout(rows) == rows

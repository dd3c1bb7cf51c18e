from __future__ import annotations

import gc
import itertools
import pathlib
from collections.abc import Callable

import av
import numpy as np
import pytest

from sora_keras.video import ClipSpec, VideoError, decoding, read_clip, read_windows, stream_frames
from sora_keras.video.decoding import check_end, displayed_frames, frame_rate, timed_frames
from sora_keras.video.opening import open_video

REORDERED = {"x264-params": "keyint=250:scenecut=0:bframes=3:b-adapt=0:b-pyramid=0"}


def times_of_packets_sent(path: pathlib.Path, wanted: list[float], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times of the packets that reach the decoder and are not left out by it, in order of decoding."""
    marked, sent = decoding._marked, []

    def watching(packets: object, clock: object, run: object) -> object:
        for packet, is_needed, is_served in marked(packets, clock, run):  # type: ignore[arg-type]
            sent.append((packet.pts, is_needed))
            yield packet, is_needed, is_served

    monkeypatch.setattr(decoding, "_marked", watching)
    with open_video(path) as stream:
        frames = list(displayed_frames(str(path), stream, wanted, 8.0))
        assert len(frames) == len(wanted)
        return [float(timestamp * stream.time_base) for timestamp, is_needed in sent if is_needed]


def test_only_the_wanted_packets_count_as_needed(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / "a.mp4", numbered_frames(200), options=REORDERED)
    wanted = [0.5, 1.0, 2.02, 2.5]
    needed = times_of_packets_sent(path, wanted, monkeypatch)
    assert sorted(needed) == pytest.approx([0.48, 1.0, 2.0, 2.48])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_nothing_is_decoded_after_the_last_wanted_frame(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / name, numbered_frames(200), options={"x264-params": "keyint=250:scenecut=0:bframes=0"})
    decode, num_decoded = decoding._decode, itertools.count()

    def counting(*args: object) -> object:
        for frame in decode(*args):  # type: ignore[arg-type]
            next(num_decoded)
            yield frame

    monkeypatch.setattr(decoding, "_decode", counting)
    read_clip(path, ClipSpec(5, 16, 32, 25.0), end_seconds=2.0)
    assert next(num_decoded) == 28  # The window is in the middle of the two seconds: frames 23 to 27.


LEFT_OUT = {
    "h264.mp4": {"options": REORDERED},
    "h264.ts": {"options": REORDERED},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=250:bframes=3:b-adapt=0"}},
    "hevc.mkv": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=250:bframes=3:b-adapt=0"}},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"bf": "3", "g": "250", "q": "2"}},
    "mpeg2.mkv": {"codec": "mpeg2video", "options": {"bf": "3", "g": "250", "q": "2"}},
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_frames_to_which_none_refers_are_left_out(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / name, numbered_frames(96), **LEFT_OUT[name])
    every_frame = [frame for _, frame in stream_frames(path, 16, 32)]
    decode, num_decoded = decoding._decode, itertools.count()

    def counting(*args: object) -> object:
        for frame in decode(*args):  # type: ignore[arg-type]
            next(num_decoded)
            yield frame

    monkeypatch.setattr(decoding, "_decode", counting)
    clip = read_clip(path, ClipSpec(4, 16, 32))
    np.testing.assert_array_equal(clip.frames, [every_frame[int(time * 25 + 1e-6)] for time in clip.times])
    assert next(num_decoded) < 64


def test_wanted_times_are_taken_as_they_are_needed(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable
) -> None:
    path = encode(tmp_path / "a.mp4", numbered_frames(200))
    taken = []

    def endless() -> object:
        for index in itertools.count():
            taken.append(index)
            yield index / 25

    with open_video(path) as stream:
        frames = list(itertools.islice(displayed_frames(str(path), stream, endless(), 8.0), 10))
    assert len(frames) == 10
    assert len(taken) < 100


def test_frames_are_freed_without_the_garbage_collector(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable
) -> None:
    path = encode(tmp_path / "a.mp4", numbered_frames(50), display=(90, False, False))
    gc.collect()
    gc.disable()
    try:
        read_clip(path, ClipSpec(8, 16, 32))
        list(stream_frames(path))
        list(read_windows(path, ClipSpec(4, 16, 32, 5.0)))
        assert not [thing for thing in gc.get_objects() if isinstance(thing, av.VideoFrame)]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("name", "pixel_formats"), [("a.264", ("yuv420p", "yuv420p")), ("a.ts", ("yuv420p", "yuv444p"))]
)
def test_frames_that_change_size_or_colors_midway(
    tmp_path: pathlib.Path, encode: Callable, name: str, pixel_formats: tuple[str, str]
) -> None:
    dark, bright = np.full((30, 32, 64, 3), 40, np.uint8), np.full((30, 48, 32, 3), 200, np.uint8)
    first = encode(tmp_path / f"first_{name}", dark, pixel_format=pixel_formats[0])
    second = encode(tmp_path / f"second_{name}", bright, pixel_format=pixel_formats[1], timestamps=range(1000, 1030))
    (tmp_path / name).write_bytes(first.read_bytes() + second.read_bytes())
    frames = [frame for _, frame in stream_frames(tmp_path / name)]
    assert {frame.shape for frame in frames} == {(32, 64, 3), (48, 32, 3)}
    levels = [frame.mean() for _, frame in stream_frames(tmp_path / name, 16, 16)]
    np.testing.assert_allclose(levels[:29] + levels[-29:], [40] * 29 + [200] * 29, atol=3)


def test_times_ascend_where_timestamps_jump_back(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable
) -> None:
    late = encode(tmp_path / "late.ts", numbered_frames(60), timestamps=range(5000, 5060))
    early = encode(tmp_path / "early.ts", numbered_frames(60), timestamps=range(100, 160))
    (tmp_path / "a.ts").write_bytes(late.read_bytes() + early.read_bytes())
    seconds, frames = zip(*stream_frames(tmp_path / "a.ts", 16, 32), strict=True)
    assert (np.diff(seconds) > 0).all()
    assert read_numbers(frames)[:59] + read_numbers(frames)[-59:] == [*range(59), *range(1, 60)]


def test_the_end_may_come_a_little_early() -> None:
    check_end("a.mp4", 9.0, 10.0, 10.0)
    message = r"a\.mp4: its frames end at 8\.90 s, but the one at 10\.00 s of 10\.50 s is wanted; the file is cut off"
    with pytest.raises(VideoError, match=message):
        check_end("a.mp4", 8.9, 10.0, 10.5)


def test_raw_streams_without_a_rate_are_taken_for_25_frames_per_second(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable
) -> None:
    path = encode(tmp_path / "a.264", numbered_frames(50))
    with open_video(path) as stream:
        assert frame_rate(stream) == 25.0
        seconds = [seconds for seconds, _ in timed_frames(str(path), stream)]
    np.testing.assert_allclose(seconds, np.arange(50) / 25)

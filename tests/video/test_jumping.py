from __future__ import annotations

import itertools
import pathlib
import struct
from collections.abc import Callable

import av
import numpy as np
import pytest

from sora_keras.video import ClipSpec, decoding, read_clip, stream_frames
from sora_keras.video.jumping import Clock, Jumps, packets_of
from sora_keras.video.opening import open_video

IN_ORDER = {"options": {"x264-params": "keyint=25:scenecut=0:bframes=0"}}
REORDERED = {"options": {"x264-params": "keyint=25:scenecut=0:bframes=3:open-gop=1"}}
MPEG4 = {"codec": "mpeg4", "options": {"g": "25", "q": "2", "bf": "2"}}
MPEG2 = {"codec": "mpeg2video", "options": {"g": "25", "q": "2", "bf": "2"}}
HEVC = {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=25:open-gop=1"}}
VP9 = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "25"}}
LONG_VIDEOS = {
    "in_order.mp4": IN_ORDER, "reordered.mp4": REORDERED, "reordered.mkv": REORDERED, "reordered.ts": REORDERED,
    "reordered.avi": REORDERED, "mpeg4.mp4": MPEG4, "mpeg4.avi": MPEG4, "mpeg4.ts": MPEG4, "mpeg2.ts": MPEG2,
    "mpeg2.mkv": MPEG2, "hevc.mp4": HEVC, "hevc.ts": HEVC, "vp9.webm": VP9, "vp9.mkv": VP9,
}  # fmt: skip


@pytest.fixture
def count_decoded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The number of frames that came out of the decoder since the last call."""
    counter = itertools.count()
    decode = decoding._decode

    def counting(*args: object) -> object:
        for frame in decode(*args):  # type: ignore[arg-type]
            next(counter)
            yield frame

    monkeypatch.setattr(decoding, "_decode", counting)
    last = -1

    def since_last() -> int:
        nonlocal last
        before, last = last, next(counter)
        return last - before - 1

    return since_last


@pytest.mark.parametrize("name", LONG_VIDEOS)
def test_a_window_of_a_long_video_takes_a_part_of_it(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, count_decoded: Callable[[], int], name: str
) -> None:
    path = encode(tmp_path / name, numbered_frames(750), **LONG_VIDEOS[name])
    begins, every_frame = zip(*stream_frames(path, 16, 32), strict=True)
    assert count_decoded() == len(begins) == 750
    for start_seconds in (0.0, 3.3, 9.99, 17.0, 29.0):
        clip = read_clip(
            path, ClipSpec(16, 16, 32, 25.0), start_seconds=start_seconds, end_seconds=start_seconds + 0.64
        )
        # From the keyframe before, and where keyframes have to be looked for from a few tries of a second or four.
        assert count_decoded() < (150 if name.endswith(".ts") else 75)
        shown = np.searchsorted(begins, clip.times + 1e-3, side="right") - 1
        np.testing.assert_array_equal(clip.frames, np.stack(every_frame)[shown])


@pytest.mark.parametrize("name", ["in_order.mp4", "mpeg4.avi", "reordered.ts", "vp9.webm"])
def test_a_few_frames_of_a_long_video_take_a_part_of_it(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, count_decoded: Callable[[], int], name: str
) -> None:
    path = encode(tmp_path / name, numbered_frames(750), **LONG_VIDEOS[name])
    read_clip(path, ClipSpec(3, 16, 32))
    assert count_decoded() < (250 if name.endswith(".ts") else 100)


def entries_of_index(content: bytes) -> list[int]:
    """Positions of the 16-byte entries (kind, flags, offset, size) of an AVI index."""
    begin = content.index(b"idx1")
    (size,) = struct.unpack_from("<I", content, begin + 4)
    return list(range(begin + 8, begin + 8 + size, 16))


def test_an_avi_index_with_holes_is_not_trusted(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, count_decoded: Callable[[], int]
) -> None:
    path = encode(tmp_path / "a.avi", numbered_frames(750), **MPEG4)
    expected = read_clip(path, ClipSpec(8, 16, 32, 25.0)).frames
    assert count_decoded() < 75
    content = bytearray(path.read_bytes())
    position = entries_of_index(content)[100]
    content[position : position + 160] = b"JUNK".ljust(16, b"\0") * 10
    path.write_bytes(content)
    np.testing.assert_array_equal(read_clip(path, ClipSpec(8, 16, 32, 25.0)).frames, expected)
    assert count_decoded() > 350


def test_an_avi_index_that_takes_all_frames_for_keyframes(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable
) -> None:
    path = encode(tmp_path / "a.avi", numbered_frames(250), "msmpeg4", options={"g": "25", "q": "2"})
    expected = [frame for _, frame in stream_frames(path, 16, 32)]
    content = bytearray(path.read_bytes())
    for position in entries_of_index(content):
        struct.pack_into("<I", content, position + 4, 0x10)
    path.write_bytes(content)
    for start_seconds in (2.1, 4.7, 8.3):
        clip = read_clip(path, ClipSpec(5, 16, 32, 25.0), start_seconds=start_seconds, end_seconds=start_seconds + 0.2)
        np.testing.assert_array_equal(clip.frames, [expected[int(time * 25)] for time in clip.times])


def test_a_keyframe_that_is_lost_is_passed_by_for_an_earlier_one(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable
) -> None:
    path = encode(tmp_path / "a.webm", numbered_frames(250), **VP9)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = path.read_bytes()
    path.write_bytes(content.replace(packets[150], bytes(len(packets[150]))))
    expected = dict(stream_frames(path, 16, 32))
    assert len(expected) == 249
    clip = read_clip(path, ClipSpec(3, 16, 32, 25.0), start_seconds=6.4, end_seconds=6.52)
    np.testing.assert_array_equal(clip.frames, [expected[seconds] for seconds in (6.4, 6.44, 6.48)])


def test_clock_of_a_transport_stream_starts_at_its_first_frame(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable
) -> None:
    path = encode(tmp_path / "a.ts", numbered_frames(50), timestamps=range(1000, 1050))
    with open_video(path) as stream:
        clock = Clock(stream)
        assert clock.origin is None
        clock.origin = next(packets_of(stream)).pts
        assert clock.seconds(clock.origin + 90_000) == 1.0
        assert clock.index_timestamp(2.5) == clock.origin + 225_000
        assert clock.index_seconds(clock.index_timestamp(2.5)) == 2.5
        assert clock.index_timestamp(1e30) == 2**60


def test_clock_of_an_avi_counts_frames(tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable) -> None:
    path = encode(tmp_path / "a.avi", numbered_frames(50), **MPEG4)
    with open_video(path) as stream:
        clock = Clock(stream)
        clock.origin = 1  # The decoder shows the first frame when it has got the second.
        assert (clock.timestamp_name, clock.seconds(26), clock.index_seconds(25)) == ("dts", 1.0, 1.0)
        assert clock.index_timestamp(1.03) == 25


@pytest.mark.parametrize(
    ("name", "pays"), [("in_order.mp4", [False, True, True]), ("reordered.ts", [False, False, True])]
)
def test_a_jump_pays_over_a_keyframe_far_enough(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, name: str, pays: list[bool]
) -> None:
    path = encode(tmp_path / name, numbered_frames(250), **LONG_VIDEOS[name])
    with open_video(path) as stream:
        jumps = Jumps(stream, Clock(stream))
        assert [jumps.pays(2.0, wanted) for wanted in (2.9, 3.1, 6.5)] == pays
        assert not jumps.pays(6.2, 6.5)


def test_entrances_go_back_from_the_wanted_frame(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable
) -> None:
    path = encode(tmp_path / "a.mp4", numbered_frames(750), **IN_ORDER)
    with open_video(path) as stream:
        jumps = Jumps(stream, Clock(stream))
        begins = [float(next(packets).pts * stream.time_base) for packets in jumps.packets_before(20.5)]
        assert begins == [20.0, 19.0, 16.0, 4.0]


def test_a_stream_without_any_keyframe_to_enter_at_is_decoded_twice_at_most(
    tmp_path: pathlib.Path,
    encode: Callable,
    numbered_frames: Callable,
    read_numbers: Callable,
    count_decoded: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = encode(tmp_path / "a.ts", numbered_frames(500), **MPEG2)
    monkeypatch.setattr(Jumps, "shows_whole_pictures", lambda jumps, frame: False)
    clip = read_clip(path, ClipSpec(4, 16, 32))
    assert read_numbers(clip.frames) == [62, 187, 312 % 256, 437 % 256]
    # Up to the first frame, the tries to jump to the second, up to that one, and all from the beginning.
    assert count_decoded() < 65 + 50 + 190 + 440

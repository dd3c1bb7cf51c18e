from __future__ import annotations

import pathlib
from collections.abc import Callable

import av
import numpy as np
import pytest
from cut_off_video import cut_off

from sora_keras.video import VideoError, stream_frames, write_video
from sora_keras.video.every_frame import every_frame
from sora_keras.video.opening import open_video
from sora_keras.video.rewriting import rewrite_video

LONG_GROUPS = "keyint=20:min-keyint=20:scenecut=0:bframes=4:b-pyramid=2:ref=3"
WAYS_TO_ENCODE = {
    "b_frames.mp4": {"options": {"x264-params": LONG_GROUPS}},
    "open_groups.mp4": {"options": {"x264-params": LONG_GROUPS + ":open-gop=1"}},
    "b_frames.mkv": {"options": {"x264-params": LONG_GROUPS}},
    "b_frames.ts": {"options": {"x264-params": LONG_GROUPS}},
    "b_frames.avi": {"options": {"x264-params": LONG_GROUPS}},
    "raw.264": {"options": {"x264-params": LONG_GROUPS}},
    "interlaced.mp4": {"options": {"x264-params": LONG_GROUPS + ":interlaced=1"}},
    "interlaced.ts": {"options": {"x264-params": LONG_GROUPS + ":interlaced=1"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=20:open-gop=1"}},
    "hevc.ts": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=20:open-gop=1"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "g": "20", "auto-alt-ref": "1"}},
    "vp8.webm": {"codec": "libvpx", "options": {"cpu-used": "8", "g": "20", "auto-alt-ref": "1", "lag-in-frames": "9"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"bf": "2", "g": "20", "q": "2"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "20", "q": "2"}},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"bf": "2", "g": "20", "q": "2"}},
    "wmv.asf": {"codec": "wmv2", "options": {"g": "20", "q": "2"}},
    "animation.gif": {"codec": "gif", "pixel_format": "rgb8"},
}


@pytest.mark.parametrize("name", WAYS_TO_ENCODE)
def test_whole_files_of_every_kind_have_each_frame_once_and_no_holes(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable, name: str
) -> None:
    path = encode(tmp_path / name, numbered_frames(45), **WAYS_TO_ENCODE[name])
    with open_video(path) as video:
        frames = list(every_frame(str(path), video))
        time_base = video.time_base
    assert not any(frame.picture is None or frame.is_broken for frame in frames)
    assert read_numbers(frame.picture.to_ndarray(format="rgb24") for frame in frames) == list(range(45))
    times = [float((frame.timestamp - frames[0].timestamp) * time_base) for frame in frames]
    np.testing.assert_allclose(times, [seconds for seconds, _ in stream_frames(path)], atol=1e-6)
    if name != "animation.gif":
        assert all(float(frame.duration * time_base) == pytest.approx(0.04, abs=0.0011) for frame in frames)
    done = rewrite_video(path, tmp_path / "b.mkv", lambda frames: (frame for _, frame in frames))
    assert any("interlaced" in warning for warning in done.warnings) == name.startswith("interlaced")
    assert read_numbers(frame for _, frame in stream_frames(tmp_path / "b.mkv")) == list(range(45))


def moving_dots(num_frames: int) -> np.ndarray:
    """Smooth structure that moves two pixels a frame."""
    rng = np.random.default_rng(0)
    wide = np.repeat(np.repeat(rng.integers(20, 236, (8, 60, 3)), 16, 0), 16, 1).astype(np.float32)
    wide = sum(np.roll(wide, shift, axis) for shift in range(-8, 9) for axis in (0, 1)) / 34
    return np.stack([wide[:, 2 * index : 2 * index + 192] for index in range(num_frames)]).astype(np.uint8)


def destroy(path: pathlib.Path, numbers: list[int]) -> list[float]:
    """Overwrite these packets, counted as stored, with zeros; the seconds at which their frames are shown."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
        stored = [(bytes(packet), float(packet.pts * packet.time_base)) for packet in packets]
    content = path.read_bytes()
    for number in numbers:
        assert content.count(stored[number][0]) == 1
        content = content.replace(stored[number][0], bytes(len(stored[number][0])))
    path.write_bytes(content)
    return sorted(stored[number][1] for number in numbers)


@pytest.mark.parametrize(("numbers", "extension"), [([13], ".mp4"), ([13], ".mkv"), ([13, 14], ".mp4"), ([39], ".mp4")])
def test_lost_frames_are_made_from_their_neighbors(
    tmp_path: pathlib.Path, encode: Callable, numbers: list[int], extension: str
) -> None:
    frames = moving_dots(40)
    # Each frame is stored on its own, so that nothing else is harmed.
    path = encode(tmp_path / f"a{extension}", frames, options={"x264-params": "keyint=1", "crf": "1"})
    lost = destroy(path, numbers)
    done = rewrite_video(path, tmp_path / "b.mp4", lambda pairs: (frame for _, frame in pairs), quality=1)
    np.testing.assert_allclose(done.broken_seconds, lost)
    shown = list(stream_frames(tmp_path / "b.mp4"))
    np.testing.assert_allclose([seconds for seconds, _ in shown], np.arange(40) / 25, atol=1e-6)
    for number in set(range(40)) - set(numbers):
        assert np.abs(shown[number][1].astype(int) - frames[number]).mean() < 5
    for number in numbers:
        held = np.abs(frames[min(numbers) - 1].astype(int) - frames[number]).mean()
        error = np.abs(shown[number][1].astype(int) - frames[number]).mean()
        # Of the last frame there is no neighbor after it.
        assert error < (0.5 * held if number < 39 else 1.2 * held)


def test_a_lost_beginning_shows_the_first_frame_that_there_is(tmp_path: pathlib.Path, encode: Callable) -> None:
    path = encode(tmp_path / "a.mp4", moving_dots(30), options={"x264-params": "keyint=10:min-keyint=10:scenecut=0"})
    destroy(path, [0])
    done = rewrite_video(path, tmp_path / "b.mp4", lambda pairs: (frame for _, frame in pairs))
    assert done.num_frames == 30
    assert done.broken_seconds[0] == 0
    times = [seconds for seconds, _ in stream_frames(tmp_path / "b.mp4")]
    np.testing.assert_allclose(times, np.arange(30) / 25, atol=1e-6)


def test_a_file_of_which_most_is_lost_is_refused(tmp_path: pathlib.Path, encode: Callable) -> None:
    path = encode(tmp_path / "a.mp4", moving_dots(20), options={"x264-params": "keyint=1"})
    destroy(path, list(range(3, 17)))
    with pytest.raises(VideoError, match=r"a\.mp4: only 6 of its 20 frames can be decoded"):
        rewrite_video(path, tmp_path / "b.mp4", lambda pairs: (frame for _, frame in pairs))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_file_that_is_cut_off_is_told(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    write_video(tmp_path / "a.mp4", np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), np.uint8), 10.0)
    done = rewrite_video(cut_off(tmp_path / "a.mp4", 0.6), tmp_path / "b.mp4", lambda pairs: (f for _, f in pairs))
    assert 50 <= done.num_frames <= 65
    assert any("s of 10.00 s: the file is cut off" in warning for warning in done.warnings)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "num_frames", "num_broken"),
    [
        ("BA_MW_D_IDR_LOST.264", 70, 0),
        ("BA_MW_D_P_LOST.264", 99, 0),
        ("Error_I_P.264", 6, 5),
        ("megamind_buggy.avi", 270, 0),
    ],
)
def test_real_broken_streams(
    tmp_path: pathlib.Path, real_data: pathlib.Path, name: str, num_frames: int, num_broken: int
) -> None:
    source = real_data / "broken" / name
    done = rewrite_video(source, tmp_path / "b.mp4", lambda pairs: (frame[::4, ::4] for _, frame in pairs))
    assert (done.num_frames, len(done.broken_seconds)) == (num_frames, num_broken)
    times = [seconds for seconds, _ in stream_frames(tmp_path / "b.mp4")]
    np.testing.assert_allclose(times, [seconds for seconds, _ in stream_frames(source)], atol=1e-4)

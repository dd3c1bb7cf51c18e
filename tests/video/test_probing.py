from __future__ import annotations

import itertools
import pathlib
import time
from collections.abc import Callable
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from sora_keras.video import (
    ClipSpec,
    VideoError,
    VideoInfo,
    probe,
    read_clip,
    read_windows,
    stream_frames,
    write_video,
)


def test_every_field_of_a_plain_video(tmp_path: pathlib.Path) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((30, 48, 80, 3), np.uint8), frames_per_second=12.5)
    assert probe(tmp_path / "a.mp4") == VideoInfo(
        duration_seconds=2.4,
        start_seconds=0.0,
        frames_per_second=12.5,
        height=48,
        width=80,
        rotation_degrees=0,
        codec="h264",
        has_audio=False,
    )


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "container_options"),
    [
        ("raw.264", "libx264", "yuv420p", {}),
        ("a.gif", "gif", "rgb8", {}),
        ("a.mkv", "libx264", "yuv420p", {}),
        ("live.webm", "libvpx-vp9", "yuv420p", {"live": "1"}),
        ("fragments.mp4", "libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.avi", "mpeg4", "yuv420p", {}),
        ("a.flv", "libx264", "yuv420p", {}),
        ("a.ts", "libx264", "yuv420p", {}),
    ],
)
def test_duration_where_the_header_may_be_silent(
    tmp_path: pathlib.Path,
    encode: Callable,
    numbered_frames: Callable,
    name: str,
    codec: str,
    pixel_format: str,
    container_options: dict[str, str],
) -> None:
    path = encode(tmp_path / name, numbered_frames(60), codec, pixel_format, container_options=container_options)
    info = probe(path)
    assert info.duration_seconds == pytest.approx(60 / 25, abs=0.011)
    assert info.frames_per_second == pytest.approx(25)


def test_sound_that_lasts_longer_does_not_count(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        pictures = container.add_stream("libx264", rate=25)
        pictures.height, pictures.width, pictures.pix_fmt = 32, 64, "yuv420p"
        sounds = container.add_stream("aac", rate=8000, layout="mono")
        for index in range(80):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.sample_rate, sound.pts = 8000, 1024 * index
            container.mux(sounds.encode(sound))
        for frame in numbered_frames(50):
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        container.mux(pictures.encode(None))
        container.mux(sounds.encode(None))
    info = probe(tmp_path / "a.mkv")
    assert info.has_audio
    assert info.duration_seconds == pytest.approx(2.0, abs=0.01)


def test_first_timestamp_and_rotation(tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable) -> None:
    frames = numbered_frames(50)
    late = probe(encode(tmp_path / "late.mp4", frames, timestamps=range(250, 300)))
    assert (late.start_seconds, late.duration_seconds) == (10.0, 2.0)
    turned = probe(encode(tmp_path / "turned.mp4", frames, display=(-90, False, False)))
    assert (turned.height, turned.width, turned.rotation_degrees) == (64, 32, 270)


def test_one_frame(tmp_path: pathlib.Path) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((1, 16, 16, 3), np.uint8))
    assert probe(tmp_path / "a.mp4").duration_seconds == pytest.approx(0.04)


@pytest.mark.real_data
def test_real_videos_agree_with_opencv(real_data: pathlib.Path) -> None:
    for name in ("fights/fight/fi098.mp4", "scenes/faces_stage.mp4", "ceiling/20200628_144536.mp4", "asl/tom/B.mp4"):
        info, capture = probe(real_data / name), cv2.VideoCapture(str(real_data / name))
        assert (info.height, info.width) == (
            capture.get(cv2.CAP_PROP_FRAME_HEIGHT),
            capture.get(cv2.CAP_PROP_FRAME_WIDTH),
        )
        assert info.frames_per_second == pytest.approx(capture.get(cv2.CAP_PROP_FPS))
        num_frames = info.duration_seconds * info.frames_per_second
        assert num_frames == pytest.approx(capture.get(cv2.CAP_PROP_FRAME_COUNT), abs=0.5)


def test_times_beyond_a_week_are_taken_for_broken(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable
) -> None:
    frames, options = numbered_frames(3), {"bf": "0"}
    fine = encode(tmp_path / "a.mkv", frames, options=options, timestamps=[0, 1, 600_000], ticks_per_second=1)
    assert probe(fine).duration_seconds == pytest.approx(600_000, abs=1)
    assert len(read_clip(fine, ClipSpec(4, 16, 32)).frames) == 4
    broken = encode(tmp_path / "b.mkv", frames, options=options, timestamps=[0, 1, 10**9], ticks_per_second=1)
    message = r"b\.mkv: its header tells of 100000000[01] s of video, more than the 604800 s of a week; its times are"
    with pytest.raises(VideoError, match=message):
        probe(broken)
    with pytest.raises(VideoError, match=message):
        read_clip(broken, ClipSpec(4, 16, 32))
    with pytest.raises(VideoError, match=message):
        next(read_windows(broken, ClipSpec(4, 16, 32, 8.0)))
    assert len(list(stream_frames(broken))) == 3


def encode_seconds(path: pathlib.Path, codec: str, num_seconds: int, options: dict[str, str]) -> None:
    """One gray frame a second, as bright as its number."""
    levels = [np.full((32, 32, 3), level, np.uint8) for level in range(200)]
    pictures = [av.VideoFrame.from_ndarray(level, "rgb24").reformat(format="yuv420p", threads=1) for level in levels]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1, options=options)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.thread_count = 1
        for index in range(num_seconds):
            picture = pictures[index % 200]
            picture.pts, picture.time_base = index, Fraction(1)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"g": "60", "preset": "veryfast"}),
        ("a.mkv", "libx264", {"g": "60", "preset": "veryfast"}),
        ("a.ts", "libx264", {"g": "60", "preset": "veryfast"}),
        ("a.avi", "mpeg4", {"g": "60"}),
        ("a.webm", "libvpx-vp9", {"g": "60", "deadline": "realtime", "cpu-used": "8"}),
    ],
)
def test_ten_hours_take_no_longer_than_one(
    tmp_path: pathlib.Path, name: str, codec: str, options: dict[str, str]
) -> None:
    seconds = []
    for num_seconds in (3600, 36000):
        encode_seconds(tmp_path / name, codec, num_seconds, options)
        start = time.process_time()
        assert probe(tmp_path / name).duration_seconds == pytest.approx(num_seconds, abs=1)
        rng = np.random.default_rng(0)
        for spec in (ClipSpec(16, 16, 16), *[ClipSpec(16, 16, 16, 1.0)] * 4):
            clip = read_clip(tmp_path / name, spec, "random_window", rng=rng)
            np.testing.assert_allclose(clip.frames.mean((1, 2, 3)), np.floor(clip.times) % 200, atol=8)
        for clip in itertools.islice(read_windows(tmp_path / name, ClipSpec(16, 16, 16, 1.0)), 5):
            np.testing.assert_allclose(clip.frames.mean((1, 2, 3)), np.floor(clip.times) % 200, atol=8)
        seconds.append(time.process_time() - start)
    assert seconds[1] < 3 * seconds[0] + 0.1

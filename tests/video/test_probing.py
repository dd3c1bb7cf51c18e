from __future__ import annotations

import pathlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sora_keras.video import VideoInfo, probe, write_video


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

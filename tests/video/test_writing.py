from __future__ import annotations

import concurrent.futures
import pathlib
from collections.abc import Callable, Iterator

import av
import cv2
import numpy as np
import pytest

from sora_keras.video import VideoError, probe, stream_frames, write_video


@pytest.mark.parametrize("extension", [".mp4", ".mov", ".mkv", ".MP4"])
def test_frames_come_back_through_opencv(
    tmp_path: pathlib.Path, numbered_frames: Callable, read_numbers: Callable, extension: str
) -> None:
    path = tmp_path / f"counting{extension}"
    write_video(path, numbered_frames(70), frames_per_second=12.5)
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    decoded = [capture.read()[1] for _ in range(70)]
    assert read_numbers(decoded) == list(range(70))
    assert not capture.read()[0]


def test_colors_survive_in_place(tmp_path: pathlib.Path) -> None:
    frame = np.zeros((48, 80, 3), np.uint8)
    frame[:24, :40], frame[:24, 40:], frame[24:, :40] = (220, 30, 40), (20, 200, 60), (50, 70, 240)
    write_video(tmp_path / "colors.mp4", [frame] * 3)
    for _, decoded in stream_frames(tmp_path / "colors.mp4"):
        for row, column in ((12, 20), (12, 60), (36, 20), (36, 60)):
            np.testing.assert_allclose(decoded[row, column].astype(int), frame[row, column], atol=6)


@pytest.mark.parametrize(("height", "width"), [(33, 64), (64, 35), (7, 9), (1, 1)])
def test_odd_sizes_are_kept(tmp_path: pathlib.Path, height: int, width: int) -> None:
    frames = np.full((4, height, width, 3), 90, np.uint8)
    write_video(tmp_path / "odd.mp4", frames)
    decoded = [frame for _, frame in stream_frames(tmp_path / "odd.mp4")]
    np.testing.assert_allclose(np.stack(decoded).astype(int), frames, atol=3)


def test_gif(tmp_path: pathlib.Path, numbered_frames: Callable, read_numbers: Callable) -> None:
    write_video(tmp_path / "counting.gif", numbered_frames(20), frames_per_second=10)
    seconds, frames = zip(*stream_frames(tmp_path / "counting.gif"), strict=True)
    assert read_numbers(frames) == list(range(20))
    np.testing.assert_allclose(seconds, np.arange(20) / 10)


def test_a_generator_is_taken_one_frame_at_a_time(tmp_path: pathlib.Path) -> None:
    frames = (np.full((16, 16, 3), level, np.uint8) for level in range(9))
    write_video(tmp_path / "a.mp4", frames, frames_per_second=30000 / 1001)
    assert probe(tmp_path / "a.mp4").frames_per_second == pytest.approx(29.97, abs=0.001)
    assert probe(tmp_path / "a.mp4").duration_seconds == pytest.approx(9 * 1001 / 30000, abs=0.001)


def test_views_that_are_not_contiguous(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    frames = numbered_frames(5)
    write_video(tmp_path / "a.mp4", frames[:, ::-1, ::-1])
    write_video(tmp_path / "b.mp4", np.ascontiguousarray(frames[:, ::-1, ::-1]))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_the_same_frames_give_the_same_bytes_in_any_thread(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    paths = [tmp_path / f"{number}.mp4" for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: write_video(path, numbered_frames(40)), paths))
    assert len({path.read_bytes() for path in paths}) == 1
    assert sorted(tmp_path.iterdir()) == paths


def test_lower_quality_is_smaller(tmp_path: pathlib.Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (10, 64, 64, 3), np.uint8)
    for quality in (5, 40):
        write_video(tmp_path / f"{quality}.mp4", frames, quality=quality)
    assert (tmp_path / "40.mp4").stat().st_size < (tmp_path / "5.mp4").stat().st_size / 3


def frame_of(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "at least one frame, received 0"),
        (frame_of(0, 8, 8, 3), "at least one frame, received 0"),
        (frame_of(2, 8, 8, 3, dtype=np.float32), "uint8 arrays, received float32 as frame 0"),
        ([[[1, 2, 3]]], "uint8 arrays, received list as frame 0"),
        (frame_of(2, 8, 9, 4), r"shape \(H, W, 3\), received \(8, 9, 4\) as frame 0"),
        (frame_of(8, 9, 3), r"shape \(H, W, 3\), received \(9, 3\) as frame 0"),
        (frame_of(2, 0, 9, 3), r"shape \(H, W, 3\), received \(0, 9, 3\) as frame 0"),
        (
            [frame_of(8, 8, 3), frame_of(8, 8, 3), frame_of(10, 8, 3)],
            r"shape of the first, \(8, 8, 3\), received \(10, 8, 3\) as frame 2",
        ),
    ],
)
def test_wrong_frames_leave_nothing_behind(tmp_path: pathlib.Path, frames: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / "a.mp4", frames)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_are_named(tmp_path: pathlib.Path) -> None:
    frames = frame_of(2, 8, 8, 3)
    with pytest.raises(ValueError, match=r"one of \.mp4, \.mov, \.mkv, \.gif, received '\.mpq' in '.*a\.mpq'"):
        write_video(tmp_path / "a.mpq", frames)
    with pytest.raises(ValueError, match=r"from 0\.01 to 1000, received -12"):
        write_video(tmp_path / "a.mp4", frames, frames_per_second=-12)
    with pytest.raises(ValueError, match=r"from 0 .* to 51, received 77"):
        write_video(tmp_path / "a.mp4", frames, quality=77)
    with pytest.raises(VideoError, match=r"a\.mp4: the folder '.*nowhere' does not exist; create it"):
        write_video(tmp_path / "nowhere" / "a.mp4", frames)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(VideoError, match=r"folder\.mp4: this is a folder"):
        write_video(tmp_path / "folder.mp4", frames)


def test_a_failing_encoder_becomes_a_video_error(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise av.error.PermissionError(13, "Permission denied")

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(VideoError, match=r"a\.mp4: FFmpeg cannot write it \(Permission denied\)"):
        write_video(tmp_path / "a.mp4", frame_of(2, 8, 8, 3))


def test_a_failure_midway_keeps_the_old_file(tmp_path: pathlib.Path) -> None:
    def failing() -> Iterator[np.ndarray]:
        yield frame_of(8, 8, 3)
        raise VideoError("source.mp4", "it broke")

    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(VideoError, match=r"source\.mp4: it broke"):
        write_video(tmp_path / "a.mp4", failing())
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.mp4"]
    write_video(tmp_path / "a.mp4", frame_of(2, 8, 8, 3))
    assert probe(tmp_path / "a.mp4").height == 8

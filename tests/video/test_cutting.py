from __future__ import annotations

import logging
import pathlib
from collections.abc import Callable

import av
import numpy as np
import pytest
from sounding_video import write_sounding_video

from sora_keras.video import VideoError, cutting, probe, read_clip, read_sound, stream_frames, write_video
from sora_keras.video.clip import ClipSpec
from sora_keras.video.cutting import cut_video

SECONDS = 12
PARTS = [(1.0, 2.0), (8.0, 10.4), (4.0, 4.2)]


def tones(seconds: float, sample_rate_hz: int = 16_000) -> np.ndarray:
    """A tone for each second of time, each higher than the one before."""
    times = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    return 0.5 * np.sin(2 * np.pi * 200 * (1 + np.floor(times)) * times)


@pytest.fixture
def counting(tmp_path: pathlib.Path, numbered_frames: Callable) -> pathlib.Path:
    """Frames that show 0, 1, 2, ... modulo 256, 25 a second, while a tone rises second by second."""
    frames = numbered_frames(25 * SECONDS)
    return write_sounding_video(tmp_path / "counting.mkv", frames, tones(SECONDS), codec="flac")


@pytest.mark.parametrize("extension", [".mp4", ".mkv", ".MOV"])
def test_the_wanted_frames_and_sound_one_part_after_the_other(
    tmp_path: pathlib.Path, counting: pathlib.Path, read_numbers: Callable, extension: str
) -> None:
    to = tmp_path / f"cut{extension}"
    cut_video(counting, PARTS, to)
    numbers = read_numbers(frame for _, frame in stream_frames(to))
    assert numbers == [*range(25, 50), *(number % 256 for number in range(200, 260)), *range(100, 105)]
    info = probe(to)
    assert info.frames_per_second == pytest.approx(25)
    assert info.duration_seconds == pytest.approx(3.6, abs=0.01)
    assert info.has_audio
    sound = read_sound(to)
    assert len(sound) == pytest.approx(3.6 * 16_000, abs=200)
    wanted = np.concatenate([read_sound(counting, start_seconds=start, end_seconds=end) for start, end in PARTS])
    num_samples = min(len(sound), len(wanted))
    assert np.corrcoef(sound[:num_samples], wanted[:num_samples])[0, 1] > 0.98
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["counting.mkv", to.name])
    with av.open(str(to)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]


def test_pieces_that_are_held_at_once_do_not_show(
    tmp_path: pathlib.Path, counting: pathlib.Path, read_numbers: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 0

    def measured(path: pathlib.Path, clip_spec: ClipSpec, **options: float) -> object:
        nonlocal longest
        longest = max(longest, clip_spec.num_frames)
        return read_clip(path, clip_spec, **options)

    cut_video(counting, [(2.0, 9.0)], tmp_path / "one.mp4")
    monkeypatch.setattr(cutting, "_SECONDS_HELD", 0.7)
    monkeypatch.setattr(cutting, "read_clip", measured)
    cut_video(counting, [(2.0, 9.0)], tmp_path / "many.mp4")
    assert longest == 17
    one, many = (np.stack([frame for _, frame in stream_frames(tmp_path / name)]) for name in ("one.mp4", "many.mp4"))
    np.testing.assert_array_equal(one, many)
    np.testing.assert_allclose(read_sound(tmp_path / "one.mp4"), read_sound(tmp_path / "many.mp4"), atol=0.02)
    monkeypatch.setattr(cutting, "_BYTES_HELD", 5 * 3 * 32 * 64)
    longest = 0
    cut_video(counting, [(2.0, 3.0)], tmp_path / "few.mp4")
    assert longest == 5


def test_pictures_and_sound_lie_side_by_side_in_the_file(tmp_path: pathlib.Path, counting: pathlib.Path) -> None:
    cut_video(counting, [(0.0, 12.0)], tmp_path / "cut.mp4")
    latest = {"video": 0.0, "audio": 0.0}
    with av.open(str(tmp_path / "cut.mp4")) as container:
        packets = sorted(
            (packet for packet in container.demux() if packet.pos is not None), key=lambda packet: packet.pos
        )
        for packet in packets:
            if packet.dts is not None:
                latest[packet.stream.type] = float(packet.dts * packet.time_base)
                assert abs(latest["video"] - latest["audio"]) < 1.5


def test_mute_videos_stay_mute(tmp_path: pathlib.Path, numbered_frames: Callable, read_numbers: Callable) -> None:
    write_video(tmp_path / "mute.mp4", numbered_frames(50), 10.0)
    cut_video(tmp_path / "mute.mp4", [(3.0, 99.0), (0.0, 0.5)], tmp_path / "cut.mp4")
    numbers = read_numbers(frame for _, frame in stream_frames(tmp_path / "cut.mp4"))
    assert numbers == [*range(30, 50), *range(5)]
    assert not probe(tmp_path / "cut.mp4").has_audio


def test_broken_sound_is_silence_and_a_warning(
    tmp_path: pathlib.Path, counting: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = counting.read_bytes()
    assert content.count(b"\xff\xf8") > 5
    counting.write_bytes(content.replace(b"\xff\xf8", b"\0\0"))
    with caplog.at_level(logging.WARNING):
        cut_video(counting, [(1.0, 2.0)], tmp_path / "cut.mp4")
    assert "no sound" in caplog.text
    assert "packets of its sound cannot be decoded" in caplog.text
    assert probe(tmp_path / "cut.mp4").has_audio
    assert np.abs(read_sound(tmp_path / "cut.mp4")).max() < 1e-3


@pytest.mark.parametrize(
    ("size", "most_rows", "expected"),
    [((33, 65), None, (32, 64)), ((33, 65), 20, (20, 38)), ((40, 20), 90, (40, 20)), ((3, 9), 2, (2, 6))],
)
def test_sizes_are_even_and_at_most_as_asked(
    tmp_path: pathlib.Path, size: tuple[int, int], most_rows: int | None, expected: tuple[int, int]
) -> None:
    write_video(tmp_path / "a.mp4", np.full((5, *size, 3), 99, np.uint8))
    cut_video(tmp_path / "a.mp4", [(0.0, 0.2)], tmp_path / "cut.mp4", most_rows)
    info = probe(tmp_path / "cut.mp4")
    assert (info.height, info.width) == expected


def test_very_fast_videos_are_thinned(tmp_path: pathlib.Path) -> None:
    write_video(tmp_path / "fast.mp4", np.full((240, 16, 16, 3), 99, np.uint8), 240.0)
    cut_video(tmp_path / "fast.mp4", [(0.0, 1.0)], tmp_path / "cut.mp4")
    assert probe(tmp_path / "cut.mp4").frames_per_second == pytest.approx(60)


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        ([], {}, r"at least one part to write, received 0"),
        ([(1.0, 2.0), (3.5, 3.25)], {}, r"end after it begins, received 3\.5 to 3\.25"),
        ([(-1.0, 2.0)], {}, r"received -1\.0 to 2\.0"),
        ([(0.0, float("inf"))], {}, r"received 0\.0 to inf"),
        ([(0.0, 1.0)], {"most_rows": 1}, r"`most_rows` must be at least 2, or None, received 1"),
        ([(0.0, 1.0)], {"quality": 77}, r"quality .* received 77"),
    ],
)
def test_arguments_out_of_range(
    tmp_path: pathlib.Path, counting: pathlib.Path, parts: list, options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cut_video(counting, parts, tmp_path / "cut.mp4", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["counting.mkv"]


def test_places_and_parts_that_do_not_exist(tmp_path: pathlib.Path, counting: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"extension must be one of \.mp4, \.mov, \.mkv, received '\.gif'"):
        cut_video(counting, PARTS, tmp_path / "cut.gif")
    with pytest.raises(VideoError, match=r"gone/cut\.mp4: the folder .*gone' does not exist"):
        cut_video(counting, PARTS, tmp_path / "gone" / "cut.mp4")
    with pytest.raises(VideoError, match=r"the part from 77 s .* it lasts 12\.000 s"):
        cut_video(counting, [(0.0, 1.0), (77.0, 78.0)], tmp_path / "cut.mp4")
    with pytest.raises(VideoError, match=r"gone\.mp4: there is no such file"):
        cut_video(tmp_path / "gone.mp4", PARTS, tmp_path / "cut.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["counting.mkv"]


@pytest.mark.real_data
def test_real_video_with_sound(tmp_path: pathlib.Path, real_data: pathlib.Path) -> None:
    path = real_data / "scenes" / "v_ApplyEyeMakeup_g01_c01.avi"
    cut_video(path, [(1.0, 3.0), (4.0, 4.6)], tmp_path / "cut.mp4", most_rows=120)
    info = probe(tmp_path / "cut.mp4")
    assert (info.height, info.width) == (120, 160)
    assert info.duration_seconds == pytest.approx(2.6, abs=0.05)
    sound = read_sound(tmp_path / "cut.mp4")
    wanted = np.concatenate(
        [read_sound(path, start_seconds=start, end_seconds=end) for start, end in ((1, 3), (4, 4.6))]
    )
    num_samples = min(len(sound), len(wanted))
    assert np.abs(wanted).mean() > 0.02
    assert np.corrcoef(sound[:num_samples], wanted[:num_samples])[0, 1] > 0.98
    frames = [frame for _, frame in stream_frames(tmp_path / "cut.mp4")]
    first = read_clip(path, ClipSpec(1, 120, 160, 25.0), start_seconds=1.0, end_seconds=1.04).frames[0]
    assert np.abs(frames[0].astype(int) - first).mean() < 5

from __future__ import annotations

import concurrent.futures
import itertools
import pathlib
from collections.abc import Callable

import av
import cv2
import numpy as np
import pytest

from sora_keras.video import ClipSpec, VideoError, decoding, probe, read_clip, read_windows, stream_frames, write_video

LONG_GROUPS = "keyint=40:min-keyint=40:scenecut=0:bframes=4:b-pyramid=2:ref=3"
WAYS_TO_ENCODE = {
    "plain.mp4": {},
    "b_frames.mp4": {"options": {"x264-params": LONG_GROUPS}},
    "open_groups.mp4": {"options": {"x264-params": LONG_GROUPS + ":open-gop=1"}},
    "intra_refresh.mp4": {"options": {"x264-params": "keyint=40:intra-refresh=1:bframes=3"}},
    "fragments.mp4": {
        "options": {"x264-params": LONG_GROUPS},
        "container_options": {"movflags": "frag_keyframe+empty_moov"},
    },
    "b_frames.mkv": {"options": {"x264-params": LONG_GROUPS}},
    "b_frames.ts": {"options": {"x264-params": LONG_GROUPS}},
    "b_frames.flv": {"options": {"x264-params": LONG_GROUPS}},
    "raw.264": {"options": {"x264-params": LONG_GROUPS}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=40:open-gop=1"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "40"}},
    "vp9.mkv": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "40"}},
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8", "g": "40"}},
    "b_frames.avi": {"options": {"x264-params": LONG_GROUPS}},
    "short_groups.ts": {"options": {"x264-params": "keyint=12:bframes=3"}},
    "interlaced.mp4": {"options": {"x264-params": LONG_GROUPS + ":interlaced=1"}},
    "hevc.ts": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=40:open-gop=1"}},
    "mpeg1.mpg": {"codec": "mpeg1video", "options": {"bf": "2", "g": "15", "q": "2"}},
    "mpeg2.mkv": {"codec": "mpeg2video", "options": {"bf": "2", "g": "40", "q": "2"}},
    "mpeg2.mp4": {"codec": "mpeg2video", "options": {"bf": "2", "g": "40", "q": "2"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"bf": "2", "g": "40", "q": "2"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "40", "q": "2"}},
    "mpeg4_in_order.avi": {"codec": "mpeg4", "options": {"g": "40", "q": "2"}},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"bf": "2", "g": "40", "q": "2"}},
    "mpeg4.mkv": {"codec": "mpeg4", "options": {"bf": "2", "g": "40", "q": "2"}},
    "mpeg4.ts": {"codec": "mpeg4", "options": {"bf": "2", "g": "40", "q": "2"}},
    "msmpeg4.avi": {"codec": "msmpeg4", "options": {"g": "40", "q": "2"}},
    "wmv.asf": {"codec": "wmv2", "options": {"g": "40", "q": "2"}},
    "every_frame_a_keyframe.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "every_frame_a_keyframe.mp4": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "ten_bit.mp4": {"pixel_format": "yuv420p10le"},
    "full_color.mp4": {"pixel_format": "yuv444p"},
    "gray.mp4": {"pixel_format": "gray"},
    "alpha.mov": {"codec": "qtrle", "pixel_format": "argb"},
    "alpha.mkv": {"codec": "ffv1", "pixel_format": "bgra"},
    "animation.gif": {"codec": "gif", "pixel_format": "rgb8"},
}


def displayed(frames: list[tuple[float, np.ndarray]], times: np.ndarray) -> np.ndarray:
    """The definition: the last frame that begins by each time."""
    return np.stack([[frame for begin, frame in frames if begin <= time + 1e-3][-1] for time in times])


@pytest.mark.parametrize("name", WAYS_TO_ENCODE)
def test_every_kind_of_file_gives_the_displayed_frames(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable, name: str
) -> None:
    path = encode(tmp_path / name, numbered_frames(200), **WAYS_TO_ENCODE[name])
    rng = np.random.default_rng(0)
    every_frame = list(stream_frames(path, 16, 32))
    assert read_numbers(frame for _, frame in every_frame) == list(range(200))
    np.testing.assert_allclose([begin for begin, _ in every_frame], np.arange(200) / 25, atol=0.0051)
    specs = [(ClipSpec(16, 16, 32), "uniform"), (ClipSpec(3, 16, 32), "random_window")]
    specs += [(ClipSpec(5, 16, 32, 25.0), "random_window")] * 8
    for spec, sampling in specs:
        clip = read_clip(path, spec, sampling, rng=rng)  # type: ignore[arg-type]
        assert clip.frames.shape == spec.shape
        np.testing.assert_array_equal(clip.frames, displayed(every_frame, clip.times))


def test_uniform_frames_by_number(tmp_path: pathlib.Path, numbered_frames: Callable, read_numbers: Callable) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(120), frames_per_second=30)
    clip = read_clip(tmp_path / "a.mp4", ClipSpec(4, 20, 40))
    np.testing.assert_allclose(clip.times, [0.5, 1.5, 2.5, 3.5])
    assert read_numbers(clip.frames) == [15, 45, 75, 105]


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
@pytest.mark.parametrize("frames_per_second", [8, 24000 / 1001, 29.97, 60])
def test_a_window_at_the_videos_own_rate_gives_each_frame_once(
    tmp_path: pathlib.Path,
    numbered_frames: Callable,
    read_numbers: Callable,
    extension: str,
    frames_per_second: float,
) -> None:
    path = tmp_path / f"a.{extension}"
    write_video(path, numbered_frames(100), frames_per_second)
    clip = read_clip(path, ClipSpec(100, 16, 32, frames_per_second))
    assert read_numbers(clip.frames) == list(range(100))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_frame_rate(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable, name: str
) -> None:
    begins = [100, 110, 300, 310, 320, 500]  # In hundredths; the first frame is the video's second 0.
    path = encode(tmp_path / name, numbered_frames(6), timestamps=begins, ticks_per_second=100)
    np.testing.assert_allclose([seconds for seconds, _ in stream_frames(path)], [0, 0.1, 2, 2.1, 2.2, 4], atol=1e-3)
    clip = read_clip(path, ClipSpec(8, 16, 32, 2.0))
    np.testing.assert_allclose(np.diff(clip.times), 0.5)
    assert clip.times[0] < 0.5
    expected = [np.searchsorted([0, 0.1, 2, 2.1, 2.2, 4], time + 1e-3) - 1 for time in clip.times]
    assert read_numbers(clip.frames) == expected
    assert set(expected) >= {1, 4}


def test_avi_repeats_frames_with_empty_packets(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable
) -> None:
    begins = [0, 1, 2, 30, 31, 50]
    path = encode(tmp_path / "a.avi", numbered_frames(6), "mpeg4", options={"q": "2"}, timestamps=begins)
    seconds, frames = zip(*stream_frames(path), strict=True)
    assert read_numbers(frames) == list(range(6))
    np.testing.assert_allclose(seconds, np.array(begins) / 25, atol=1e-3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_times_count_from_the_first_frame(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable, name: str
) -> None:
    path = encode(tmp_path / name, numbered_frames(100), timestamps=range(1000, 1100))
    clip = read_clip(path, ClipSpec(4, 16, 32))
    np.testing.assert_allclose(clip.times, [0.5, 1.5, 2.5, 3.5])
    assert read_numbers(clip.frames) == [12, 37, 62, 87]


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_rotation_is_applied_as_opencv_does(tmp_path: pathlib.Path, encode: Callable, degrees: int) -> None:
    frame = np.random.default_rng(1).integers(0, 255, (6, 10, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    path = encode(tmp_path / "a.mp4", np.stack([frame] * 3), display=(degrees, False, False))
    expected = cv2.cvtColor(cv2.VideoCapture(str(path)).read()[1], cv2.COLOR_BGR2RGB)
    _, upright = next(stream_frames(path))
    assert upright.shape == expected.shape
    np.testing.assert_allclose(upright.astype(int), expected, atol=3)
    clip = read_clip(path, ClipSpec(2, *upright.shape[:2]))
    np.testing.assert_array_equal(clip.frames[0], upright)


@pytest.mark.parametrize(
    ("display", "corners"),
    [
        ((0, False, False), [1, 2, 3, 4]),
        ((0, True, False), [2, 1, 4, 3]),
        ((0, False, True), [3, 4, 1, 2]),
        ((90, False, False), [2, 4, 1, 3]),
        ((90, True, False), [4, 2, 3, 1]),
        ((90, False, True), [1, 3, 2, 4]),
    ],
)
def test_mirrored_videos(
    tmp_path: pathlib.Path, encode: Callable, display: tuple[float, bool, bool], corners: list[int]
) -> None:
    quarters = np.array([[50, 100], [150, 200]], np.uint8).repeat(16, axis=0).repeat(24, axis=1)
    frames = np.broadcast_to(quarters[np.newaxis, :, :, np.newaxis], (3, 32, 48, 3))
    _, shown = next(stream_frames(encode(tmp_path / "a.mp4", frames, display=display)))
    levels = [shown[row, column].mean() / 50 for row, column in ((4, 4), (4, -4), (-4, 4), (-4, -4))]
    np.testing.assert_allclose(levels, corners, atol=0.1)


def test_scaling_does_not_alias(tmp_path: pathlib.Path) -> None:
    stripes = np.zeros((4, 128, 128, 3), np.uint8)
    stripes[:, :, ::2] = 255
    write_video(tmp_path / "a.mp4", stripes, quality=1)
    frames = read_clip(tmp_path / "a.mp4", ClipSpec(2, 16, 16)).frames
    np.testing.assert_allclose(frames[:, 2:-2, 2:-2].astype(int), 127, atol=12)


def test_short_videos_by_policy(tmp_path: pathlib.Path, numbered_frames: Callable, read_numbers: Callable) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(4), frames_per_second=2)
    spec = ClipSpec(6, 16, 32, frames_per_second=2)
    assert read_numbers(read_clip(tmp_path / "a.mp4", spec).frames) == [0, 1, 2, 3, 3, 3]
    assert read_numbers(read_clip(tmp_path / "a.mp4", spec, short_video="loop").frames) == [0, 1, 2, 3, 0, 1]
    message = r"a\.mp4: it lasts 2\.000 s, but 6 frames at 2 frames per second take 3\.000 s; take fewer frames"
    with pytest.raises(VideoError, match=message):
        read_clip(tmp_path / "a.mp4", spec, short_video="error")
    with pytest.raises(VideoError, match=message):
        list(read_windows(tmp_path / "a.mp4", spec, short_video="error"))
    exact = ClipSpec(4, 16, 32, frames_per_second=2)
    assert read_numbers(read_clip(tmp_path / "a.mp4", exact, short_video="error").frames) == [0, 1, 2, 3]


def test_unknown_names_stay_value_errors(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(4))
    with pytest.raises(ValueError, match=r"sampling must be .* received 'evenly'"):
        read_clip(tmp_path / "a.mp4", ClipSpec(), "evenly")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"short_video must be .* received 'pad'"):
        read_clip(tmp_path / "a.mp4", ClipSpec(), short_video="pad")  # type: ignore[arg-type]


def test_more_frames_than_the_video_has(
    tmp_path: pathlib.Path, numbered_frames: Callable, read_numbers: Callable
) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(2))
    assert read_numbers(read_clip(tmp_path / "a.mp4", ClipSpec(6, 16, 32)).frames) == [0, 0, 0, 1, 1, 1]


def test_windows_equal_the_clips_of_a_whole_decode(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable
) -> None:
    path = encode(tmp_path / "a.mp4", numbered_frames(110), options={"x264-params": LONG_GROUPS})
    windows = list(read_windows(path, ClipSpec(4, 16, 32, 5.0)))
    assert [read_numbers(window.frames)[0] for window in windows] == [2, 22, 42, 62, 82, 92]
    every_frame = list(stream_frames(path, 16, 32))
    for stride_seconds in (0.1, 0.7, 2.0):
        for window in read_windows(path, ClipSpec(4, 16, 32, 5.0), stride_seconds):
            np.testing.assert_array_equal(window.frames, displayed(every_frame, window.times))


def test_without_a_rate_the_only_window_is_the_whole_video(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(50))
    (window,) = read_windows(tmp_path / "a.mp4", ClipSpec(5, 16, 32))
    np.testing.assert_array_equal(window.frames, read_clip(tmp_path / "a.mp4", ClipSpec(5, 16, 32)).frames)


@pytest.mark.parametrize(("policy", "numbers"), [("repeat_last", [0, 1, 2, 2, 2]), ("loop", [0, 1, 2, 0, 1])])
def test_a_window_of_a_short_video(
    tmp_path: pathlib.Path, numbered_frames: Callable, read_numbers: Callable, policy: str, numbers: list[int]
) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(3), frames_per_second=2)
    windows = read_windows(tmp_path / "a.mp4", ClipSpec(5, 16, 32, 2.0), short_video=policy)  # type: ignore[arg-type]
    assert [read_numbers(window.frames) for window in windows] == [numbers]


@pytest.fixture
def count_decoded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    counter = itertools.count()
    decode = decoding._decode

    def counting(*args: object) -> object:
        for frame in decode(*args):  # type: ignore[arg-type]
            next(counter)
            yield frame

    monkeypatch.setattr(decoding, "_decode", counting)
    return lambda: next(counter)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_groups_without_a_wanted_frame_are_jumped_over(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, count_decoded: Callable[[], int], name: str
) -> None:
    path = encode(tmp_path / name, numbered_frames(250), options={"g": "25", "bf": "0"})
    read_clip(path, ClipSpec(2, 16, 32))
    assert count_decoded() < 60


def test_unwanted_frames_to_which_none_refers_are_left_out(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, count_decoded: Callable[[], int]
) -> None:
    always_three_b_frames = {"x264-params": "keyint=250:scenecut=0:bframes=3:b-adapt=0:b-pyramid=0"}
    path = encode(tmp_path / "a.mp4", numbered_frames(200), options=always_three_b_frames)
    read_clip(path, ClipSpec(2, 16, 32))
    assert count_decoded() < 80


def test_windows_come_before_the_file_is_read_to_its_end(
    tmp_path: pathlib.Path, numbered_frames: Callable, count_decoded: Callable[[], int]
) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(250))
    next(read_windows(tmp_path / "a.mp4", ClipSpec(5, 16, 32, 25.0)))
    assert count_decoded() < 20


def test_parallel_readers_agree(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(100))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        clips = list(pool.map(lambda _: read_clip(tmp_path / "a.mp4", ClipSpec(8, 16, 32)), range(16)))
    assert all((clip.frames == clips[0].frames).all() for clip in clips)


@pytest.fixture
def cut_off(tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable) -> Callable[[float], pathlib.Path]:
    """A video of 8 s whose header is whole and whose data end early."""

    def cut(fraction: float) -> pathlib.Path:
        options = {"g": "10", "bf": "0"}
        path = encode(tmp_path / "a.mp4", numbered_frames(200), options=options, container_options=FASTSTART)
        with av.open(str(path)) as container:
            packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
        path.write_bytes(path.read_bytes()[: packets[int(200 * fraction)][0]])
        return path

    return cut


FASTSTART = {"movflags": "faststart"}


def test_a_file_cut_off_in_the_middle_tells_where_it_ends(cut_off: Callable[[float], pathlib.Path]) -> None:
    path = cut_off(0.5)
    assert probe(path).duration_seconds == 8.0
    with pytest.raises(VideoError, match=r"frames end at 4\.00 s, but the one at 5\.00 s of 8\.00 s is wanted"):
        read_clip(path, ClipSpec(4, 16, 32))
    windows = read_windows(path, ClipSpec(5, 16, 32, 5.0))
    assert [next(windows).times[0] for _ in range(4)] == pytest.approx([0.1, 1.1, 2.1, 3.1])
    with pytest.raises(VideoError, match=r"frames end at 4\.00 s, but the one at 4\.90 s"):
        next(windows)


def test_a_little_less_than_promised_is_no_error(
    cut_off: Callable[[float], pathlib.Path], read_numbers: Callable
) -> None:
    assert read_numbers(read_clip(cut_off(0.92), ClipSpec(4, 16, 32)).frames) == [25, 75, 125, 175]
    assert read_numbers(read_clip(cut_off(0.92), ClipSpec(200, 16, 32, 25)).frames)[-17:] == [183] * 17


def overwrite(path: pathlib.Path, numbers: range) -> None:
    """Replace the packets of these numbers by noise."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    for position, size in (packets[number] for number in numbers):
        content[position : position + size] = rng.bytes(size)
    path.write_bytes(content)


def test_lost_packets_in_the_middle_are_passed_over(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable
) -> None:
    path = encode(tmp_path / "a.mp4", numbered_frames(100), options={"g": "10", "bf": "0"})
    overwrite(path, range(32, 37))
    numbers = read_numbers(read_clip(path, ClipSpec(100, 16, 32, 25.0)).frames)
    assert numbers[:32] + numbers[40:] == [*range(32), *range(40, 100)]


def test_mostly_lost_packets_are_an_error(tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable) -> None:
    path = encode(tmp_path / "a.mp4", numbered_frames(100), options={"g": "10", "bf": "0"})
    overwrite(path, range(3, 100))
    with pytest.raises(VideoError, match=r"a\.mp4: 9\d of its 10\d packets cannot be decoded; copy the file again"):
        read_clip(path, ClipSpec(4, 16, 32))
    overwrite(path, range(100))
    with pytest.raises(VideoError, match=r"packets cannot be decoded|no frame of it can be decoded"):
        probe(path)


REAL_NAMES = (
    "fights/fight/fi098.mp4",
    "fights/fight/fi018.mp4",
    "scenes/v_ApplyEyeMakeup_g01_c01.avi",
    "scenes/faces_stage.mp4",
    "scenes/faces_two.gif",
    "signs/milk.mkv",
    "clean/foreman_cif.264",
    "ceiling/20200628_144536.mp4",
    "broken/megamind_buggy.avi",
)


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL_NAMES)
def test_real_videos_agree_with_a_plain_decode(real_data: pathlib.Path, name: str) -> None:
    with av.open(str(real_data / name)) as container:
        plain = [
            frame.reformat(64, 48, "rgb24", interpolation="AREA").to_ndarray() for frame in container.decode(video=0)
        ]
    every_frame = list(stream_frames(real_data / name, 48, 64))
    np.testing.assert_array_equal(np.stack([frame for _, frame in every_frame]), np.stack(plain))
    assert (np.diff([seconds for seconds, _ in every_frame]) > 0).all()
    rng = np.random.default_rng(2)
    for spec in (ClipSpec(16, 48, 64), ClipSpec(6, 48, 64, 10.0), ClipSpec(6, 48, 64, 30.0)):
        clip = read_clip(real_data / name, spec, "random_window", rng=rng)
        np.testing.assert_array_equal(clip.frames, displayed(every_frame, clip.times))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "frames_per_second"), [("scenes/v_ApplyEyeMakeup_g01_c01.avi", 25), ("broken/megamind_buggy.avi", 30)]
)
def test_avi_frames_are_evenly_timed(real_data: pathlib.Path, name: str, frames_per_second: float) -> None:
    seconds = [seconds for seconds, _ in stream_frames(real_data / name, 16, 16)]
    np.testing.assert_allclose(seconds, np.arange(len(seconds)) / frames_per_second, atol=1e-3)


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name", ["BA_MW_D_IDR_LOST.264", "BA_MW_D_P_LOST.264", "Error_I_P.264", "damaged_middle.mp4", "megamind_buggy.avi"]
)
def test_real_damage_that_ffmpeg_can_hide_is_read(real_data: pathlib.Path, name: str) -> None:
    clip = read_clip(real_data / "broken" / name, ClipSpec(8, 32, 32))
    assert clip.frames.shape == (8, 32, 32, 3)
    assert clip.frames.std() > 10


@pytest.mark.parametrize("spec", [ClipSpec(4, 16, 32), ClipSpec(5, 16, 32, 5.0), ClipSpec(20, 16, 32, 5.0)])
@pytest.mark.parametrize("sampling", ["uniform", "random_window"])
def test_a_part_of_a_video_is_read_like_a_video(
    tmp_path: pathlib.Path,
    encode: Callable,
    numbered_frames: Callable,
    read_numbers: Callable,
    spec: ClipSpec,
    sampling: str,
) -> None:
    whole = encode(tmp_path / "whole.mp4", numbered_frames(200))
    alone = encode(tmp_path / "part.mp4", numbered_frames(200)[50:125])
    rng = [np.random.default_rng(3) for _ in range(2)]
    part = read_clip(whole, spec, sampling, rng=rng[0], start_seconds=2.0, end_seconds=5.0)
    expected = read_clip(alone, spec, sampling, rng=rng[1])
    np.testing.assert_allclose(part.times, expected.times + 2.0, atol=2.1e-3)
    assert read_numbers(part.frames) == read_numbers(expected.frames)


def test_a_part_may_end_with_the_video_but_not_begin_there(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable
) -> None:
    path = encode(tmp_path / "video.mp4", numbered_frames(50))
    late = read_clip(path, ClipSpec(5, 16, 32), start_seconds=1.0, end_seconds=99.0)
    assert read_numbers(late.frames) == read_numbers(read_clip(path, ClipSpec(5, 16, 32), start_seconds=1.0).frames)
    with pytest.raises(VideoError, match=r"the part from 3\.5 s to 7 s is wanted, but it lasts 2\.000 s"):
        read_clip(path, ClipSpec(5, 16, 32), start_seconds=3.5, end_seconds=7.0)
    with pytest.raises(VideoError, match=r"the part from 1\.5 s to 0\.5 s is wanted"):
        read_clip(path, ClipSpec(5, 16, 32), start_seconds=1.5, end_seconds=0.5)

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from rewritten_video import Pairs, noise, presentation_times, same, sound_packets, twice_as_large

from sora_keras.video import VideoError, probe, stream_frames, write_video
from sora_keras.video.rewriting import rewrite_video


@pytest.mark.parametrize("extension", [".mp4", ".MOV", ".mkv"])
def test_variable_rate_and_late_beginning(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable, extension: str
) -> None:
    ticks = np.cumsum([45_045, 1, 3000, 3003, 1500, 90_000, 1, 2997] + [3003] * 22)
    source = encode(
        tmp_path / "a.mp4", numbered_frames(30), timestamps=ticks.tolist(), ticks_per_second=90_000,
        container_options={"movie_timescale": "90000"},
    )  # fmt: skip
    to = tmp_path / f"b{extension}"
    done = rewrite_video(source, to, same)
    wanted = [Fraction(int(tick), 90_000) for tick in ticks]
    assert presentation_times(source) == wanted
    received = presentation_times(to)
    if extension == ".mkv":
        np.testing.assert_allclose(np.array(received, float), np.array(wanted, float), atol=6e-4)
    else:
        assert received == wanted
    assert read_numbers(frame for _, frame in stream_frames(to)) == list(range(30))
    assert (done.num_frames, done.size_before, done.size_after, done.broken_seconds) == (30, (32, 64), (32, 64), ())
    assert probe(to).duration_seconds == pytest.approx(probe(source).duration_seconds, abs=0.05)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.mp4", to.name])


def test_change_sees_seconds_and_may_look_ahead(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable
) -> None:
    source = encode(tmp_path / "a.mp4", numbered_frames(20), timestamps=range(50, 70))
    seen: list[float] = []

    def reverse_by_fives(frames: Pairs) -> Iterator[np.ndarray]:
        held = []
        for seconds, frame in frames:
            seen.append(seconds)
            held.append(frame)
            if len(held) == 5:
                yield from reversed(held)
                held = []

    rewrite_video(source, tmp_path / "b.mp4", reverse_by_fives)
    np.testing.assert_allclose(seen, np.arange(20) / 25)
    expected = [4, 3, 2, 1, 0, 9, 8, 7, 6, 5, 14, 13, 12, 11, 10, 19, 18, 17, 16, 15]
    assert read_numbers(frame for _, frame in stream_frames(tmp_path / "b.mp4")) == expected


def test_change_must_give_a_frame_for_each(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(12))
    cases: list[tuple[Callable[[Pairs], Iterable[np.ndarray]], str]] = [
        (lambda frames: [frame for _, frame in frames][:-3], "received 9 for 12"),
        (lambda frames: (frame for (_, frame), _ in zip(frames, range(5), strict=False)), "received 5 for"),
        (lambda frames: [frame for _, frame in frames for _ in range(2)], "received more than 12"),
        (lambda frames: (frame[..., :2] for _, frame in frames), r"arrays \(H, W, 3\), received \(32, 64, 2\)"),
        (
            lambda frames: (frame[: 32 - int(25 * second)] for second, frame in frames),
            r"received \(31, 64\) after",
        ),
        (
            lambda frames: (np.zeros((2, 16_386, 3)) for _ in frames),
            r"at most 16384 pixels a side, received \(2, 16386\)",
        ),
        (lambda frames: [], "received 0 for"),
    ]
    for change, message in cases:
        with pytest.raises(ValueError, match=message):
            rewrite_video(tmp_path / "a.mp4", tmp_path / "b.mp4", change)
        assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_colon_in_a_folders_name(
    tmp_path: pathlib.Path, numbered_frames: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a:b").mkdir()
    monkeypatch.chdir(tmp_path)
    write_video("a:b/c.mp4", numbered_frames(4))
    assert rewrite_video("a:b/c.mp4", "a:b/d.mp4", same).num_frames == 4


def test_what_cannot_be_written_is_not_blamed_on_the_original(tmp_path: pathlib.Path, encode: Callable) -> None:
    """H.265 refuses pictures that are smaller than its blocks."""
    source = encode(tmp_path / "a.mkv", noise(3, 8, 8), codec="ffv1", pixel_format="yuv420p12le")
    with pytest.raises(VideoError, match=r"b\.mkv: FFmpeg cannot write it"):
        rewrite_video(source, tmp_path / "b.mkv", same)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_frames_that_change_their_size_are_told(
    tmp_path: pathlib.Path, encode: Callable, numbered_frames: Callable, read_numbers: Callable
) -> None:
    parts = [
        encode(
            tmp_path / f"{scale}.ts", numbered_frames(20)[start : start + 10].repeat(scale, 1).repeat(scale, 2),
            timestamps=range(start, start + 10),
        )
        for start, scale in ((0, 1), (10, 2))
    ]  # fmt: skip
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    done = rewrite_video(tmp_path / "a.ts", tmp_path / "b.mp4", same)
    assert (done.num_frames, done.size_after) == (20, (32, 64))
    assert [warning for warning in done.warnings if "change their size" in warning]
    assert read_numbers(frame for _, frame in stream_frames(tmp_path / "b.mp4")) == list(range(20))


@pytest.mark.parametrize("name", ["same", "symbolic link", "hard link"])
def test_the_original_is_never_overwritten(tmp_path: pathlib.Path, numbered_frames: Callable, name: str) -> None:
    source = tmp_path / "a.mp4"
    write_video(source, numbered_frames(10))
    content, to = source.read_bytes(), tmp_path / ("a.mp4" if name == "same" else "b.mp4")
    if name == "symbolic link":
        to.symlink_to(source)
    elif name == "hard link":
        os.link(source, to)
    with pytest.raises(ValueError, match=r"never overwritten: .*\.mp4' and .*a\.mp4' are the same file"):
        rewrite_video(source, to, same)
    assert source.read_bytes() == content
    rewrite_video(source, tmp_path / "c.mp4", same)
    assert source.read_bytes() == content


def test_bad_arguments_and_places(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    source = tmp_path / "a.mp4"
    write_video(source, numbered_frames(10))
    with pytest.raises(ValueError, match=r"extension must be one of \.mp4, \.mov, \.mkv, received '\.webm'"):
        rewrite_video(source, tmp_path / "b.webm", same)
    with pytest.raises(ValueError, match=r"quality .* received 77"):
        rewrite_video(source, tmp_path / "b.mp4", same, quality=77)
    with pytest.raises(VideoError, match=r"gone/b\.mp4: the folder .*gone' does not exist"):
        rewrite_video(source, tmp_path / "gone" / "b.mp4", same)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(VideoError, match=r"folder\.mp4: this is a folder"):
        rewrite_video(source, tmp_path / "folder.mp4", same)
    with pytest.raises(VideoError, match=r"gone\.mp4: there is no such file"):
        rewrite_video(tmp_path / "gone.mp4", tmp_path / "b.mp4", same)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        part = av.AudioFrame.from_ndarray(np.zeros((1, 32_000), np.float32), "fltp", "mono")
        part.sample_rate = 16_000
        container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    with pytest.raises(VideoError, match=r"sound\.mp4: there is no video in this file, it holds audio"):
        rewrite_video(tmp_path / "sound.mp4", tmp_path / "b.mp4", same)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "folder.mp4", "sound.mp4"]


SCRIPT = """
    import resource, signal, sys, time
    import numpy as np
    from sora_keras.video import rewriting
    from sora_keras.video.rewriting import rewrite_video

    signal.signal(signal.SIGINT, signal.default_int_handler)  # which whoever runs in the background has none of
    limit, pause = int(sys.argv[3]), float(sys.argv[4])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    def change(frames):
        rng = np.random.default_rng(0)
        for index, (_, frame) in enumerate(frames):
            time.sleep(pause)
            if index == 20:
                print("working", flush=True)
            yield rng.integers(0, 256, frame.shape, np.uint8)

    try:
        rewrite_video(sys.argv[1], sys.argv[2], change, quality=0)
    except OSError as error:
        sys.exit(f"{type(error).__name__} {error}")
"""


def start(source: pathlib.Path, to: pathlib.Path, limit: int = 0, pause: float = 0.0) -> subprocess.Popen[str]:
    arguments = [str(source), str(to), str(limit), str(pause)]
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_a_full_disk_leaves_nothing(tmp_path: pathlib.Path, numbered_frames: Callable, extension: str) -> None:
    """A limit on the size of files makes writing fail, as a full disk does."""
    write_video(tmp_path / "a.mp4", numbered_frames(200))
    process = start(tmp_path / "a.mp4", tmp_path / f"b{extension}", limit=300_000)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"VideoError {tmp_path}/b{extension}: there is no space left for it" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_interrupted(tmp_path: pathlib.Path, numbered_frames: Callable, kind: signal.Signals) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(200))
    (tmp_path / "b.mp4").write_text("what was there before")
    process = start(tmp_path / "a.mp4", tmp_path / "b.mp4", pause=0.05)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(kind)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert (tmp_path / "b.mp4").read_text() == "what was there before"
    others = [path for path in tmp_path.iterdir() if path.name not in ("a.mp4", "b.mp4")]
    assert len(others) == (1 if kind == signal.SIGKILL else 0)
    for path in others:  # after a kill, the next run clears away what nobody has written to for an hour
        os.utime(path, (time.time() - 4000,) * 2)
    rewrite_video(tmp_path / "a.mp4", tmp_path / "b.mp4", same)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.real_data
def test_real_video_with_sound(tmp_path: pathlib.Path, real_data: pathlib.Path) -> None:
    source, to = real_data / "scenes" / "v_ApplyEyeMakeup_g01_c01.avi", tmp_path / "b.mp4"
    before = source.read_bytes()
    done = rewrite_video(source, to, twice_as_large)
    pairs = list(zip(stream_frames(source), stream_frames(to), strict=True))
    assert len(pairs) == done.num_frames == 164
    np.testing.assert_allclose([a for (a, _), _ in pairs], [b for _, (b, _) in pairs], atol=1e-6)
    errors = [np.abs(a.astype(int) - b[::2, ::2]).mean() for (_, a), (_, b) in pairs]
    assert max(errors) < 4
    assert [packet for packet, _ in sound_packets(source)] == [packet for packet, _ in sound_packets(to)]
    assert source.read_bytes() == before


@pytest.mark.real_data
def test_a_real_file_with_holes(tmp_path: pathlib.Path, real_data: pathlib.Path) -> None:
    source, to = real_data / "broken" / "damaged_middle.mp4", tmp_path / "b.mp4"
    done = rewrite_video(source, to, lambda frames: (frame[::4, ::4] for _, frame in frames))
    assert presentation_times(source) == presentation_times(to)
    assert done.num_frames == 377
    assert len(done.broken_seconds) == 38
    assert done.broken_seconds[0] == pytest.approx(1.76)
    assert sound_packets(source) == sound_packets(to)

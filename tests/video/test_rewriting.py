from __future__ import annotations

import logging
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
from av.stream import Disposition
from sounding_video import write_sounding_video

from sora_keras.video import VideoError, probe, stream_frames, write_video
from sora_keras.video.rewriting import rewrite_video

Pairs = Iterator[tuple[float, np.ndarray]]


def same(frames: Pairs) -> Iterator[np.ndarray]:
    return (frame for _, frame in frames)


def twice_as_large(frames: Pairs) -> Iterator[np.ndarray]:
    return (frame.repeat(2, 0).repeat(2, 1) for _, frame in frames)


def presentation_times(path: pathlib.Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return [frame.pts * video.time_base for frame in container.decode(video)]


def sound_packets(path: pathlib.Path) -> list[tuple[bytes, float]]:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(bytes(packet), float(packet.pts * packet.time_base)) for packet in packets if packet.size]


def frames_of(path: pathlib.Path) -> np.ndarray:
    return np.stack([frame for _, frame in stream_frames(path)]).astype(int)


def noise(num_frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colors that change from frame to frame, and that half resolution of colors does not harm much."""
    coarse = np.random.default_rng(seed).integers(30, 226, (num_frames, 3, 4, 3)).astype(np.float32)
    rows = np.linspace(0, 2, height)[:, None, None], np.linspace(0, 3, width)[None, :, None]
    (top, left) = (np.minimum(np.floor(axis).astype(int), limit) for axis, limit in zip(rows, (1, 2), strict=True))
    down, across = rows[0] - top, rows[1] - left
    top, left = top[..., 0], left[..., 0]
    corners = [
        coarse[:, top + dy, left + dx] * ((down if dy else 1 - down) * (across if dx else 1 - across))
        for dy in (0, 1)
        for dx in (0, 1)
    ]
    return np.rint(sum(corners)).astype(np.uint8)


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


@pytest.mark.parametrize("degrees", [90, 180, -90, 0])
@pytest.mark.parametrize("extension", [".mp4", ".mov", ".mkv"])
def test_rotation_and_mirroring_are_kept(
    tmp_path: pathlib.Path, encode: Callable, degrees: int, extension: str
) -> None:
    source = encode(tmp_path / "a.mp4", noise(4, 32, 64), display=(degrees, degrees == 90, False))
    to = tmp_path / f"b{extension}"
    shapes = set()

    def brighter_above(frames: Pairs) -> Iterator[np.ndarray]:
        for _, frame in frames:
            shapes.add(frame.shape)
            frame = frame.astype(np.float32)
            frame[: len(frame) // 2] *= 0.5
            yield frame

    done = rewrite_video(source, to, brighter_above)
    upright = (64, 32) if degrees % 180 else (32, 64)
    assert shapes == {(*upright, 3)}
    assert done.size_before == done.size_after == upright
    assert probe(to).rotation_degrees == probe(source).rotation_degrees
    before, after = frames_of(source), frames_of(to)
    half = upright[0] // 2
    # x264 blurs the edge between the halves.
    assert np.abs(before[:, : half - 4] // 2 - after[:, : half - 4]).mean() < 3
    assert np.abs(before[:, half + 4 :] - after[:, half + 4 :]).mean() < 3


@pytest.mark.parametrize("color_range", [0, 1, 2])
@pytest.mark.parametrize("colorspace", [1, 5, 6, 9])
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_color_range_and_tags_are_kept_and_used(
    tmp_path: pathlib.Path, color_range: int, colorspace: int, extension: str
) -> None:
    source, to = tmp_path / f"a{extension}", tmp_path / f"b{extension}"
    stored = (150, 90, 170)
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        tags = (color_range, colorspace, 9, 14)
        encoder = stream.codec_context
        encoder.color_range, encoder.colorspace, encoder.color_primaries, encoder.color_trc = tags
        encoder.sample_aspect_ratio = Fraction(4, 3)
        for index in range(3):
            picture = av.VideoFrame(48, 32, "yuv420p")
            for plane, level in zip(picture.planes, stored, strict=True):
                plane.update(bytes([level]) * plane.buffer_size)
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    seen = []

    def look(frames: Pairs) -> Iterator[np.ndarray]:
        for _, frame in frames:
            seen.append(frame[16, 24].astype(float))
            yield frame

    with av.open(str(source)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.color_range, context.colorspace, context.color_primaries, context.color_trc)
        assert tags == (color_range or tags[0], colorspace, 9, 14)
    rewrite_video(source, to, look, quality=1)
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[colorspace]
    luma = stored[0] / 255 if color_range == 2 else (stored[0] - 16) / 219
    to_blue, to_red = ((level - 128) / (255 if color_range == 2 else 224) for level in stored[1:])
    rgb = np.array([luma + 2 * (1 - red) * to_red, 0, luma + 2 * (1 - blue) * to_blue])
    rgb[1] = (luma - red * rgb[0] - blue * rgb[2]) / (1 - red - blue)
    np.testing.assert_allclose(seen[0], 255 * rgb, atol=1.5)
    with av.open(str(to)) as container:
        video = container.streams.video[0]
        context = video.codec_context
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == tags
        assert video.sample_aspect_ratio == Fraction(4, 3)
        frame = next(container.decode(video))
        received = [bytes(plane)[0] for plane in frame.planes]
    np.testing.assert_allclose(received, stored, atol=1)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "bits", "stored_as"),
    [
        ("libx264", "yuv420p10le", 10, "yuv420p10le"),
        ("libx264", "yuv422p10le", 10, "yuv422p10le"),
        ("libx265", "yuv420p12le", 12, "yuv420p12le"),
        ("ffv1", "yuv444p16le", 16, "yuv444p12le"),
        ("ffv1", "gray16le", 16, "yuv420p12le"),
        ("ffv1", "gbrp10le", 10, "yuv444p10le"),
        ("libx264", "yuv444p", 8, "yuv444p"),
        ("libx264", "yuv422p", 8, "yuv422p"),
        ("ffv1", "bgra", 8, "yuv444p"),
        ("mjpeg", "yuvj420p", 8, "yuvj420p"),
    ],
)
def test_what_lies_below_eight_bits_is_kept(
    tmp_path: pathlib.Path, codec: str, pixel_format: str, bits: int, stored_as: str
) -> None:
    """A gentle slope of gray, of which 8 bits would leave stairs, and a change that is visible."""
    source, to = tmp_path / "a.mkv", tmp_path / "b.mkv"
    slope = np.broadcast_to(np.linspace(40_000, 43_000, 256)[None, :, None], (32, 256, 3)).astype(np.uint16)
    options = {"libx264": {"crf": "1"}, "libx265": {"x265-params": "log-level=none:lossless=1"}}.get(codec, {})
    with av.open(str(source), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 256, 32, pixel_format
        for index in range(3):
            picture = av.VideoFrame.from_ndarray(slope, "rgb48le").reformat(format=pixel_format)
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    kinds = set()

    def ten_darker(frames: Pairs) -> Iterator[np.ndarray]:
        for _, frame in frames:
            kinds.add(frame.dtype)
            yield frame.astype(np.float32) - 10

    done = rewrite_video(source, to, ten_darker, quality=1)
    assert kinds == {np.dtype(np.uint8)}
    rows = []
    for path in (source, to):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            rows.append(frame.reformat(format="rgb48le").to_ndarray()[16, :, 1].astype(float) / 256)
            found = frame.format.name
    assert found == stored_as
    error = np.abs(rows[0] - 10 - rows[1])
    if bits > 8:
        assert any(f"its pixels have {bits} bits" in warning for warning in done.warnings)
        assert error.max() < 0.4  # of a step of 8 bits; stairs of 8 bits would reach 0.5 on their own
        assert len(np.unique(rows[1])) > 30  # 8 bits have 13 steps here
    else:
        assert error.max() < 2.5


def test_hdr_is_told_and_its_tags_are_kept(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        encoder = stream.codec_context
        encoder.color_range, encoder.colorspace, encoder.color_primaries, encoder.color_trc = 1, 9, 9, 18
        for index in range(3):
            picture = av.VideoFrame.from_ndarray(noise(1, 64, 64)[0], "rgb24").reformat(format="yuv420p10le")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with caplog.at_level(logging.WARNING):
        done = rewrite_video(tmp_path / "a.mp4", tmp_path / "b.mp4", same)
    assert any("HDR (HLG)" in warning and "mastering metadata" in warning for warning in done.warnings)
    assert "HDR (HLG)" in caplog.text
    with av.open(str(tmp_path / "b.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (1, 9, 9, 18)
        assert context.pix_fmt == "yuv420p10le"


@pytest.mark.parametrize(("height", "width"), [(31, 45), (32, 45), (31, 46), (2, 2), (1, 1)])
def test_odd_sizes(tmp_path: pathlib.Path, height: int, width: int) -> None:
    write_video(tmp_path / "a.mp4", noise(5, height, width))
    for change, scale in ((same, 1), (twice_as_large, 2)):
        done = rewrite_video(tmp_path / "a.mp4", tmp_path / "b.mp4", change)
        assert done.size_after == (scale * height, scale * width)
        before, after = frames_of(tmp_path / "a.mp4"), frames_of(tmp_path / "b.mp4")
        assert np.abs(before.repeat(scale, 1).repeat(scale, 2) - after).mean() < 4


@pytest.mark.parametrize(
    ("codec", "source_extension", "extension"),
    [("aac", ".mp4", ".mp4"), ("aac", ".mp4", ".mkv"), ("mp3", ".mkv", ".mov"), ("flac", ".mkv", ".mp4"),
     ("pcm_s16le", ".mkv", ".mkv"), ("aac", ".ts", ".mkv"), ("aac", ".mkv", ".mp4"), ("ac3", ".mkv", ".mp4")],
)  # fmt: skip
def test_sound_is_copied_packet_by_packet(
    tmp_path: pathlib.Path, numbered_frames: Callable, codec: str, source_extension: str, extension: str
) -> None:
    source, to = tmp_path / f"a{source_extension}", tmp_path / f"b{extension}"
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000 * 5 // 2)
    write_sounding_video(source, numbered_frames(50), sound, 48_000, codec, sound_starts_at=0.25)
    rewrite_video(source, to, same)
    before, after = sound_packets(source), sound_packets(to)
    header = 7 if source_extension == ".ts" else 0  # there each packet repeats what other formats tell once
    assert [packet[header:] for packet, _ in before] == [packet for packet, _ in after]
    assert sum(len(packet) for packet, _ in before) > 5000
    # Matroska rounds to a millisecond.
    np.testing.assert_allclose([seconds for _, seconds in before], [seconds for _, seconds in after], atol=6e-4)
    np.testing.assert_allclose(
        np.array(presentation_times(source), float), np.array(presentation_times(to), float), atol=6e-4
    )


@pytest.mark.parametrize("source_extension", [".ts", ".mpg"])
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_a_broadcasts_clock_begins_at_zero(
    tmp_path: pathlib.Path, numbered_frames: Callable, source_extension: str, extension: str
) -> None:
    source, to = tmp_path / f"a{source_extension}", tmp_path / f"b{extension}"
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000 * 2)
    write_sounding_video(source, numbered_frames(50), sound, 32_000, "mp2", 25, 36_001.0, 36_001.2)
    rewrite_video(source, to, same)
    before, after = (np.array([second for _, second in sound_packets(path)]) for path in (source, to))
    pictures_before, pictures_after = (np.array(presentation_times(path), float) for path in (source, to))
    assert pictures_before[0] > 36_000
    assert pictures_after[0] == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(pictures_after, pictures_before - pictures_before[0], atol=1e-3)
    np.testing.assert_allclose(after, before - pictures_before[0], atol=1e-3)
    assert probe(to).duration_seconds < 2.6


@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_sound_that_was_cut_away_is_not_heard_again(
    tmp_path: pathlib.Path, numbered_frames: Callable, extension: str
) -> None:
    """MP4 keeps what comes before 0 s and says that it is not to be heard; Matroska has no place to say so."""
    source, to = tmp_path / "a.mp4", tmp_path / f"b{extension}"
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000 * 3)
    write_sounding_video(source, numbered_frames(50), sound, 48_000, "aac", sound_starts_at=-1.0)
    rewrite_video(source, to, same)
    before, after = sound_packets(source), sound_packets(to)
    assert [packet for packet, _ in after] == [packet for packet, _ in before][-len(after) :]
    if extension == ".mkv":
        assert -0.13 < after[0][1] < -0.02  # what the decoder needs to begin
        assert len([second for _, second in after if second > 0]) == len([second for _, second in before if second > 0])
    else:
        assert after == before


def test_which_tracks_are_the_default_or_forced(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    source = tmp_path / "a.mkv"
    kinds = [Disposition(0), Disposition.default | Disposition.original, Disposition.forced]
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = 32, 64
        sounds = [container.add_stream("aac", rate=16_000, layout="mono") for _ in kinds]
        video.disposition = Disposition.default
        for sound, kind in zip(sounds, kinds, strict=True):
            sound.disposition = kind
        for index, frame in enumerate(numbered_frames(25)):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            picture.pts = index
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for sound in sounds:
            part = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
            part.sample_rate, part.pts = 16_000, 0
            container.mux(sound.encode(part))
            container.mux(sound.encode(None))
    rewrite_video(source, tmp_path / "b.mkv", same)
    with av.open(str(tmp_path / "b.mkv")) as container:
        found = [stream.disposition for stream in container.streams]
    assert found == [Disposition.default, *kinds]


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


def test_sound_that_does_not_fit_is_refused_before_anything_is_done(
    tmp_path: pathlib.Path, numbered_frames: Callable
) -> None:
    source = write_sounding_video(tmp_path / "a.avi", numbered_frames(10), np.zeros(16_000), 16_000, "pcm_u8")

    def never(frames: Pairs) -> Iterator[np.ndarray]:
        raise AssertionError("nothing is to be changed")

    with pytest.raises(VideoError, match=r"a\.avi: its sound \(pcm_u8\) .* \.mp4 cannot hold it; write to .*\.mkv"):
        rewrite_video(source, tmp_path / "b.mp4", never)
    assert [path.name for path in tmp_path.iterdir()] == ["a.avi"]
    rewrite_video(source, tmp_path / "b.mkv", same)
    assert sound_packets(source) == sound_packets(tmp_path / "b.mkv")
    source = write_sounding_video(tmp_path / "c.avi", numbered_frames(10), np.zeros(16_000), 16_000, "adpcm_ms")
    with pytest.raises(VideoError, match=r"its sound \(adpcm_ms\) .* \.mkv cannot hold it; convert its sound to AAC"):
        rewrite_video(source, tmp_path / "b.mkv", never)


def test_metadata_language_chapters_and_subtitles(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as container:
        container.metadata.update(
            title="A walk", artist="Ann", comment="ü", creation_time="2018-04-19T22:46:00.000000Z"
        )
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}]
        )
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = 32, 64
        video.metadata["language"] = "ger"
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        sound.metadata["language"] = "ita"
        for index, frame in enumerate(numbered_frames(50)):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            picture.pts = index
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        part = av.AudioFrame.from_ndarray(np.zeros((1, 32_000), np.float32), "fltp", "mono")
        part.sample_rate, part.pts = 16_000, 0
        container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    for extension in (".mp4", ".mov", ".mkv"):
        to = tmp_path / f"b{extension}"
        assert rewrite_video(source, to, same).warnings == ()
        with av.open(str(to)) as container:
            found = {name.lower(): value for name, value in container.metadata.items()}
            assert (found["title"], found["artist"], found["comment"]) == ("A walk", "Ann", "ü")
            assert found["creation_time"] == "2018-04-19T22:46:00.000000Z"
            assert [stream.metadata["language"] for stream in container.streams.get(video=0, audio=0)] == ["ger", "ita"]
            assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["One"]


def test_unusual_metadata_is_kept(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        container.metadata.update({"title": "A walk", "camera_number": "17"})
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = 32, 64
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(numbered_frames(1)[0]), "rgb24")))
        container.mux(video.encode(None))
    rewrite_video(tmp_path / "a.mkv", tmp_path / "b.mp4", same)
    with av.open(str(tmp_path / "b.mp4")) as container:
        found = {name.lower(): value for name, value in container.metadata.items()}
    assert (found["title"], found["camera_number"]) == ("A walk", "17")


def write_subtitled(path: pathlib.Path, video: pathlib.Path) -> None:
    """The video with a line of text from 0.5 s to 1.5 s."""
    (text := path.with_suffix(".srt")).write_text("1\n00:00:00,500 --> 00:00:01,500\nHello\n")
    with av.open(str(video)) as source, av.open(str(text)) as lines, av.open(str(path), "w") as container:
        copies = [
            container.add_stream_from_template(source.streams.video[0]),
            container.add_stream_from_template(lines.streams.subtitles[0]),
        ]
        for stream, copy in ((lines.streams.subtitles[0], copies[1]), (source.streams.video[0], copies[0])):
            for packet in stream.container.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    container.mux(packet)
    text.unlink()


def test_subtitles_are_copied_where_they_fit(tmp_path: pathlib.Path, numbered_frames: Callable) -> None:
    write_video(tmp_path / "plain.mp4", numbered_frames(50))
    write_subtitled(tmp_path / "a.mkv", tmp_path / "plain.mp4")
    assert rewrite_video(tmp_path / "a.mkv", tmp_path / "b.mkv", same).warnings == ()
    with av.open(str(tmp_path / "b.mkv")) as container:
        (packet,) = (packet for packet in container.demux(container.streams.subtitles[0]) if packet.size)
        assert bytes(packet) == b"Hello"
        assert float(packet.pts * packet.time_base) == 0.5
    (warning,) = rewrite_video(tmp_path / "a.mkv", tmp_path / "b.mp4", same).warnings
    assert "subtitle is left out of the .mp4" in warning


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
    import resource, sys, time
    import numpy as np
    from sora_keras.video import rewriting
    from sora_keras.video.rewriting import rewrite_video

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

from __future__ import annotations

import logging
import pathlib
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from rewritten_video import Pairs, frames_of, noise, same, twice_as_large

from sora_keras.video import probe, write_video
from sora_keras.video.rewriting import rewrite_video


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

import itertools
import os
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from small_restorer import SmallRestorer
from sounding_video import write_sounding_video

from sora_keras import ClipSpec, SoraBackbone, write_video
from sora_keras.apps import enhance_video
from sora_keras.apps.enhance_video import enhance
from sora_keras.apps.restoring import restored_frames
from sora_keras.layers.color_adjustment import ColorAdjustment
from sora_keras.models.enhancer import SoraEnhancer
from sora_keras.video import VideoError, probe, read_clip, stream_frames
from sora_keras.video.rewriting import rewrite_video


@pytest.fixture(scope="module")
def restorer():
    """Untrained, it gives the mean of the frame and of what it gave before, moved along."""
    return SoraEnhancer(mode="restore", clip_spec=ClipSpec(4, 64, 64), filters=4, num_blocks=1)


@pytest.fixture(scope="module")
def enlarger():
    return SoraEnhancer(
        mode="restore", clip_spec=ClipSpec(4, 32, 32), scale=2, filters=4, num_blocks=1, is_recurrent=False
    )


@pytest.fixture(scope="module")
def colorer():
    return SoraEnhancer(SoraBackbone(ClipSpec(8, 32, 32, frames_per_second=8.0), filters=(4,), units=(4,), motion=None))


@pytest.fixture(scope="module")
def pair(real_data, tmp_path_factory):
    """A real video with sound, clean, and the same with noise."""
    folder = tmp_path_factory.mktemp("pair")
    with (
        av.open(str(real_data / "clean" / "coffee.mp4")) as source,
        av.open(str(folder / "beginning.mp4"), "w") as target,
    ):
        streams = source.streams.get(video=0, audio=0)
        copies = {stream.index: target.add_stream_from_template(stream) for stream in streams}
        for packet in source.demux(streams):
            if packet.dts is not None and packet.dts * packet.time_base < 0.4:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    rng = np.random.default_rng(0)

    def shrink(pairs, deviation=0.0):
        for _, frame in pairs:
            small = cv2.resize(frame, (320, 180), interpolation=cv2.INTER_AREA)
            yield np.clip(small + rng.normal(0, deviation, small.shape), 0, 255)

    rewrite_video(folder / "beginning.mp4", folder / "clean.mp4", shrink, quality=8)
    rewrite_video(folder / "beginning.mp4", folder / "noisy.mp4", lambda pairs: shrink(pairs, 30.0), quality=8)
    return folder


def packets(path, kind):
    with av.open(str(path)) as container:
        stream = container.streams.get({kind: 0})[0]
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(stream) if packet.size]


@pytest.mark.real_data
def test_restoring_a_real_video_with_all_that_belongs_to_it(pair, restorer, tmp_path):
    report = enhance(
        pair / "noisy.mp4", restorer, tmp_path / "b.mp4", tmp_path / "both.mp4", pair / "clean.mp4", quality=8
    )
    assert (report.size_before, report.size_after) == ((180, 320), (180, 320))
    assert report.num_frames == len(packets(pair / "noisy.mp4", "video")) > 10
    assert (report.broken_seconds, report.warnings) == ((), ())
    assert packets(tmp_path / "b.mp4", "audio") == packets(pair / "noisy.mp4", "audio")
    times = [seconds for seconds, _ in stream_frames(tmp_path / "b.mp4")]
    assert times == [seconds for seconds, _ in stream_frames(pair / "noisy.mp4")]
    assert report.gain.psnr_after > report.gain.psnr_before + 1
    assert report.gain.ssim_after > report.gain.ssim_before
    shown = np.stack([frame for _, frame in stream_frames(tmp_path / "b.mp4")])
    direct = list(restored_frames([frame for _, frame in stream_frames(pair / "noisy.mp4")], restorer))
    assert np.abs(shown - np.stack(direct)).mean() < 4
    both = probe(tmp_path / "both.mp4")
    assert (both.height, both.width, both.has_audio) == (180, 642, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.mp4", "both.mp4"]


@pytest.mark.real_data
def test_tiles_show_no_seams(pair):
    """Where tiles meet, neighbors differ by what they would differ by without tiles; a seam of one level would show."""
    denoiser = SoraEnhancer.from_preset(Path(__file__).parents[2] / "saved_models" / "denoise")
    frames = [frame for _, frame in itertools.islice(stream_frames(pair / "noisy.mp4", 192, 336), 3)]
    whole, tiled = (np.stack(list(restored_frames(frames, denoiser, size))) for size in (512, 144))
    assert not np.array_equal(whole, tiled)
    seam = (np.arange(336) < 168)[:, None].astype(np.float32)

    def steps(frames, axis):
        return np.abs(np.diff(frames, axis=axis)).mean(axis=tuple({0, 1, 2, 3} - {axis}))

    for axis in (1, 2):
        assert steps(tiled - whole, axis).max() < 0.05 * np.median(steps(whole, axis))
    assert steps(np.broadcast_to(seam, whole.shape), 2).max() > 0.05 * np.median(steps(whole, 2))


@pytest.mark.real_data
def test_frames_to_come_make_it_clearer(pair, tmp_path):
    denoiser = SoraEnhancer.from_preset(Path(__file__).parents[2] / "saved_models" / "denoise")
    before, ahead = (
        enhance(pair / "noisy.mp4", denoiser, tmp_path / "b.mp4", reference=pair / "clean.mp4", look_ahead=look_ahead)
        for look_ahead in (0, 4)
    )
    assert ahead.num_frames == before.num_frames > 10
    assert ahead.gain.psnr_after > before.gain.psnr_after + 0.1
    assert packets(tmp_path / "b.mp4", "audio") == packets(pair / "noisy.mp4", "audio")


@pytest.mark.real_data
def test_enlarging(pair, enlarger, tmp_path):
    shown = enhance(pair / "clean.mp4", enlarger, tmp_path / "b.mkv", tile_size=144, compare=tmp_path / "both.mp4")
    assert shown.size_after == (360, 640)
    assert (probe(tmp_path / "both.mp4").height, probe(tmp_path / "both.mp4").width) == (360, 1282)
    small = np.stack([frame for _, frame in stream_frames(pair / "clean.mp4", 180, 320)]).astype(int)
    large = np.stack([frame for _, frame in stream_frames(tmp_path / "b.mkv", 180, 320)])
    assert np.abs(small - large).mean() < 3


@pytest.mark.real_data
def test_colors_are_adjusted_by_the_models_parameters(real_data, colorer, tmp_path):
    video = real_data / "scenes" / "v_Basketball_g01_c01.avi"
    report = enhance(video, colorer, tmp_path / "b.mp4", quality=8)
    assert report.num_frames == 141
    clip = read_clip(video, ClipSpec(8, 32, 32, 8.0), start_seconds=0.0, end_seconds=1.0)
    parameters = colorer.predict(clip.frames[None], verbose=0)["parameters"][:, :1]
    first = next(frame for _, frame in stream_frames(video))
    expected = np.asarray(ColorAdjustment()(first[None, None], parameters))[0, 0]
    received = next(frame for _, frame in stream_frames(tmp_path / "b.mp4"))
    assert np.abs(expected - first).mean() > 3
    assert np.abs(expected - received).mean() < 3


@pytest.mark.real_data
def test_broken_frames_are_reported(real_data, restorer, tmp_path):
    source = real_data / "broken" / "Error_I_P.264"
    report = enhance(source, restorer, tmp_path / "b.mp4")
    assert report.num_frames == 6
    np.testing.assert_allclose(report.broken_seconds, [0, 0.04, 0.12, 0.16, 0.2])


@pytest.fixture
def small(tmp_path):
    write_video(tmp_path / "a.mp4", np.full((10, 32, 48, 3), 100, np.uint8), 10.0)
    return tmp_path / "a.mp4"


def test_files_that_must_be_different(small, tmp_path):
    model, to = SmallRestorer(), tmp_path / "b.mp4"
    os.link(small, tmp_path / "link.mp4")
    shutil.copy(small, tmp_path / "reference.mp4")
    with pytest.raises(ValueError, match=r"never overwritten: .*link\.mp4' and .*a\.mp4'"):
        enhance(small, model, tmp_path / "link.mp4")
    with pytest.raises(ValueError, match=r"never overwritten: .*link\.mp4' and .*a\.mp4'"):
        enhance(small, model, to, compare=tmp_path / "link.mp4")
    with pytest.raises(ValueError, match=r"never overwritten: .*reference\.mp4' and .*reference\.mp4'"):
        enhance(small, model, tmp_path / "reference.mp4", reference=tmp_path / "reference.mp4")
    with pytest.raises(ValueError, match=r"must be two files, received .*b\.mp4' for both"):
        enhance(small, model, to, compare=tmp_path / "." / "b.mp4")
    with pytest.raises(ValueError, match=r"extension must be one of .* received '\.txt'"):
        enhance(small, model, to, compare=tmp_path / "c.txt")
    assert not to.exists()


def test_references_that_cannot_be_compared(small, tmp_path):
    model = SmallRestorer(scale=2)
    with pytest.raises(ValueError, match=r"frames of 64x96, .* received 32x48"):
        enhance(small, model, tmp_path / "b.mp4", reference=small)
    write_video(tmp_path / "long.mp4", np.full((33, 64, 96, 3), 100, np.uint8), 10.0)
    with pytest.raises(ValueError, match=r"last 1\.00 s, received 3\.30 s"):
        enhance(small, model, tmp_path / "b.mp4", reference=tmp_path / "long.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_a_reference_that_is_a_frame_shorter(small, tmp_path):
    write_video(tmp_path / "reference.mp4", np.full((9, 32, 48, 3), 100, np.uint8), 10.0)
    report = enhance(small, SmallRestorer(), tmp_path / "b.mp4", reference=tmp_path / "reference.mp4")
    assert report.warnings == (
        "the reference ended after 9 frames, 1 before the rest, of which these are not compared",
    )
    assert report.gain.ssim_before == pytest.approx(1)


@pytest.mark.parametrize("tile_size", [0, -16, 100])
def test_tiles_that_cannot_be_laid_out(small, tmp_path, tile_size):
    with pytest.raises(ValueError, match=rf"multiple of 16 above twice the overlap of 64, received {tile_size};"):
        enhance(small, SmallRestorer(), tmp_path / "b.mp4", tile_size=tile_size)


def test_what_is_refused_is_refused_before_the_video_is_looked_at(small, colorer, tmp_path, monkeypatch):
    monkeypatch.setattr(enhance_video, "color_parameters", None)  # to be called would be an error of another type
    with pytest.raises(ValueError, match=r"`tile_size` is for mode=\"restore\", received 256 for mode='parameters'"):
        enhance(small, colorer, tmp_path / "b.mp4", tile_size=256)
    with pytest.raises(ValueError, match=r"`look_ahead` is for mode=\"restore\", received 5 for mode='parameters'"):
        enhance(small, colorer, tmp_path / "b.mp4", look_ahead=5)
    with pytest.raises(ValueError, match=r"quality .* received 99"):
        enhance(small, colorer, tmp_path / "b.mp4", quality=99)
    video = write_sounding_video(
        tmp_path / "sound.avi", np.full((5, 32, 48, 3), 9, np.uint8), np.zeros(9000), codec="pcm_u8"
    )
    with pytest.raises(VideoError, match=r"its sound \(pcm_u8\) .* \.mp4 cannot hold it"):
        enhance(video, colorer, tmp_path / "b.mp4")
    with pytest.raises(VideoError, match=r"its sound \(pcm_u8\) .* \.mp4 cannot hold it"):
        enhance(video, colorer, tmp_path / "b.mkv", compare=tmp_path / "c.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "sound.avi"]


def test_no_video(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"a\.mp4"):
        enhance(tmp_path / "a.mp4", SmallRestorer(), tmp_path / "b.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]

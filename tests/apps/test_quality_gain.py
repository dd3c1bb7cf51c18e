import itertools

import av
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sora_keras.apps.quality_gain import measure_gain
from sora_keras.video import VideoError, stream_frames, write_video
from sora_keras.video.frame_source import mended_frames
from sora_keras.video.rewriting import rewrite_video


@pytest.fixture(scope="module")
def clean(real_data):
    pairs = itertools.islice(stream_frames(real_data / "clean" / "dog.mp4", 96, 128), 6)
    return np.stack([frame for _, frame in pairs])


@pytest.mark.real_data
def test_means_over_the_files_frames_against_scikit_image(tmp_path, clean):
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    for name, frames in (("clean", clean), ("noisy", noisy), ("half", (clean // 2 + noisy // 2))):
        write_video(tmp_path / f"{name}.mp4", frames, quality=5)
    gain = measure_gain(tmp_path / "noisy.mp4", tmp_path / "half.mp4", tmp_path / "clean.mp4")
    read = {
        name: [frame for _, frame in mended_frames(tmp_path / f"{name}.mp4")] for name in ("clean", "noisy", "half")
    }
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
    for name, received in (
        ("noisy", (gain.psnr_before, gain.ssim_before)),
        ("half", (gain.psnr_after, gain.ssim_after)),
    ):
        pairs = list(zip(read["clean"], read[name], strict=True))
        psnr = np.mean([peak_signal_noise_ratio(one, other) for one, other in pairs])
        ssim = np.mean([structural_similarity(one, other, **options) for one, other in pairs])
        np.testing.assert_allclose(received, (psnr, ssim), atol=(3e-3))
    assert gain.psnr_after > gain.psnr_before + 3


@pytest.mark.real_data
def test_smaller_ones_are_enlarged_first(tmp_path, clean):
    write_video(tmp_path / "clean.mp4", clean)
    write_video(tmp_path / "small.mp4", clean[:, ::2, ::2])
    gain = measure_gain(tmp_path / "small.mp4", tmp_path / "clean.mp4", tmp_path / "clean.mp4")
    assert gain.psnr_after == np.inf
    assert gain.ssim_after == pytest.approx(1)
    assert 18 < gain.psnr_before < 45


def test_another_number_of_frames(tmp_path):
    for name, num_frames in (("a", 9), ("b", 9), ("c", 6), ("d", 7)):
        write_video(tmp_path / f"{name}.mp4", np.full((num_frames, 32, 32, 3), 90, np.uint8))
    message = r"c\.mp4: it cannot be compared: the reference ended after 6 frames.*b\.mp4' is whole"
    with pytest.raises(VideoError, match=message):
        measure_gain(tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4")
    with pytest.raises(VideoError, match=r"the video before and the enhanced one ended after 6 frames"):
        measure_gain(tmp_path / "c.mp4", tmp_path / "c.mp4", tmp_path / "a.mp4")
    gain = measure_gain(tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "d.mp4")
    assert gain.psnr_after == np.inf
    assert gain.warning == "the reference ended after 7 frames, 2 before the rest, of which these are not compared"
    assert measure_gain(tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "a.mp4").warning is None


def test_lost_frames_keep_their_place(tmp_path):
    """Each frame is a little brighter than the one before, and stored on its own; three are overwritten by zeros."""
    levels = np.arange(20, 180, 8).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (20, 32, 48, 3))
    source, reference, to = (tmp_path / f"{name}.mp4" for name in "abc")
    with av.open(str(reference), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"x264-params": "keyint=1", "crf": "1"})
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            picture.pts = index
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    with av.open(str(reference)) as container:
        packets = [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]
    content = reference.read_bytes()
    for number in (5, 6, 14):
        assert content.count(packets[number]) == 1
        content = content.replace(packets[number], bytes(len(packets[number])))
    source.write_bytes(content)
    done = rewrite_video(source, to, lambda pairs: (frame for _, frame in pairs), quality=1)
    assert (done.num_frames, len(done.broken_seconds)) == (20, 3)
    gain = measure_gain(source, to, reference)
    assert gain.warning is None
    assert gain.psnr_before > 45  # a frame off is 8 gray levels, 30 dB
    assert gain.psnr_after > 40

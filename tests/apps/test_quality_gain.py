import itertools

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sora_keras.apps.quality_gain import measure_gain
from sora_keras.video import VideoError, stream_frames, write_video


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
        name: [frame for _, frame in stream_frames(tmp_path / f"{name}.mp4")] for name in ("clean", "noisy", "half")
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
    for name, num_frames in (("a", 7), ("b", 7), ("c", 5)):
        write_video(tmp_path / f"{name}.mp4", np.full((num_frames, 32, 32, 3), 90, np.uint8))
    with pytest.raises(VideoError, match=r"c\.mp4: it cannot be compared: .* after 5 frames"):
        measure_gain(tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4")

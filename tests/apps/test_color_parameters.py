import numpy as np
import pytest
from cut_off_video import cut_off

from sora_keras import ClipSpec, SoraBackbone, write_video
from sora_keras.apps.color_parameters import ColorParameters, adjusted_frames, color_parameters
from sora_keras.models.enhancer import SoraEnhancer
from sora_keras.video import VideoError, read_windows, stream_frames


def test_windows_fade_into_each_other():
    """Two windows of constant parameters, 0 s to 4 s and 2 s to 6 s: their middles are 2 s and 4 s."""
    times = np.array([[0.0, 2.0, 4.0], [2.0, 4.0, 6.0]])
    parameters = np.array([[[8.0, 0, 1]] * 3, [[16.0, 1, 0]] * 3], np.float32)
    track = ColorParameters(times, parameters)
    for seconds, share in (
        (-1, 0),
        (0, 0),
        (1, 0),
        (2, 0),
        (2.5, 0.25),
        (3, 0.5),
        (3.5, 0.75),
        (4, 1),
        (6, 1),
        (60, 1),
    ):
        np.testing.assert_allclose(track.at(seconds), [8 + 8 * share, share, 1 - share], atol=1e-6)


def test_within_a_window_parameters_are_interpolated():
    track = ColorParameters(np.array([[0.0, 1.0, 2.0]]), np.array([[[0.0, 0, 0], [10, 1, 2], [40, 0, 2]]], np.float32))
    np.testing.assert_allclose(track.at(0.25), [2.5, 0.25, 0.5])
    np.testing.assert_allclose(track.at(1.5), [25, 0.5, 2])
    np.testing.assert_allclose(track.at(9.0), [40, 0, 2])
    single = ColorParameters(np.array([[3.0]]), np.array([[[5.0, 6, 7]]], np.float32))
    np.testing.assert_allclose(single.at(0.0), [5, 6, 7])


@pytest.fixture(scope="module")
def model():
    return SoraEnhancer(SoraBackbone(ClipSpec(8, 32, 32, frames_per_second=8.0), filters=(4,), units=(4,), motion=None))


@pytest.mark.real_data
def test_the_models_parameters_of_overlapping_windows(real_data, model):
    video = real_data / "scenes" / "v_Basketball_g01_c01.avi"
    track = color_parameters(video, model)
    windows = list(read_windows(video, model.clip_spec, 0.5))
    assert len(windows) == len(track.times) > 8
    for clip, parameters in zip(windows, track.parameters, strict=True):
        np.testing.assert_allclose(parameters, model.predict(clip.frames[None], verbose=0)["parameters"][0], atol=1e-3)
    steps = np.diff([track.at(seconds) for seconds in np.arange(0, 5, 0.04)], axis=0)
    jumps = np.abs(np.diff(track.parameters[:, 0], axis=0)).max(axis=0)
    assert (np.abs(steps).max(axis=0) < 0.2 * jumps + 1e-6).all()


@pytest.mark.real_data
def test_frames_are_adjusted_by_the_parameters_of_their_time(real_data):
    video = real_data / "scenes" / "v_Basketball_g01_c01.avi"
    track = ColorParameters(np.array([[0.0, 4.0]]), np.array([[[0.0, 0, 0], [40, 0, 0]]], np.float32))
    for (seconds, frame), adjusted in zip(
        stream_frames(video), adjusted_frames(stream_frames(video), track), strict=True
    ):
        expected = np.clip(frame + 10 * min(seconds, 4.0), 0, 255)
        np.testing.assert_allclose(adjusted, expected, atol=1e-2)


def test_a_video_that_breaks_off_counts_up_to_there(tmp_path, model):
    noise = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), np.uint8)
    write_video(tmp_path / "a.mp4", noise, 10.0)
    track = color_parameters(cut_off(tmp_path / "a.mp4", 0.6), model)
    assert 3 < track.times.max() < 8
    (tmp_path / "b.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"b\.mp4"):
        color_parameters(tmp_path / "b.mp4", model)

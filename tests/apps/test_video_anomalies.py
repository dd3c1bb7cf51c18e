from __future__ import annotations

import numpy as np
import pytest
from cut_off_video import cut_off
from scipy.ndimage import uniform_filter

from sora_keras.apps.prediction_errors import patch_box
from sora_keras.apps.video_anomalies import AnomalyCurve, anomaly_scores
from sora_keras.models import SoraGenerator
from sora_keras.video import ClipSpec, VideoError, read_clip, write_video

HEIGHT, WIDTH, RATE = 32, 48, 5.0


@pytest.fixture(scope="module")
def model():
    return SoraGenerator(ClipSpec(8, HEIGHT, WIDTH, RATE), filters=(4, 4, 4), num_motions=1, num_channels=1)


def walk(num_frames: int, speed: int = 1, seed: int = 0) -> np.ndarray:
    """A gray square that wanders along a textured wall, `uint8 (N, H, W, 3)`."""
    frames = np.repeat(np.random.default_rng(seed).integers(90, 110, (1, HEIGHT, WIDTH), np.uint8), num_frames, axis=0)
    for number, frame in enumerate(frames):
        left = speed * number % (WIDTH - 6)
        frame[20:26, left : left + 6] = 200
    return np.repeat(frames[..., None], 3, axis=-1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "walk.mp4", walk(40), RATE)
    odd = walk(40)
    odd[25:28, 4:10, 36:42] = 255  # a flash where nothing ever moves
    write_video(folder / "odd.mp4", odd, RATE)
    return folder


def elder_prediction(model, frames, index):
    """Of frame `index + 1`, from the elder of two memories of 8 frames; one begins at 0, 8, ..., one at 4, 12, ..."""
    begins = [begin for begin in (*range(0, 40, 8), *range(4, 40, 8)) if index - 8 < begin <= index]
    return np.array(model(frames[None, min(begins) : index + 1]))[0, -1]


def test_scores_are_the_worst_patch_of_the_models_own_predictions(model, videos):
    curve = anomaly_scores(model, videos / "odd.mp4")
    frames = read_clip(videos / "odd.mp4", ClipSpec(40, HEIGHT, WIDTH, RATE)).frames[..., :1]
    predicted = np.array([elder_prediction(model, frames, index) for index in range(39)])
    errors = ((predicted - frames[1:]) ** 2)[..., 0]
    errors[:, [0, -1]] = errors[:, :, [0, -1]] = 0  # a strip of 3 % of the height, here a pixel
    worst = [uniform_filter(error, 6, mode="reflect").max() for error in errors[3:]]
    np.testing.assert_allclose(curve.scores[4:], 10 * np.log10(np.array(worst) / 255**2), atol=0.005)
    np.testing.assert_array_equal(curve.scores[:4], curve.scores[4])
    np.testing.assert_allclose(curve.times, (np.arange(40) + 0.5) / RATE)
    assert curve.duration_seconds == pytest.approx(40 / RATE, abs=0.01)
    assert curve.error is None


def test_what_is_unusual_stands_out_where_and_when_it_happens(model, videos):
    curve = anomaly_scores(model, videos / "odd.mp4", smoothing_seconds=0.1)
    peak = curve.scores.argmax()
    assert 25 <= peak <= 28
    left, top, right, bottom = curve.boxes[peak]
    assert left < 42 / WIDTH
    assert right > 36 / WIDTH
    assert top < 10 / HEIGHT
    assert bottom > 4 / HEIGHT
    assert abs(int(curve.smoothed.argmax()) - int(peak)) <= 1
    assert (curve.normalized.min(), curve.normalized.max()) == (0.0, 1.0)
    assert anomaly_scores(model, videos / "walk.mp4").scores.max() < curve.scores.max() - 3


def test_what_is_foreseen_exactly_has_the_least_score(tmp_path):
    model = SoraGenerator(ClipSpec(8, HEIGHT, WIDTH, RATE), filters=(4, 4, 4), num_motions=0, num_channels=1)
    model.set_weights([0 * weights for weights in model.get_weights()])  # so it adds nothing to the last frame
    write_video(tmp_path / "still.mp4", np.zeros((10, HEIGHT, WIDTH, 3), np.uint8), RATE)
    np.testing.assert_allclose(anomaly_scores(model, tmp_path / "still.mp4").scores, 10 * np.log10(1 / 12 / 255**2))


def test_patch_boxes_stay_in_the_frame():
    assert patch_box(0, 0, 100, 200) == (0.0, 0.0, 0.05, 0.1)
    # 19 pixels around row 15 and column 30: patches are 3 pixels apart.
    assert patch_box(5, 10, 100, 200) == pytest.approx((21 / 200, 6 / 100, 40 / 200, 25 / 100))
    assert patch_box(33, 66, 100, 200)[2:] == (1.0, 1.0)


def test_color_and_other_rates(videos):
    model = SoraGenerator(ClipSpec(8, HEIGHT, WIDTH, 2.5), filters=(4, 4, 4), num_motions=1)
    curve = anomaly_scores(model, videos / "odd.mp4")
    np.testing.assert_allclose(curve.times, (np.arange(20) + 0.5) / 2.5)
    assert np.isfinite(curve.scores).all()


def test_every_step_is_a_whole_one(model, tmp_path):
    """The last window of a video ends with it, here 0.04 s after the one before."""
    write_video(tmp_path / "a.mp4", walk(206), 25.0)
    curve = anomaly_scores(model, tmp_path / "a.mp4")
    np.testing.assert_allclose(np.diff(curve.times), 1 / RATE, atol=1e-6)
    assert len(curve.times) == 41


@pytest.mark.parametrize(("rate", "is_told"), [(12.0, True), (3.0, True), (10.0, False), (14.985, False)])
def test_rates_with_which_steps_differ_are_told(model, tmp_path, caplog, rate, is_told):
    write_video(tmp_path / "a.mp4", walk(40), rate)
    anomaly_scores(model, tmp_path / "a.mp4")
    assert caplog.text.count(f"it has {rate:.4g} frames a second, no multiple of the model's 5") == is_told


def test_a_video_that_breaks_off_is_scored_up_to_there(model, tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 255, (100, HEIGHT, WIDTH, 3), np.uint8)
    write_video(tmp_path / "half.mp4", noise, 25.0)
    path = cut_off(tmp_path / "half.mp4", 0.5)
    curve = anomaly_scores(model, path)
    assert 5 <= len(curve.times) < 18
    assert curve.error
    assert curve.error in caplog.text


def test_refuses_what_it_cannot_score(model, videos, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match="text"):
        anomaly_scores(model, tmp_path / "text.mp4")
    write_video(tmp_path / "short.mp4", walk(4), RATE)
    with pytest.raises(VideoError, match=r"short\.mp4: it has fewer than 5 frames at 5 a second"):
        anomaly_scores(model, tmp_path / "short.mp4")
    noise = np.random.default_rng(0).integers(0, 255, (100, HEIGHT, WIDTH, 3), np.uint8)
    write_video(tmp_path / "half.mp4", noise, 25.0)
    with pytest.raises(
        VideoError, match=r"half\.mp4: it has fewer than 5 .* before it breaks off: its frames end at 0\."
    ):
        anomaly_scores(model, cut_off(tmp_path / "half.mp4", 0.1))
    with pytest.raises(ValueError, match=r"received -0\.5"):
        anomaly_scores(model, videos / "walk.mp4", smoothing_seconds=-0.5)
    timeless = SoraGenerator(ClipSpec(8, HEIGHT, WIDTH), filters=(4, 4, 4), num_motions=1)
    with pytest.raises(ValueError, match="frames_per_second=None"):
        anomaly_scores(timeless, videos / "walk.mp4")


def test_a_still_video_has_a_curve():
    curve = AnomalyCurve("still.mp4", 1.0, np.arange(5) / 5, np.ones(5), np.zeros((5, 4), np.float32))
    np.testing.assert_array_equal(curve.normalized, 0)

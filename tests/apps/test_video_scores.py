from __future__ import annotations

import logging
import threading

import keras
import numpy as np
import pytest
from brightness_model import bright_probability, brightness_model
from cut_off_video import cut_off
from sounding_video import write_sounding_video

from sora_keras.apps import video_scores
from sora_keras.apps.video_scores import score_video
from sora_keras.models import SoraBackbone, SoraUnderstanding
from sora_keras.video import ClipSpec, VideoError, probe, read_windows, stream_frames, write_video

RATE = 5.0


def gray_video(path, num_frames, frames_per_second=25.0, seed=0):
    """Each frame of one gray level of its own."""
    levels = np.random.default_rng(seed).integers(40, 216, num_frames).astype(np.uint8)
    write_video(path, np.broadcast_to(levels[:, None, None, None], (num_frames, 16, 16, 3)), frames_per_second, 5)
    return path


def shown_levels(path, times):
    """The definition: the gray level of the last frame that begins by each time."""
    begins, levels = zip(*((begin, frame.mean()) for begin, frame in stream_frames(path)), strict=True)
    return np.array(levels)[np.searchsorted(begins, np.asarray(times) + 1e-3, "right") - 1]


def tiny_model(clip_spec, **options):
    keras.utils.set_random_seed(3)
    backbone = SoraBackbone(clip_spec, filters=(4,), units=(4,), **options)
    return SoraUnderstanding(backbone, {"event": ["walk", "fall", "sit"], "person": ["jack"]})


def sigmoid(logits):
    return 1 / (1 + np.exp(-keras.ops.convert_to_numpy(logits).astype(np.float64)))


@pytest.mark.parametrize(
    ("num_frames", "seconds_between_windows"), [(8, None), (7, None), (1, None), (8, 0.2), (8, 1.6), (5, 0.61)]
)
def test_each_time_gets_the_score_of_the_frame_displayed_then(tmp_path, num_frames, seconds_between_windows):
    path = gray_video(tmp_path / "a.mp4", 250)
    scores = score_video(path, brightness_model(ClipSpec(num_frames, 16, 16, RATE)), seconds_between_windows, 3)
    np.testing.assert_allclose(scores.times, np.arange(0.1, 10, 0.2))
    expected = bright_probability(shown_levels(path, scores.times))
    assert expected.std() > 0.3
    assert scores.frame_scores["light"].dtype == np.float32
    np.testing.assert_allclose(scores.frame_scores["light"], np.stack([expected, 1 - expected], 1), atol=1e-5)
    assert scores.seconds_between_frames == pytest.approx(0.2)
    assert scores.duration_seconds == pytest.approx(10)
    assert scores.error is None


# With the last window where the others' frames lie, and somewhere between.
@pytest.mark.parametrize(("num_video_frames", "batch_size"), [(200, 1), (213, 100), (202, 4), (208, 7)])
def test_windows_are_averaged_by_how_far_from_their_ends_frames_are(tmp_path, num_video_frames, batch_size):
    path = gray_video(tmp_path / "a.mp4", num_video_frames)
    model = tiny_model(ClipSpec(6, 16, 16, RATE))
    scores = score_video(path, model, batch_size=batch_size)
    gathered, clips = {}, []
    for window in read_windows(path, model.clip_spec, seconds_between_windows=3 / RATE):
        outputs = model(window.frames[None], training=False)
        clips.append(sigmoid(outputs["event"])[0])
        for seconds, weight, row in zip(
            window.times, (1, 2, 3, 3, 2, 1), sigmoid(outputs["event_frames"])[0], strict=True
        ):
            nearest = np.abs(scores.times - seconds).argmin()
            assert abs(scores.times[nearest] - seconds) <= 0.5 / RATE
            gathered.setdefault(nearest, []).append((weight, row))
    assert sorted(gathered) == list(range(len(scores.times)))
    assert max(map(len, gathered.values())) > 1
    expected = [
        np.average([row for _, row in rows], 0, [weight for weight, _ in rows]) for _, rows in sorted(gathered.items())
    ]
    np.testing.assert_allclose(scores.frame_scores["event"], expected, atol=1e-5)
    np.testing.assert_allclose(scores.clip_scores["event"], np.max(clips, axis=0), atol=1e-5)
    np.testing.assert_allclose(scores.mean_clip_scores["event"], np.mean(clips, axis=0), atol=1e-5)
    assert scores.frame_scores["person"].shape == (len(scores.times), 1)


@pytest.mark.parametrize(("num_video_frames", "expected_times"), [(1, [0.1]), (3, [0.1]), (11, [0.1, 0.3]), (35, 7)])
@pytest.mark.parametrize("has_padding", [False, True])
def test_a_video_shorter_than_a_window(tmp_path, num_video_frames, expected_times, has_padding):
    path = gray_video(tmp_path / "a.mp4", num_video_frames)
    scores = score_video(path, brightness_model(ClipSpec(8, 16, 16, RATE), has_padding=has_padding))
    expected_times = np.arange(7) / RATE + 0.1 if expected_times == 7 else expected_times
    np.testing.assert_allclose(scores.times, expected_times)
    levels = shown_levels(path, scores.times)
    np.testing.assert_allclose(scores.frame_scores["light"][:, 0], bright_probability(levels), atol=1e-5)
    # Without a mask the repeated last frame is what the window ends with.
    seconds = scores.times[-1] if has_padding else probe(path).duration_seconds
    expected = bright_probability(shown_levels(path, [seconds]))
    np.testing.assert_allclose(scores.clip_scores["light"][:1], expected, atol=1e-5)


def test_without_a_rate_one_window_covers_the_video(tmp_path):
    path = gray_video(tmp_path / "a.mp4", 100)
    scores = score_video(path, brightness_model(ClipSpec(8, 16, 16)))
    np.testing.assert_allclose(scores.times, np.arange(0.25, 4, 0.5))
    assert scores.seconds_between_frames == pytest.approx(0.5)
    expected = bright_probability(shown_levels(path, scores.times))
    np.testing.assert_allclose(scores.frame_scores["light"][:, 0], expected, atol=1e-5)


def test_a_last_window_without_frames_shows_the_last_one(tmp_path):
    path = cut_off(gray_video(tmp_path / "late.mp4", 500), 0.95)  # so little that reading goes on
    frames_end = max(begin for begin, _ in stream_frames(path))
    assert 18 < frames_end < 19
    scores = score_video(path, brightness_model(ClipSpec(4, 16, 16, RATE)))
    assert scores.times[-1] == pytest.approx(19.9)
    assert scores.error is None
    expected = bright_probability(shown_levels(path, scores.times))
    np.testing.assert_allclose(scores.frame_scores["light"][:, 0], expected, atol=1e-5)
    assert len(set(expected[scores.times > frames_end])) == 1


def test_a_video_that_breaks_off_is_scored_up_to_there(tmp_path, caplog):
    path = cut_off(gray_video(tmp_path / "off.mp4", 1000), 0.5)
    frames_end = max(begin for begin, _ in stream_frames(path))
    with caplog.at_level(logging.WARNING):
        scores = score_video(path, brightness_model(ClipSpec(8, 16, 16, RATE)), batch_size=64)
    assert frames_end - 1 < scores.times[-1] <= frames_end + 0.2
    assert scores.duration_seconds == pytest.approx(40)
    expected = bright_probability(shown_levels(path, scores.times))
    np.testing.assert_allclose(scores.frame_scores["light"][:, 0], expected, atol=1e-5)
    assert f"its frames end at {frames_end + 0.04:.2f} s" in scores.error
    (message,) = [record.getMessage() for record in caplog.records]
    assert "off.mp4" in message
    assert scores.error in message


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["empty.mp4", "not_a_video.mp4", "truncated.mp4"])
def test_what_is_no_video_is_refused(real_data, name):
    with pytest.raises(VideoError, match=rf"{name}: .*(empty|text file|Invalid data)"):
        score_video(real_data / "broken" / name, brightness_model(ClipSpec(8, 16, 16, 8.0)))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "num_times"),
    [
        ("damaged_middle.mp4", 241),
        ("megamind_buggy.avi", 72),
        ("BA_MW_D_IDR_LOST.264", 22),
        ("BA_MW_D_P_LOST.264", 32),
        ("Error_I_P.264", 2),
    ],
)
def test_damaged_videos_are_scored_to_their_end(real_data, name, num_times):
    path = real_data / "broken" / name
    scores = score_video(path, brightness_model(ClipSpec(8, 16, 16, 8.0)))
    assert len(scores.times) == num_times == round(8 * probe(path).duration_seconds)
    assert scores.frame_scores["light"].shape == (num_times, 2)
    assert scores.error is None


@pytest.fixture
def half_loud(tmp_path):
    """Ten seconds, the first four of them loud."""
    sound = np.where(np.arange(160_000) < 64_000, 0.4, 0.0) * np.sign(np.sin(np.arange(160_000)))
    frames = np.full((250, 16, 16, 3), 128, np.uint8)
    return write_sounding_video(tmp_path / "loud.mkv", frames, sound, codec="flac")


def test_sound_is_heard_at_its_time(half_loud):
    scores = score_video(half_loud, brightness_model(ClipSpec(8, 16, 16, RATE), sound_samples=1600))
    loud = scores.frame_scores["sound"][:, 0]
    assert loud[scores.times < 3.9].min() > 0.99
    assert loud[scores.times > 4.1].max() < 0.05
    assert scores.clip_scores["sound"][0] > 0.99


def test_a_model_of_the_package_hears(half_loud):
    model = tiny_model(ClipSpec(4, 16, 16, RATE), sound_samples=1600)
    scores = score_video(half_loud, model)
    event = scores.frame_scores["event"]
    assert np.abs(event[scores.times < 3].mean(0) - event[scores.times > 5].mean(0)).max() > 1e-4


def test_missing_and_broken_sound_is_silence_and_a_warning(half_loud, tmp_path, caplog):
    model = brightness_model(ClipSpec(8, 16, 16, RATE), sound_samples=1600)
    mute = write_sounding_video(tmp_path / "mute.mkv", np.full((250, 16, 16, 3), 128, np.uint8), None)
    content = half_loud.read_bytes()
    assert content.count(b"\xff\xf8") > 5
    half_loud.write_bytes(content.replace(b"\xff\xf8", b"\0\0"))
    for path, said in ((mute, "mute.mkv has none"), (half_loud, "packets of its sound cannot be decoded")):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            scores = score_video(path, model)
        assert scores.frame_scores["sound"].max() < 0.02
        assert len(scores.times) == 50
        assert "no sound" in caplog.text
        assert said in caplog.text
    assert not np.array_equal(score_video(half_loud, model).frame_scores["light"], 0)


def test_windows_are_read_one_batch_ahead_and_no_more(tmp_path, monkeypatch):
    path = gray_video(tmp_path / "a.mp4", 1000)
    model = brightness_model(ClipSpec(8, 16, 16, RATE))
    num_read, num_shown, ahead, threads = 0, 0, [], set()

    def counted(*arguments):
        nonlocal num_read
        for window in read_windows(*arguments):
            num_read += 1
            threads.add(threading.current_thread())
            yield window

    def predict(inputs, shown=model.predict_on_batch):
        nonlocal num_shown
        num_shown += len(inputs)
        ahead.append(num_read - num_shown)
        return shown(inputs)

    monkeypatch.setattr(video_scores, "read_windows", counted)
    monkeypatch.setattr(model, "predict_on_batch", predict)
    score_video(path, model, batch_size=5)
    assert num_shown == num_read == 49
    assert max(ahead) <= 5
    assert threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


def test_a_model_that_fails_leaves_no_thread_behind(tmp_path, monkeypatch):
    path = gray_video(tmp_path / "a.mp4", 1000)
    model = brightness_model(ClipSpec(8, 16, 16, RATE))
    monkeypatch.setattr(model, "predict_on_batch", lambda _: 1 / 0)
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        score_video(path, model)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds_between_windows": 1.7}, r"from a frame, 0\.2 s, to a window, 1\.6 s, .* received 1\.7"),
        ({"seconds_between_windows": 0.09}, r"from a frame, 0\.2 s, .* received 0\.09"),
        ({"seconds_between_windows": float("nan")}, r"received nan"),
        ({"batch_size": 0}, r"`batch_size` must be at least 1, received 0"),
    ],
)
def test_arguments_out_of_range(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        score_video(tmp_path / "unread.mp4", brightness_model(ClipSpec(8, 16, 16, RATE)), **options)


def test_a_model_of_computed_features_is_refused(tmp_path):
    model = tiny_model(ClipSpec(4, 16, 16, RATE), num_features=7)
    with pytest.raises(ValueError, match=r"'sora_understanding' reads 7 features that somebody has to compute"):
        score_video(tmp_path / "unread.mp4", model)

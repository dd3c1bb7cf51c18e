from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from brightness_model import brightness_model
from cut_off_video import cut_off

from sora_keras.apps.understand_video import understand
from sora_keras.apps.video_scores import score_video
from sora_keras.models import SoraBackbone, SoraUnderstanding
from sora_keras.video import ClipSpec, VideoError, probe, read_sound, write_video

RATE = 5.0
FILES = ["highlights.mp4", "key_moments.jpg", "timeline.csv", "timeline.json", "timeline.png", "timeline.vtt"]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Dark, but bright from 3 to 5 s, and for a fifth of a second from 8 s on."""
    levels = np.full(250, 40, np.uint8)
    levels[75:125] = levels[200:205] = 216
    noise = np.random.default_rng(0).integers(-20, 21, (250, 48, 64, 3))
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    write_video(path, (levels[:, None, None, None] + noise).astype(np.uint8))
    return path


def spans(timeline):
    return [(segment.label, segment.start_seconds, segment.end_seconds) for segment in timeline.segments["light"]]


def test_what_happens_when(video):
    model = brightness_model(ClipSpec(8, 48, 64, RATE))
    timeline = understand(video, model)
    assert spans(timeline) == [
        ("dark", 0.0, pytest.approx(3.0)), ("bright", pytest.approx(3.0), pytest.approx(5.0)),
        ("dark", pytest.approx(5.0), pytest.approx(8.0)), ("dark", pytest.approx(8.2), pytest.approx(10.0)),
    ]  # fmt: skip
    every = understand(video, model, minimum_seconds=0.0, seconds_between_windows=1.6)
    assert ("bright", pytest.approx(8.0), pytest.approx(8.2)) in spans(every)
    assert timeline.path == str(video)
    assert timeline.vocabularies == {"light": ["bright", "dark"]}
    assert min(timeline.clip_scores["light"]) > 0.99
    assert timeline.error is None


def test_the_files_agree_with_what_is_returned(video, tmp_path):
    timeline = understand(video, brightness_model(ClipSpec(8, 48, 64, RATE)), to=tmp_path / "to")
    assert sorted(os.listdir(tmp_path / "to")) == FILES
    document = json.loads((tmp_path / "to" / "timeline.json").read_text())
    assert [(one["label"], one["start_seconds"], one["end_seconds"]) for one in document["segments"]] == [
        (label, round(start, 3), round(end, 3)) for label, start, end in spans(timeline)
    ]


def test_nothing_is_written_where_nothing_is_asked_for(video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    understand(video, brightness_model(ClipSpec(8, 48, 64, RATE)))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("rate", [2.0, 25.0, None])
def test_a_video_of_three_frames(tmp_path, rate):
    write_video(tmp_path / "short.mp4", np.full((3, 32, 32, 3), 216, np.uint8))
    timeline = understand(tmp_path / "short.mp4", brightness_model(ClipSpec(8, 32, 32, rate)), to=tmp_path / "to")
    assert spans(timeline) == [("bright", 0.0, pytest.approx(0.12))]
    assert sorted(os.listdir(tmp_path / "to")) == FILES
    assert probe(tmp_path / "to" / "highlights.mp4").duration_seconds == pytest.approx(0.12)


def test_a_video_that_breaks_off(video, tmp_path, caplog):
    path = cut_off(Path(shutil.copy(video, tmp_path / "off.mp4")), 0.6)
    timeline = understand(path, brightness_model(ClipSpec(8, 48, 64, RATE)), to=tmp_path / "to")
    end = timeline.times[-1] + 0.5 / RATE
    assert 3.5 < end < 7.5
    assert spans(timeline)[:2] == [("dark", 0.0, pytest.approx(3.0)), ("bright", pytest.approx(3.0), min(5.0, end))]
    assert timeline.duration_seconds == pytest.approx(10)
    assert "the file is cut off" in timeline.error
    assert json.loads((tmp_path / "to" / "timeline.json").read_text())["error"] == timeline.error
    assert sorted(os.listdir(tmp_path / "to")) == FILES
    assert "no picture" not in caplog.text
    assert probe(tmp_path / "to" / "highlights.mp4").duration_seconds < end + 0.2


def test_what_cannot_be_read_and_what_cannot_be(video, tmp_path):
    model = brightness_model(ClipSpec(8, 48, 64, RATE))
    with pytest.raises(VideoError, match=r"gone\.mp4: there is no such file"):
        understand(tmp_path / "gone.mp4", model)
    with pytest.raises(ValueError, match=r"`minimum_seconds` must be at least 0, received -0\.25"):
        understand(video, model, minimum_seconds=-0.25)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file"):
        understand(video, model, to=tmp_path / "file" / "to")


@pytest.mark.real_data
def test_a_real_recording_with_a_model_of_the_package(real_data, tmp_path):
    keras.utils.set_random_seed(0)
    backbone = SoraBackbone(ClipSpec(8, 32, 32, 4.0), filters=(8,), units=(8,))
    vocabularies = {"event": ["walk", "falling"], "person": ["jack"]}
    model = SoraUnderstanding(backbone, vocabularies)
    path = real_data / "ceiling" / "20200626_154313.mp4"
    scores = score_video(path, model)
    # Untrained, it is sure of nothing: each label is to hold in its most probable tenth.
    model.thresholds = {name: np.quantile(scores.frame_scores[name], 0.9, axis=0).tolist() for name in vocabularies}
    model.save_to_preset(tmp_path / "model")
    timeline = understand(path, SoraUnderstanding.from_preset(tmp_path / "model"), to=tmp_path / "to")
    assert len(timeline.times) == round(4 * probe(path).duration_seconds)
    np.testing.assert_allclose(timeline.frame_scores["event"], scores.frame_scores["event"], atol=1e-5)
    assert all(timeline.segments.values())
    assert sorted(os.listdir(tmp_path / "to")) == FILES


@pytest.mark.real_data
def test_a_real_video_with_sound(real_data, tmp_path):
    path = real_data / "scenes" / "faces_stage.mp4"
    model = brightness_model(ClipSpec(8, 32, 32, 5.0), sound_samples=1600)
    understand(path, model, to=tmp_path)
    info = probe(tmp_path / "highlights.mp4")
    assert info.has_audio
    assert len(read_sound(tmp_path / "highlights.mp4")) / 16_000 == pytest.approx(info.duration_seconds, abs=0.05)
    assert np.abs(read_sound(tmp_path / "highlights.mp4")).mean() > 0.01

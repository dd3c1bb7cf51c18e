import logging
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sounding_video import write_sounding_video

from sora_keras.data import (
    Faults,
    cache as cache_module,
    clip_reader,
    rows_from_directory,
    video_dataset_from_directory,
)
from sora_keras.features import feature_names
from sora_keras.video import ClipSpec, read_clip, read_sound_windows

SPEC = ClipSpec(num_frames=4, height=16, width=12)
SAMPLES = 1600


@pytest.fixture
def videos(tmp_path):
    """Two videos of each of two classes, each with a hum of its own pitch; the last one of all is mute."""
    times = np.arange(32_000) / 16_000
    for number in range(4):
        frames = np.full((16, 16, 16, 3), 50 * number, np.uint8)
        hum = None if number == 3 else 0.5 * np.sin(2 * np.pi * 200 * (number + 1) * times)
        path = tmp_path / "videos" / ("ant", "bee")[number // 2] / f"{number}.mkv"
        write_sounding_video(path, frames, hum, codec="flac", frames_per_second=8)
    return tmp_path / "videos"


def pitch(sound):
    """The loudest frequency of each clip's windows, to the 10 Hz that so short a window tells."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(SAMPLES))).sum(axis=-2)
    return np.where(sound.any(axis=(-2, -1)), spectrum.argmax(axis=-1) * 16_000 / SAMPLES, 0).tolist()


@pytest.mark.parametrize("cache", ["none", "memory", "arrays", "tfrecords"])
def test_the_sound_around_each_frame_beside_it(videos, tmp_path, monkeypatch, cache):
    if cache == "tfrecords":
        monkeypatch.setattr(cache_module, "_memory_bytes", lambda: 0)
    dataset = video_dataset_from_directory(
        videos, SPEC, batch_size=4, shuffle=False, sound_samples=SAMPLES,
        cache={"none": False, "memory": True}.get(cache, tmp_path / "cache"),
    )  # fmt: skip
    assert dataset.element_spec[0] == {
        "frames": tf.TensorSpec((None, 4, 16, 12, 3), tf.uint8),
        "sound": tf.TensorSpec((None, 4, SAMPLES), tf.float32),
    }
    ((inputs, labels),) = list(dataset)
    assert labels.numpy().tolist() == [0, 0, 1, 1]
    assert pitch(inputs["sound"].numpy()) == [200, 400, 600, 0]
    for row, frames, sound in zip(dataset.rows, inputs["frames"], inputs["sound"], strict=True):
        clip = read_clip(row.path, SPEC)
        np.testing.assert_array_equal(frames, clip.frames)
        expected = read_sound_windows(row.path, clip.times, SAMPLES)
        np.testing.assert_array_equal(sound, np.zeros((4, SAMPLES)) if expected is None else expected)


def test_features_and_sound_beside_the_frames(videos):
    dataset = video_dataset_from_directory(
        videos, SPEC, shuffle=False, batch_size=None, features=["color"], sound_samples=SAMPLES
    )
    inputs, label = next(iter(dataset))
    assert {name: value.shape.as_list() for name, value in inputs.items()} == {
        "frames": [4, 16, 12, 3], "features": [4, len(feature_names(["color"]))], "sound": [4, SAMPLES],
    }  # fmt: skip
    assert (label.numpy(), pitch(inputs["sound"].numpy()[None])) == (0, [200])
    without = video_dataset_from_directory(videos, SPEC, shuffle=False, batch_size=None, features=["color"])
    np.testing.assert_array_equal(inputs["features"], next(iter(without))[0]["features"])


def test_the_sound_belongs_to_the_clip_when_shuffled(videos):
    dataset = video_dataset_from_directory(videos, SPEC, batch_size=3, seed=2, sound_samples=SAMPLES)
    pitches = {0: 200, 50: 400, 100: 600, 150: 0}
    for inputs, _ in dataset:
        numbers = [50 * round(float(gray) / 50) for gray in inputs["frames"].numpy().mean(axis=(1, 2, 3, 4))]
        assert pitch(inputs["sound"].numpy()) == [pitches[number] for number in numbers]


def test_a_cache_keeps_sound_and_is_not_mistaken_for_one_without(videos, tmp_path, monkeypatch):
    def read(**options):
        dataset = video_dataset_from_directory(videos, SPEC, shuffle=False, cache=tmp_path / "cache", **options)
        return next(iter(dataset))[0]

    first = read(sound_samples=SAMPLES)
    assert read().shape == (4, 4, 16, 12, 3)
    assert read(sound_samples=SAMPLES // 2)["sound"].shape == (4, 4, SAMPLES // 2)
    monkeypatch.setattr(clip_reader, "read_sound_or_silence", lambda *_: pytest.fail("decoded again"))
    np.testing.assert_array_equal(read(sound_samples=SAMPLES)["sound"], first["sound"])


def test_broken_sound_loses_no_video(videos, caplog):
    path = videos / "ant" / "1.mkv"
    content = path.read_bytes()
    assert content.count(b"\xff\xf8") > 5
    path.write_bytes(content.replace(b"\xff\xf8", b"\0\0"))
    faults = Faults()
    dataset = video_dataset_from_directory(
        videos, SPEC, batch_size=4, shuffle=False, faults=faults, sound_samples=SAMPLES
    )
    with caplog.at_level(logging.WARNING):
        ((inputs, _),) = list(dataset)
    assert pitch(inputs["sound"].numpy()) == [200, 0, 600, 0]
    assert len(faults) == 0
    (message,) = [record.getMessage() for record in caplog.records]
    assert "no sound" in message
    assert "1.mkv" in message
    assert "packets of its sound cannot be decoded" in message


@pytest.mark.parametrize("sound_samples", [-5, 0.25, True])
def test_sound_samples_are_counted(videos, sound_samples):
    with pytest.raises(ValueError, match=f"`sound_samples` must be a whole number.*received {sound_samples!r}"):
        video_dataset_from_directory(videos, SPEC, sound_samples=sound_samples)


@pytest.mark.real_data
def test_real_videos_with_and_without_sound(real_data):
    names = ["fi059.mp4", "fi122.mp4"]
    rows = [row for row in rows_from_directory(real_data / "fights") if Path(row.path).name in names]
    reader = clip_reader.ClipReader(rows, SPEC, sound_samples=4000)
    sounds = [reader.read(index, 0)[-2 * 4 * 4000 :].view(np.int16) for index in range(len(rows))]
    assert [Path(row.path).name for row in rows] == names
    assert np.abs(sounds[0]).max() > 0.1 * 2**15
    assert not sounds[1].any()

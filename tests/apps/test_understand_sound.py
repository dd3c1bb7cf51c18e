import keras
import numpy as np
import pytest
from sounding_video import write_sounding_video

from sora_keras import ClipSpec, SoraBackbone, SoraUnderstanding, understand, video_dataset_from_manifest
from sora_keras.data import Event, Row, rows_of_windows

SPEC = ClipSpec(8, 16, 16, frames_per_second=4.0)
VOCABULARIES = {"event": ["flash", "hum"]}
SECONDS = 4


def stretch(rng):
    start = rng.uniform(0, SECONDS - 1.5)
    return start, start + rng.uniform(0.75, 1.5)


def write_video_of(path, flash, hum):
    """Dark but for the flash, silent but for the hum, each from one second to another; no hum, no sound at all."""
    times = (np.arange(SECONDS * 8) + 0.5) / 8
    frames = np.where((times >= flash[0]) & (times < flash[1]), 180, 30)[:, None, None, None]
    frames = np.broadcast_to(frames, (len(times), 16, 16, 3)).astype(np.uint8)
    samples = np.arange(SECONDS * 16_000) / 16_000
    sound = 0.5 * np.sin(2 * np.pi * 440 * samples)
    heard = None if hum is None else np.where((samples >= hum[0]) & (samples < hum[1]), sound, 0.0)
    write_sounding_video(path, frames, heard, codec="flac", frames_per_second=8)
    return str(path)


def test_learns_what_is_seen_and_what_is_heard_and_does_without_sound(tmp_path):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    rows = []
    for index in range(40):
        flash, hum = stretch(rng), stretch(rng)
        path = write_video_of(tmp_path / f"{index}.mkv", flash, hum)
        rows.append(Row(path, events=(Event("flash", *flash), Event("hum", *hum))))
    train = video_dataset_from_manifest(
        rows_of_windows(rows, SPEC, 0.5), SPEC, vocabularies=VOCABULARIES, batch_size=16, seed=0, cache=True,
        sound_samples=1600,
    )  # fmt: skip
    backbone = SoraBackbone(
        SPEC, filters=(8,), units=(16,), motion=None, sequence="bidirectional_lstm", sound_samples=1600
    )
    model = SoraUnderstanding(backbone, VOCABULARIES, dropout=0.0, learning_rate=0.01)
    model.fit(train, epochs=12, shuffle=False, verbose=0)

    both = understand(write_video_of(tmp_path / "both.mkv", (0.5, 1.75), (2.25, 3.5)), model).segments["event"]
    assert [segment.label for segment in both] == ["flash", "hum"]
    assert [(segment.start_seconds, segment.end_seconds) for segment in both] == [
        pytest.approx((0.5, 1.75), abs=0.3), pytest.approx((2.25, 3.5), abs=0.3)
    ]  # fmt: skip
    mute = understand(write_video_of(tmp_path / "mute.mkv", (1.5, 3.0), None), model).segments["event"]
    assert [segment.label for segment in mute] == ["flash"]
    assert (mute[0].start_seconds, mute[0].end_seconds) == pytest.approx((1.5, 3.0), abs=0.3)

from __future__ import annotations

import logging
import pathlib

import numpy as np
import pytest
from sounding_video import write_sounding_video

from sora_keras.video import read_sound_windows
from sora_keras.video.sound_or_silence import read_sound_or_silence

FRAMES = np.full((50, 16, 16, 3), 90, np.uint8)
HUM = 0.5 * np.sin(0.2 * np.arange(32_000))
SECONDS = [0.5, 1.5, 1.0]


def test_sound_is_what_is_heard(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_sounding_video(tmp_path / "a.mkv", FRAMES, HUM, codec="flac")
    sound = read_sound_or_silence(path, SECONDS, 320)
    np.testing.assert_array_equal(sound, read_sound_windows(path, SECONDS, 320))
    assert np.abs(sound).max() > 0.4
    assert not caplog.records


def test_no_sound_is_silence(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_sounding_video(tmp_path / "mute.mkv", FRAMES, None)
    np.testing.assert_array_equal(read_sound_or_silence(path, SECONDS, 320), np.zeros((3, 320), np.float32))
    assert not caplog.records


def test_broken_sound_is_silence_and_a_warning(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_sounding_video(tmp_path / "a.mkv", FRAMES, HUM, codec="flac")
    path.write_bytes(path.read_bytes().replace(b"\xff\xf8", b"\0\0"))
    with caplog.at_level(logging.WARNING):
        sound = read_sound_or_silence(path, np.array(SECONDS), 320)
    assert sound.shape == (3, 320)
    assert sound.dtype == np.float32
    assert not sound.any()
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("no sound: ")
    assert "a.mkv" in message
    assert "packets of its sound cannot be decoded" in message

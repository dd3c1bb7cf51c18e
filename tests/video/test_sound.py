import shutil
import subprocess

import numpy as np
import pytest
from sounding_video import write_sounding_video

from sora_keras.video import VideoError, read_sound, read_sound_windows, sound as sound_module

GRAY = np.full((100, 16, 16, 3), 128, np.uint8)  # four seconds


def tone(hertz, seconds=4.0, rate=16_000, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def clicks(at, seconds=4.0, rate=48_000):
    """Short bursts at those times: unlike a tone, they tell how late a sound is."""
    times = np.arange(round(seconds * rate)) / rate
    return sum(0.8 * np.exp(-(((times - second) / 5e-4) ** 2)) for second in at)


def peaks(sound, rate=16_000):
    """The seconds at which clicks are heard."""
    loud = np.flatnonzero((sound > 0.3) & (sound >= np.roll(sound, 1)) & (sound > np.roll(sound, -1)))
    return (loud / rate).tolist()


def spectrum_peak(sound, rate):
    """Frequency and amplitude of the one tone in a sound."""
    window = np.hanning(len(sound))
    spectrum = np.abs(np.fft.rfft(sound * window)) / window.sum() * 2
    index = int(spectrum.argmax())
    return index * rate / len(sound), spectrum[index]


@pytest.mark.parametrize(
    ("name", "codec", "stored_rate", "wanted_rate"),
    [
        ("a.mp4", "aac", 44_100, 16_000),
        ("a.mkv", "libopus", 48_000, 16_000),
        ("a.mkv", "flac", 44_100, 8_000),
        ("a.avi", "pcm_s16le", 22_050, 16_000),
        ("a.mov", "pcm_s16le", 16_000, 16_000),
        ("a.mp4", "aac", 8_000, 16_000),
    ],
)
def test_a_tone_keeps_its_pitch_and_loudness(tmp_path, name, codec, stored_rate, wanted_rate):
    path = write_sounding_video(tmp_path / name, GRAY, tone(440.0, 4.0, stored_rate), stored_rate, codec)
    sound = read_sound(path, wanted_rate)
    assert sound.dtype == np.float32
    assert sound.shape == (4 * wanted_rate,)
    hertz, amplitude = spectrum_peak(sound[wanted_rate : 3 * wanted_rate], wanted_rate)
    assert hertz == pytest.approx(440.0, abs=0.5)
    assert amplitude == pytest.approx(0.5, rel=0.02)


def test_tones_above_half_the_rate_are_filtered_out_not_folded_down(tmp_path):
    path = write_sounding_video(tmp_path / "a.mov", GRAY, tone(7_000.0, 4.0, 48_000), 48_000)
    assert np.abs(read_sound(path, 8_000)[800:-800]).max() < 0.01


def test_channels_are_averaged_and_never_leave_the_range(tmp_path):
    left, right = tone(440.0, amplitude=0.9), tone(440.0, amplitude=0.5)
    path = write_sounding_video(tmp_path / "a.mov", GRAY, np.stack([left, right], axis=1))
    assert np.abs(read_sound(path)).max() == pytest.approx(0.7, abs=0.01)
    full = np.stack([np.ones(64_000), np.ones(64_000)], axis=1)
    path = write_sounding_video(tmp_path / "b.mov", GRAY, full)
    np.testing.assert_allclose(read_sound(path), 1.0, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "codec", "video_starts_at", "sound_starts_at", "heard"),
    [
        ("a.mp4", "aac", 0.0, 0.0, [0.5, 2.25]),
        ("a.mp4", "aac", 0.0, 1.4, [1.9, 3.65]),
        ("a.mp4", "aac", 1.2, 0.0, [1.05]),
        ("a.mkv", "pcm_s16le", 0.0, 1.4, [1.9, 3.65]),
        ("a.mkv", "libopus", 1.2, 1.2, [0.5, 2.25]),
        ("a.ts", "aac", 2.0, 1.4, [1.65]),
    ],
)
def test_time_counts_from_the_first_frame(tmp_path, name, codec, video_starts_at, sound_starts_at, heard):
    path = write_sounding_video(
        tmp_path / name, GRAY, clicks([0.5, 2.25]), 48_000, codec,
        video_starts_at=video_starts_at, sound_starts_at=sound_starts_at,
    )  # fmt: skip
    assert peaks(read_sound(path)) == pytest.approx(heard, abs=1.1e-3)


def test_a_part_is_that_part_of_the_whole(tmp_path):
    times = np.arange(44_100 * 12) / 44_100
    # No noise: AAC's decoder makes up its own.
    rising = 0.3 * np.sin(2 * np.pi * (300 + 120 * times) * times)
    path = write_sounding_video(tmp_path / "a.mp4", np.repeat(GRAY, 3, axis=0), rising, 44_100, "aac")
    whole = read_sound(path)
    for start, end in ((0.0, 0.25), (0.3, 1.0), (5.125, 5.75), (11.0, 11.4)):
        part = read_sound(path, start_seconds=start, end_seconds=end)
        assert len(part) == round((end - start) * 16_000)
        expected = whole[round(start * 16_000) : round(end * 16_000)]
        np.testing.assert_allclose(part, expected, atol=1e-3)
        assert np.abs(part).max() > 0.1


@pytest.mark.parametrize("num_channels", [1, 2, 6])
def test_a_part_of_an_avi_file_too(tmp_path, num_channels):
    """FFmpeg counts the samples of six channels from another one on if it is sent too far back."""
    times = np.arange(44_100 * 8) / 44_100
    rising = 0.3 * np.sin(2 * np.pi * (300 + 40 * times) * times)
    sound = np.repeat(rising[:, None], num_channels, axis=1)
    path = write_sounding_video(tmp_path / "a.avi", np.repeat(GRAY, 2, axis=0), sound, 44_100)
    part, whole = read_sound(path, start_seconds=5.0, end_seconds=6.0), read_sound(path)
    times = np.arange(16_000 * 8) / 16_000
    rising = 0.3 * np.sin(2 * np.pi * (300 + 40 * times) * times)
    # Six channels are mixed with weights, so the loudness is another one.
    share = 1.0 if num_channels < 6 else np.abs(part).max() / 0.3
    np.testing.assert_allclose(whole[100:-100], share * rising[100:-100], atol=3e-3)
    np.testing.assert_allclose(part, whole[80_000:96_000], atol=1e-3)


def test_a_part_is_jumped_to(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000 * 60)
    decoded = []
    resample = sound_module._Run.resample

    def spy(self, frame):
        decoded.append(0 if frame is None else frame.samples / frame.sample_rate)
        return resample(self, frame)

    monkeypatch.setattr(sound_module._Run, "resample", spy)
    for name in ("a.mp4", "a.mkv", "a.avi"):
        path = write_sounding_video(tmp_path / name, GRAY[:60], noise, 16_000, "mp2", frames_per_second=1)
        decoded.clear()
        read_sound(path, start_seconds=50.0, end_seconds=51.0)
        assert sum(decoded) < 8, name


def test_there_are_zeros_where_there_is_no_sound(tmp_path):
    path = write_sounding_video(tmp_path / "a.mkv", GRAY, tone(440.0, 1.0), sound_starts_at=1.5)
    sound = read_sound(path, start_seconds=-1.0, end_seconds=6.0)
    assert sound.shape == (7 * 16_000,)
    heard = np.flatnonzero(sound) / 16_000 - 1.0
    assert (heard.min(), heard.max()) == pytest.approx((1.5, 2.5), abs=2e-3)
    assert not read_sound(path, start_seconds=3.0, end_seconds=3.5).any()


def test_windows_lie_around_their_times_in_any_order(tmp_path):
    frames = np.repeat(GRAY, 3, axis=0)
    path = write_sounding_video(tmp_path / "a.mp4", frames, clicks([1.0, 1.3, 9.0], 12.0), 48_000, "aac")
    windows = read_sound_windows(path, [9.0, 1.3, 20.0, 1.0, 8.9], 4000)
    assert (windows.shape, windows.dtype) == ((5, 4000), np.float32)
    assert [peaks(window) for window in windows] == [
        pytest.approx(heard, abs=1e-3) for heard in ([0.125], [0.125], [], [0.125], [0.225])
    ]
    np.testing.assert_allclose(windows[3], read_sound(path, start_seconds=0.875, end_seconds=1.125), atol=1e-3)


def test_a_video_without_sound_has_none(tmp_path):
    path = write_sounding_video(tmp_path / "a.mp4", GRAY, None)
    assert read_sound(path) is None
    assert read_sound_windows(path, [0.5], 1000) is None


def test_no_times_have_no_windows(tmp_path):
    path = write_sounding_video(tmp_path / "a.mp4", GRAY, tone(440.0), codec="aac")
    assert read_sound_windows(path, [], 1000).shape == (0, 1000)


class TestBrokenSound:
    def zeroed(self, tmp_path, share):
        """A video whose packets of sound, from a share of its length on, hold zeros."""
        path = write_sounding_video(tmp_path / "a.mkv", GRAY, tone(440.0), codec="flac")
        content = bytearray(path.read_bytes())
        starts = [index for index in range(len(content) - 1) if content[index : index + 2] == b"\xff\xf8"]
        assert len(starts) > 10
        for start in starts[round(share * len(starts)) :]:
            content[start : start + 4] = bytes(4)
        path.write_bytes(content)
        return path

    def test_what_is_lost_is_silent(self, tmp_path):
        sound = read_sound(self.zeroed(tmp_path, 0.6))
        assert sound.shape == (64_000,)
        assert np.abs(sound[:32_000]).max() == pytest.approx(0.5, rel=0.02)
        assert not sound[48_000:].any()

    def test_when_most_is_lost_it_is_said(self, tmp_path):
        with pytest.raises(VideoError, match=r"(\d+) of (\1) packets of its sound cannot be decoded"):
            read_sound(self.zeroed(tmp_path, 0.0))

    def test_a_senseless_rate(self, tmp_path):
        path = write_sounding_video(tmp_path / "a.avi", GRAY, tone(440.0))
        content = path.read_bytes()
        # In the header of the sound: one channel, 16000 samples and 32000 bytes a second.
        header = np.array([16_000, 32_000], "<u4").tobytes()
        assert content.count(header) == 1
        path.write_bytes(content.replace(header, np.array([7, 14], "<u4").tobytes()))
        with pytest.raises(VideoError, match="claims 7 samples a second, expected 1000 to 768000"):
            read_sound(path)


def test_no_other_file_is_opened(tmp_path):
    write_sounding_video(tmp_path / "a.mp4", GRAY, tone(440.0), codec="aac")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:4,\na.mp4\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError, match="this is a playlist"):
        read_sound(tmp_path / "list.m3u8")
    with pytest.raises(VideoError, match="this is a URL"):
        read_sound("https://example.com/a.mp4")


class TestArguments:
    @pytest.mark.parametrize("rate", [0, 99, 192_001, 16_000.5, True])
    def test_rate(self, rate):
        with pytest.raises(ValueError, match=f"from 100 to 192000, received {rate!r}"):
            read_sound("a.mp4", rate)

    def test_part(self, tmp_path):
        path = write_sounding_video(tmp_path / "a.mp4", GRAY, None)
        with pytest.raises(ValueError, match=r"must come before the end, received 2\.5 and 1\.25"):
            read_sound(path, start_seconds=2.5, end_seconds=1.25)

    def test_too_long_a_part(self, tmp_path):
        path = write_sounding_video(tmp_path / "a.mp4", GRAY, None)
        with pytest.raises(VideoError, match=r"320000000 samples .* from 0 s to 20000 s, and at most 268435456"):
            read_sound(path, end_seconds=20_000.0)

    def test_window(self):
        with pytest.raises(ValueError, match="at least 1, received -3"):
            read_sound_windows("a.mp4", [0.0], -3)


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name", ["scenes/faces_stage.mp4", "scenes/v_ApplyEyeMakeup_g01_c01.avi", "fights/fight/fi059.mp4"]
)
def test_real_sound_is_what_another_ffmpeg_makes_of_it(real_data, name):
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg command to compare with")
    path = real_data / name
    # The whole file's clock, so that a later beginning of the one or the other stream counts.
    start = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=start_time", "-of", "csv=p=0",
         path],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    converted = subprocess.run(
        ["ffmpeg", "-v", "error", "-copyts", "-i", path, "-map", "0:a:0", "-ac", "1", "-ar", "16000",
         "-af", "aresample=async=1:first_pts=0", "-f", "s16le", "-"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    expected = np.frombuffer(converted, "<i2")[round(float(start) * 16_000) :] / 32_768
    sound = read_sound(path)
    length = min(len(sound), len(expected)) - 400
    assert length > 50_000
    assert np.abs(sound).max() > 0.1
    lags = range(-8, 9)
    errors = [np.abs(np.roll(sound, lag)[400:length] - expected[400:length]).mean() for lag in lags]
    assert abs(lags[int(np.argmin(errors))]) <= 1
    assert np.corrcoef(sound[400:length], expected[400:length])[0, 1] > 0.95

from __future__ import annotations

import numpy as np
import pytest

from sora_keras.video import Clip, stream_frames
from sora_keras.video.frame_repair import find_broken_frames, repair_broken_frames


def read(path, num_frames, height=240, width=320):
    pairs = [pair for pair, _ in zip(stream_frames(path, height, width), range(num_frames), strict=False)]
    return Clip(np.stack([frame for _, frame in pairs]), np.array([seconds for seconds, _ in pairs]))


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))


def gray(frame):
    return np.full_like(frame, 130)


def green(frame):
    """What YUV 0, 0, 0 looks like."""
    return np.broadcast_to(np.array([0, 135, 0], np.uint8), frame.shape)


def smeared(frame):
    broken = frame.copy()
    broken[150:] = broken[149]
    return broken


def torn(frame):
    """Bands of rows shifted sideways."""
    broken = frame.copy()
    for start in range(0, len(frame), 24):
        broken[start : start + 24] = np.roll(broken[start : start + 24], 61 * (start // 24 + 1), axis=1)
    return broken


def upside_down(frame):
    return frame[::-1]


def half_black(frame):
    broken = frame.copy()
    broken[100:] = 0
    return broken


DAMAGES = (gray, green, smeared, torn, upside_down, half_black)


@pytest.fixture(scope="module")
def foreman(real_data):
    return read(real_data / "clean" / "foreman_cif.264", 16)


# Half a black frame on a roller coaster is missing: where motion is that fast, neighbors agree in too few tiles.
CASES = [(name, damage) for name in ("dog.mp4", "foreman_cif.264", "rollercoaster.mp4") for damage in DAMAGES][:-1]


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "damage"), CASES)
def test_injected_damage_is_found_and_mended(real_data, name, damage):
    clip = read(real_data / "clean" / name, 12)
    frames = clip.frames.copy()
    frames[5] = damage(frames[5])
    broken = Clip(frames, clip.times)
    assert find_broken_frames(broken).nonzero()[0].tolist() == [5]
    repaired = repair_broken_frames(broken)
    np.testing.assert_array_equal(np.delete(repaired.frames, 5, axis=0), np.delete(frames, 5, axis=0))
    np.testing.assert_array_equal(repaired.times, clip.times)
    average = (frames[4].astype(float) + frames[6]) / 2
    assert psnr(repaired.frames[5], clip.frames[5]) > psnr(frames[5], clip.frames[5]) + 8
    assert psnr(repaired.frames[5], clip.frames[5]) > psnr(average, clip.frames[5]) + 2


@pytest.mark.real_data
@pytest.mark.parametrize("damage", [gray, torn])
def test_runs_of_broken_frames(foreman, damage):
    frames = foreman.frames.copy()
    for index in (6, 7, 8):
        frames[index] = damage(frames[index])
    repaired = repair_broken_frames(Clip(frames, foreman.times))
    assert min(psnr(repaired.frames[index], foreman.frames[index]) for index in (6, 7, 8)) > 27


@pytest.mark.real_data
def test_the_ends_repeat_their_neighbor(foreman):
    frames = foreman.frames.copy()
    frames[0], frames[-1] = gray(frames[0]), gray(frames[0])
    repaired = repair_broken_frames(Clip(frames, foreman.times)).frames
    np.testing.assert_array_equal(repaired[0], frames[1])
    np.testing.assert_array_equal(repaired[-1], frames[-2])


@pytest.mark.real_data
def test_a_broken_frame_at_a_cut_is_not_a_mixture(foreman, real_data):
    other = read(real_data / "clean" / "dog.mp4", 4).frames
    frames = np.concatenate([foreman.frames[:5], [gray(other[0])], other])
    repaired = repair_broken_frames(Clip(frames, np.arange(10) / 25)).frames[5]
    np.testing.assert_array_equal(repaired, frames[4])


@pytest.mark.real_data
def test_real_decoders_damage(real_data):
    """Glitches of one frame (a white box, a mirrored frame, black and green halves); rows filled in after lost data."""
    glitches = read(real_data / "broken" / "megamind_buggy.avi", 300)
    assert find_broken_frames(glitches).nonzero()[0].tolist() == [40, 75, 95, 100]
    lost = read(real_data / "broken" / "Error_I_P.264", 10)
    assert find_broken_frames(lost).nonzero()[0].tolist() == [0, 4]


@pytest.mark.real_data
@pytest.mark.slow
def test_holes_in_a_stream(real_data):
    holes = read(real_data / "broken" / "damaged_middle.mp4", 400)
    assert find_broken_frames(holes).nonzero()[0].tolist() == [75, 76, 223]


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name", ["clean/bedroom.mp4", "clean/flower_720p.264", "clean/rollercoaster.mp4", "scenes/v_Basketball_g01_c01.avi",
             "ped2/testing/01.mp4", "fights/fight/fi015.mp4"]
)  # fmt: skip
def test_clean_videos_come_through_unchanged(real_data, name):
    clip = read(real_data / name, 60)
    assert repair_broken_frames(clip) is clip


@pytest.mark.real_data
def test_cuts_come_through_unchanged(foreman, real_data):
    shots = [foreman.frames[:5], read(real_data / "clean" / "dog.mp4", 4).frames,
             read(real_data / "clean" / "bedroom.mp4", 1).frames, foreman.frames[8:13],
             read(real_data / "ped2" / "training" / "01.mp4", 5).frames]  # fmt: skip
    frames = np.concatenate(shots)
    clip = Clip(frames, np.arange(len(frames)) / 25)
    assert repair_broken_frames(clip) is clip


@pytest.mark.real_data
@pytest.mark.parametrize("gain", [1.6, 2.5, 6.0, 0.4, 0.05])
def test_flashes_and_blackouts_come_through_unchanged(foreman, gain):
    """A flash lights the middle of the frame more than its edges."""
    rows, columns = np.mgrid[-1:1:240j, -1:1:320j]
    light = 1 + (gain - 1) * np.exp(-(rows**2 + columns**2) / 2)
    frames = foreman.frames.copy()
    frames[7] = np.clip(frames[7] * light[..., None], 0, 255)
    clip = Clip(frames, foreman.times)
    assert repair_broken_frames(clip) is clip


@pytest.mark.real_data
def test_white_and_black_frames_and_fades_come_through_unchanged(foreman):
    frames = foreman.frames.copy()
    frames[4], frames[10] = 255, 0
    assert not find_broken_frames(Clip(frames, foreman.times)).any()
    fade = (foreman.frames * np.linspace(1, 0, 16)[:, None, None, None]).astype(np.uint8)
    assert not find_broken_frames(Clip(fade, foreman.times)).any()


@pytest.mark.real_data
def test_frames_far_apart_in_time_are_not_compared(foreman, real_data):
    """One frame a second: a cutaway of one frame is a shot, not damage; at 25 frames per second it would be."""
    frames = foreman.frames.copy()
    frames[7] = read(real_data / "clean" / "dog.mp4", 1).frames[0]
    assert not find_broken_frames(Clip(frames, np.arange(16.0))).any()
    assert find_broken_frames(Clip(frames, np.arange(16) / 25)).nonzero()[0].tolist() == [7]


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (5, 1, 1, 3), (4, 9, 300, 3)])
def test_odd_sizes_and_clips_without_a_whole_frame(shape):
    clip = Clip(np.full(shape, 130, np.uint8), np.arange(float(shape[0])))
    assert find_broken_frames(clip).all()
    assert repair_broken_frames(clip) is clip


def test_times_that_stand_still():
    frames = np.random.default_rng(0).integers(0, 256, (3, 10, 10, 3), np.uint8)
    frames[1] = 130
    repaired = repair_broken_frames(Clip(frames, np.zeros(3)))
    np.testing.assert_array_equal(repaired.frames[1], frames[0])


def test_a_stripe_pattern_is_not_damage():
    stripes = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[:, None], (5, 40, 64, 3))
    assert not find_broken_frames(Clip(stripes, np.arange(5) / 25)).any()

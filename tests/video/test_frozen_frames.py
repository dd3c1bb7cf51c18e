from __future__ import annotations

import numpy as np
import pytest

from sora_keras.video import Clip, stream_frames, write_video
from sora_keras.video.frozen_frames import drop_frozen_frames, find_frozen_frames


def read(path, num_frames, height=240, width=320):
    pairs = [pair for pair, _ in zip(stream_frames(path, height, width), range(num_frames), strict=False)]
    return Clip(np.stack([frame for _, frame in pairs]), np.array([seconds for seconds, _ in pairs]))


@pytest.fixture(scope="module")
def moving(real_data):
    return read(real_data / "clean" / "dog.mp4", 16)


ORDER = [0, 1, 2, 2, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12, 12, 12, 13, 14, 15]
REPEATS = [3, 4, 8, 16, 17, 18, 19]


@pytest.mark.real_data
def test_exact_repeats_go_and_times_stay_with_their_frames(moving):
    times = np.arange(len(ORDER)) / 25
    clip = Clip(moving.frames[ORDER], times)
    kept = drop_frozen_frames(clip, tolerance=0)
    np.testing.assert_array_equal(kept.frames, moving.frames)
    np.testing.assert_array_equal(kept.times, np.delete(times, REPEATS))


@pytest.mark.real_data
def test_repeats_are_found_after_encoding(moving, tmp_path):
    write_video(tmp_path / "frozen.mp4", moving.frames[ORDER])
    is_frozen = find_frozen_frames(read(tmp_path / "frozen.mp4", 100), tolerance=5)
    assert is_frozen.nonzero()[0].tolist() == REPEATS


@pytest.mark.real_data
def test_a_real_video_that_repeats_frames(real_data):
    """This recording holds exact repeats of its own."""
    clip = read(real_data / "scenes" / "people_one_by_one.mp4", 60, 432, 768)
    same = [i for i in range(1, len(clip.frames)) if (clip.frames[i] == clip.frames[i - 1]).all()]
    assert len(same) >= 3
    assert set(same) <= set(find_frozen_frames(clip, 0).nonzero()[0])


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["bedroom.mp4", "coffee.mp4", "foreman_cif.264", "rollercoaster.mp4"])
def test_moving_videos_stay(real_data, name):
    clip = read(real_data / "clean" / name, 40)
    assert drop_frozen_frames(clip) is clip


def test_slow_changes_add_up():
    """Each frame is 1 level brighter: against the last one kept, every seventh exceeds 2 x 3 levels."""
    frames = np.full((15, 16, 16, 3), 100, np.uint8) + np.arange(15, dtype=np.uint8)[:, None, None, None]
    assert drop_frozen_frames(Clip(frames, np.arange(15.0))).times.tolist() == [0, 7, 14]


def test_a_small_thing_that_moves_counts():
    frames = np.full((4, 64, 64, 3), 90, np.uint8)
    for index in range(4):
        frames[index, 10:14, 10 + 4 * index : 14 + 4 * index] = 200
    clip = Clip(frames, np.arange(4.0))
    assert drop_frozen_frames(clip) is clip


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (3, 1, 1, 3), (3, 5, 11, 3)])
def test_odd_sizes(shape):
    clip = Clip(np.zeros(shape, np.uint8), np.arange(float(shape[0])))
    assert find_frozen_frames(clip).tolist() == [False] + [True] * (shape[0] - 1)


def test_bad_tolerance_is_named():
    with pytest.raises(ValueError, match=r"`tolerance` must be 0 or more levels, received -2\.5"):
        drop_frozen_frames(Clip(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2.0)), -2.5)

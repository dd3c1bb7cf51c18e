from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sora_keras.data.clip_spec_suggestion import TRAINING_BYTES_A_PIXEL, suggest_clip_spec
from sora_keras.data.machine_memory import machine_memory_bytes
from sora_keras.data.manifest import Row, read_manifest
from sora_keras.models import SoraClassifier
from sora_keras.training.memory_estimate import training_bytes
from sora_keras.video import ClipSpec, write_video

GIBIBYTE = 2**30


def write_moving_square(path, num_frames, side, pixels_a_frame, square=32, frames_per_second=16.0):
    """A textured square that goes right over black, around the picture's edge."""
    texture = np.random.default_rng(0).integers(120, 256, (square // 4, square // 4, 3), np.uint8)
    frames = np.zeros((num_frames, side, side, 3), np.uint8)
    frames[0, side // 3 : side // 3 + square, :square] = texture.repeat(4, axis=0).repeat(4, axis=1)
    for index in range(1, num_frames):
        frames[index] = np.roll(frames[0], index * pixels_a_frame, axis=1)
    write_video(path, frames, frames_per_second, quality=20)


@pytest.fixture(scope="module")
def slow_and_fast(tmp_path_factory):
    folder = tmp_path_factory.mktemp("squares")
    for name, pixels in (("slow", 2), ("fast", 6)):
        for number in range(2):
            write_moving_square(folder / f"{name}{number}.mp4", 32, 128, pixels)
    return folder


def rows_of(folder, name):
    return [Row(str(path)) for path in sorted(folder.glob(f"{name}*.mp4"))]


def test_the_rate_follows_the_speed(slow_and_fast):
    slow = suggest_clip_spec(rows_of(slow_and_fast, "slow"))
    fast = suggest_clip_spec(rows_of(slow_and_fast, "fast"))
    # By hand: 2 pixels a frame of 128 at 16 a second are 0.25 sides a second, 5 steps of a twentieth; 6 are 15 steps.
    assert "5 frames a second" in slow.reasons[1]
    assert slow.clip_spec.num_frames == pytest.approx(5 * 2, abs=2)  # 2 s of video
    assert fast.clip_spec.num_frames == pytest.approx(15 * 2, abs=4)
    assert slow.clip_spec.frames_per_second is fast.clip_spec.frames_per_second is None
    assert "spread over the whole of each" in slow.reasons[2]


def test_the_size_follows_what_moves_and_never_passes_the_source(tmp_path):
    for side, square in ((128, 16), (128, 64), (48, 8)):
        write_moving_square(tmp_path / f"{side}_{square}.mp4", 16, side, 2, square)
    small, large, tiny = (
        suggest_clip_spec([Row(str(tmp_path / f"{name}.mp4"))]) for name in ("128_16", "128_64", "48_8")
    )
    assert small.clip_spec.height == small.clip_spec.width > large.clip_spec.height
    assert small.clip_spec.height <= 128
    assert tiny.clip_spec.height == 48
    assert large.clip_spec.height % 16 == 0


def test_videos_of_different_or_great_lengths_become_windows(slow_and_fast, tmp_path):
    write_moving_square(tmp_path / "long.mp4", 480, 128, 6)
    [short, _], long = rows_of(slow_and_fast, "fast"), Row(str(tmp_path / "long.mp4"))
    different = suggest_clip_spec([short, long])
    assert "differ in length" in different.reasons[2]
    alike = suggest_clip_spec([long])
    assert "too long to be read whole" in alike.reasons[2]
    assert alike.clip_spec.frames_per_second == pytest.approx(15, abs=1)
    assert alike.clip_spec.duration_seconds == pytest.approx(3, abs=0.3)
    part = suggest_clip_spec([dataclasses.replace(long, start_seconds=10.0, end_seconds=12.0)])
    assert "last 2 to 2 s" in part.reasons[0]
    assert part.clip_spec.frames_per_second is None


def test_memory_makes_frames_smaller_then_fewer(slow_and_fast):
    rows = rows_of(slow_and_fast, "fast")
    free = suggest_clip_spec(rows, memory_bytes=100 * GIBIBYTE).clip_spec
    tight = suggest_clip_spec(rows, memory_bytes=GIBIBYTE)
    assert tight.clip_spec.height < free.height
    assert tight.clip_spec.num_frames == free.num_frames
    assert "more than the 1 GiB allowed: with" in tight.reasons[4]
    tighter = suggest_clip_spec(rows, memory_bytes=GIBIBYTE // 4).clip_spec
    assert tighter.height == 32
    assert tighter.num_frames < free.num_frames
    impossible = suggest_clip_spec(rows, memory_bytes=1)
    assert (impossible.clip_spec.height, impossible.clip_spec.num_frames) == (32, 8)
    assert impossible.reasons[4].endswith("use smaller batches.")


def test_memory_is_reckoned_as_the_base_preset_takes_it():
    clip_spec = ClipSpec(16, 96, 96)
    taken = training_bytes(SoraClassifier.from_preset("base", ["a", "b"], clip_spec), batch_size=16)
    assert taken / (16 * 16 * 96 * 96) == pytest.approx(TRAINING_BYTES_A_PIXEL, rel=0.25)


def test_stills(tmp_path):
    write_video(tmp_path / "still.mp4", np.full((20, 64, 64, 3), 90, np.uint8), 10.0)
    suggestion = suggest_clip_spec([Row(str(tmp_path / "still.mp4"))])
    assert suggestion.clip_spec == ClipSpec(8, 64, 64)
    assert "Nothing moves" in suggestion.reasons[3]


def test_broken_videos_are_skipped_with_a_word(slow_and_fast, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"")
    broken = Row(str(tmp_path / "broken.mp4"))
    suggestion = suggest_clip_spec([broken, *rows_of(slow_and_fast, "slow")])
    assert [fault.path for fault in suggestion.faults] == [broken.path]
    assert "2 of 3 videos measured" in suggestion.reasons[0]
    assert f"1 cannot be read, such as {broken.path}: the file is empty" in str(suggestion)
    with pytest.raises(ValueError, match=r"None of the 1 videos drawn can be read; the first: .*broken\.mp4"):
        suggest_clip_spec([broken])


def test_the_same_seed_measures_the_same(slow_and_fast):
    rows = rows_of(slow_and_fast, "")
    assert suggest_clip_spec(rows, max_videos=2, seed=3) == suggest_clip_spec(rows, max_videos=2, seed=3)
    assert "2 of 4 videos measured" in suggest_clip_spec(rows, max_videos=2).reasons[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": []}, "at least one video to measure, received none"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, received 0"),
        ({"max_videos": -5}, "`max_videos` must be at least 1, received -5"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        suggest_clip_spec(**{"rows": [Row("a.mp4")], **options})


def test_the_machine_has_memory():
    assert 2**28 < machine_memory_bytes() < 2**44


@pytest.mark.real_data
def test_real_videos(real_data):
    fights = suggest_clip_spec(read_manifest(real_data / "fights" / "clips.csv"), max_videos=8).clip_spec
    walking = suggest_clip_spec([Row(str(path)) for path in sorted((real_data / "ped2").rglob("*.mp4"))[:6]]).clip_spec
    assert fights.frames_per_second is None  # about 2 s each
    assert 12 <= fights.num_frames <= 48
    assert walking.frames_per_second == 4.0  # far away and slow
    assert walking.height > fights.height  # people fill little of the picture

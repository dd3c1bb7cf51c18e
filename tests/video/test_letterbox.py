from __future__ import annotations

import numpy as np
import pytest

from sora_keras.video import Clip, ClipSpec, probe, read_clip, stream_frames, write_video
from sora_keras.video.letterbox import find_picture, remove_letterbox


def barred(frames, top=0, bottom=0, left=0, right=0, color=(0, 0, 0)):
    num_frames, height, width, _ = frames.shape
    outer = np.empty((num_frames, top + height + bottom, left + width + right, 3), np.uint8)
    outer[:] = color
    outer[:, top : top + height, left : left + width] = frames
    return Clip(outer, np.arange(num_frames) / 25)


@pytest.fixture(scope="module")
def picture(real_data):
    return read_clip(real_data / "clean" / "dog.mp4", ClipSpec(8, 160, 240)).frames


BARS = {
    "letterbox": {"top": 20, "bottom": 20},
    "pillarbox": {"left": 30, "right": 33},
    "one side": {"bottom": 17},
    "all sides, white": {"top": 6, "bottom": 9, "left": 12, "right": 40, "color": (255, 255, 255)},
    "portrait in landscape in portrait": {"left": 200, "right": 200, "top": 100, "bottom": 100},
    "blue": {"top": 24, "bottom": 8, "color": (20, 40, 200)},
}


@pytest.mark.real_data
@pytest.mark.parametrize("bars", BARS.values(), ids=BARS)
def test_bars_are_found_to_the_pixel(picture, bars):
    rows, columns = find_picture(barred(picture, **bars))
    top, left = bars.get("top", 0), bars.get("left", 0)
    assert (rows, columns) == (slice(top, top + 160), slice(left, left + 240))


@pytest.mark.real_data
@pytest.mark.parametrize("quality", [18, 30])
def test_bars_are_found_in_encoded_and_scaled_video(picture, tmp_path, quality):
    path = tmp_path / "barred.mp4"
    write_video(path, barred(picture, top=40, bottom=40, left=16, right=16).frames, quality=quality)
    rows, columns = find_picture(read_clip(path, ClipSpec(8, 240, 272)))
    assert 40 <= rows.start <= 42
    assert 198 <= rows.stop <= 200
    assert 16 <= columns.start <= 18
    assert 254 <= columns.stop <= 256
    rows, columns = find_picture(read_clip(path, ClipSpec(8, 90, 102)))
    assert 15 <= rows.start <= 16  # 240 rows to 90: the bar ends at row 15, the columns' at 6
    assert 74 <= rows.stop <= 75
    assert 6 <= columns.start <= 7
    assert 95 <= columns.stop <= 96


@pytest.mark.real_data
def test_the_picture_is_cut_out_or_scaled(picture):
    clip = barred(picture, top=20, bottom=20)
    cropped = remove_letterbox(clip, keep_size=False)
    np.testing.assert_array_equal(cropped.frames, picture)
    scaled = remove_letterbox(clip)
    assert scaled.frames.shape == clip.frames.shape
    np.testing.assert_array_equal(scaled.times, clip.times)
    np.testing.assert_allclose(scaled.frames.mean((0, 1, 2)), picture.mean((0, 1, 2)), atol=1)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["bedroom", "blocks", "coffee", "cups", "dog", "rollercoaster"])
def test_clean_videos_have_none(real_data, name):
    path = real_data / "clean" / f"{name}.mp4"
    info = probe(path)
    clip = read_clip(path, ClipSpec(8, info.height // 2, info.width // 2))
    assert remove_letterbox(clip) is clip


@pytest.mark.real_data
def test_real_pillarboxes(real_data):
    """Portrait phone video in a landscape file, and a night scene in the same set, dark but without bars."""
    rows, columns = find_picture(read_clip(real_data / "fights" / "fight" / "fi073.mp4", ClipSpec(8, 240, 320)))
    assert rows == slice(0, 240)
    assert 48 <= columns.start <= 52
    assert 268 <= columns.stop <= 272


def test_bars_that_last_for_part_of_the_clip_stay():
    frames = np.random.default_rng(0).integers(0, 256, (6, 40, 40, 3), np.uint8)
    frames[:5, :10] = 0
    clip = Clip(frames, np.arange(6.0))
    assert remove_letterbox(clip) is clip


def test_a_dark_scene_is_no_bar():
    """A lamp in the dark: the frame's edge is black, but no straight edge ends it."""
    rows, columns = np.mgrid[:60, :80]
    lamp = 255 * np.exp(-((rows - 30) ** 2 + (columns - 40) ** 2) / 100)
    clip = Clip(np.repeat(lamp.astype(np.uint8)[None, :, :, None], 4, axis=0).repeat(3, axis=-1), np.arange(4.0))
    assert remove_letterbox(clip) is clip


@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_flat_clip_stays(level):
    clip = Clip(np.full((3, 30, 40, 3), level, np.uint8), np.arange(3.0))
    assert remove_letterbox(clip) is clip


@pytest.mark.real_data
def test_a_single_wild_pixel_in_a_bar_does_not_hide_it(picture):
    clip = barred(picture, top=20)
    clip.frames[3, 5, 100] = 255
    assert find_picture(clip)[0].start == 20


def test_every_frame_of_a_stream_is_enough(real_data):
    frames = [
        frame for (_, frame), _ in zip(stream_frames(real_data / "clean" / "cups.mp4", 90, 160), range(4), strict=False)
    ]
    clip = barred(np.stack(frames)[:1], left=8, right=8)
    assert find_picture(clip) == (slice(0, 90), slice(8, 168))

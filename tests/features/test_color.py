import colorsys

import numpy as np
import pytest

from sora_keras.features import color_features, feature_names
from sora_keras.video import Clip

NAMES = feature_names(["color"])
RNG = np.random.default_rng(0)


def clip_of(frames):
    return Clip(np.asarray(frames, np.uint8), np.arange(len(frames)) / 10)


def column(features, name):
    return features[:, NAMES.index(name)]


def test_value_and_saturation_histograms_equal_numpy_ones():
    frames = RNG.integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    features = color_features(clip_of(frames))
    for index, frame in enumerate(frames.astype(float)):
        brightest, darkest = frame.max(-1), frame.min(-1)
        expected = np.histogram(brightest, bins=8, range=(0, 256))[0] / 600
        np.testing.assert_allclose(features[index, 16:24], expected, atol=1e-6)
        saturation = np.rint(255 * (brightest - darkest) / brightest)
        expected = np.histogram(saturation, bins=8, range=(0, 256))[0] / 600
        np.testing.assert_allclose(features[index, 8:16], expected, atol=2 / 600)  # rounding at the edges of bins


@pytest.mark.parametrize("index", range(8))
def test_hue_bins_go_around_the_circle_from_red(index):
    color = np.rint(np.array(colorsys.hsv_to_rgb((index + 0.5) / 8, 1, 1)) * 255)
    features = color_features(clip_of(np.broadcast_to(color, (1, 9, 7, 3))))
    assert column(features, f"color_hue_bin{index}") == 1
    assert features[0, :8].sum() == 1
    assert column(features, "color_saturation_bin7") == 1
    assert column(features, "color_value_bin7") == 1


def test_histograms_of_real_colors_add_up_to_one():
    features = color_features(clip_of(RNG.integers(0, 256, (2, 17, 13, 3))))
    np.testing.assert_allclose(features[:, :24].reshape(2, 3, 8).sum(-1), 1, rtol=1e-6)


def test_moments_equal_numpy_ones():
    frames = (255 * RNG.random((3, 20, 30, 3)) ** [0.5, 1, 3]).astype(np.uint8)
    features = color_features(clip_of(frames))
    flat = frames.reshape(3, -1, 3).astype(float)
    deviation = flat - flat.mean(1, keepdims=True)
    third = (deviation**3).mean(1)
    np.testing.assert_allclose(features[:, 24:27], flat.mean(1), rtol=1e-5)
    np.testing.assert_allclose(features[:, 27:30], flat.std(1), rtol=1e-5)
    np.testing.assert_allclose(features[:, 30:33], np.sign(third) * np.abs(third) ** (1 / 3), rtol=1e-4)
    assert column(features, "color_red_skewness").max() < 0 < column(features, "color_blue_skewness").min()


def test_moments_of_one_channel_stand_under_its_name():
    frames = np.zeros((1, 4, 6, 3))
    frames[0, :, :2, 1] = 90  # a third of the pixels: mean 30, variance 1800, third moment 54000
    features = color_features(clip_of(frames))
    assert column(features, "color_green_mean") == 30
    assert column(features, "color_green_std") == pytest.approx(1800**0.5)
    assert column(features, "color_green_skewness") == pytest.approx(54000 ** (1 / 3))
    assert column(features, "color_red_mean") == column(features, "color_blue_std") == 0

import keras
import numpy as np
import pytest
from scipy import ndimage

from sora_keras.layers.patch_placement import PatchPlacement

RNG = np.random.default_rng(0)


def place(patches, places, height=12, width=16):
    outputs = PatchPlacement(height, width)(patches.astype("float32"), np.asarray(places, "float32"))
    return keras.ops.convert_to_numpy(outputs)


def test_in_the_middle_and_moved_by_whole_pixels():
    patches = RNG.random((1, 3, 4, 6, 2))
    frames = place(patches, [[[0, 0, 0], [2, -5, 0], [-6, 0, 0]]])
    expected = np.zeros((1, 3, 12, 16, 2))
    expected[0, 0, 4:8, 5:11] = patches[0, 0]
    expected[0, 1, 6:10, 0:6] = patches[0, 1]
    expected[0, 2, 0:2, 5:11] = patches[0, 2, 2:]  # the upper half is beyond the edge
    np.testing.assert_allclose(frames, expected, atol=1e-6)


def test_between_pixels_as_scipy_interpolates():
    patches = RNG.random((1, 1, 4, 6, 1))
    frame = place(patches, [[[1.3, -2.6, 0]]])[0, 0, ..., 0]
    canvas = np.pad(patches[0, 0, ..., 0], ((4, 4), (5, 5)))
    np.testing.assert_allclose(frame, ndimage.shift(canvas, (1.3, -2.6), order=1), atol=1e-5)


def test_larger_as_scipy_interpolates():
    """Twice as large, on the grid of every second pixel: between the first and the last pixel it is zooming."""
    patches = RNG.random((1, 1, 5, 5, 1))
    frame = place(patches, [[[0, 0, np.log(2)]]], 11, 11)[0, 0, ..., 0]
    np.testing.assert_allclose(frame[1:-1, 1:-1], ndimage.zoom(patches[0, 0, ..., 0], 9 / 5, order=1), atol=1e-5)


@pytest.mark.parametrize("scale", [0.4, 0.7, 1.0, 1.6])
def test_brightness_goes_with_the_area(scale):
    frame = place(np.ones((1, 1, 10, 10, 1)), [[[0.2, -0.3, np.log(scale)]]], 32, 32)
    assert frame.sum() == pytest.approx(100 * scale**2, rel=0.02)
    assert frame.max() < 1.2


def test_training_finds_a_place():
    """Off the grid a gradient leads to where the patch belongs, on it there is none."""
    patch = ndimage.gaussian_filter(np.pad(np.ones((2, 2)), 3), 1.5)[None, None, ..., None]
    target = place(patch, [[[2.4, -3.1, 0.2]]])
    for beginning, arrives in ((0.1, True), (0.0, False)):
        places = keras.Variable(np.full((1, 1, 3), beginning, "float32"))
        layer = PatchPlacement(12, 16)
        model = keras.Sequential([keras.Input((1, 3)), _Placing(layer, patch, places)])
        model.compile(keras.optimizers.Adam(0.05), "mse")
        model.fit(np.zeros((200, 1, 3)), np.repeat(target, 200, axis=0), batch_size=1, verbose=0)
        found = keras.ops.convert_to_numpy(places)[0, 0]
        assert np.allclose(found[:2], [2.4, -3.1], atol=0.2) == arrives


class _Placing(keras.layers.Layer):
    """A patch at a place that is learned."""

    def __init__(self, placement, patch, places):
        super().__init__()
        self.placement, self.patch, self.places = placement, patch.astype("float32"), places

    def call(self, inputs):
        return self.placement(self.patch, self.places + 0 * inputs)


def test_shapes_and_config():
    layer = PatchPlacement(20, 24, name="here")
    assert layer(keras.Input((7, 4, 6, 3)), keras.Input((7, 3))).shape == (None, 7, 20, 24, 3)
    assert PatchPlacement.from_config(layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="at least 1, received 5 and -2"):
        PatchPlacement(5, -2)

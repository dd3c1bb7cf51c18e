import keras
import numpy as np
import pytest
from PIL import Image

from sora_keras.layers.shrunk_frames import ShrunkFrames


@pytest.mark.parametrize("factor", [2, 4])
def test_equals_pillow(factor):
    coarse = np.random.default_rng(0).integers(0, 256, (2, 3, 12, 8, 3)).astype(np.uint8)
    frames = coarse.repeat(4, axis=2).repeat(4, axis=3)
    shrunk = np.asarray(ShrunkFrames(factor)(frames))
    assert (shrunk.shape, shrunk.dtype) == ((2, 3, 48 // factor, 32 // factor, 3), np.uint8)
    expected = Image.fromarray(frames[1, 2]).resize((32 // factor, 48 // factor), Image.Resampling.BICUBIC)
    difference = np.abs(shrunk[1, 2].astype(int) - np.asarray(expected))
    assert difference.max() <= 2  # Pillow rounds between rows and columns
    assert difference.mean() < 0.5


def test_symbolic_shape_and_config():
    layer = ShrunkFrames.from_config(ShrunkFrames(4).get_config())
    assert layer(keras.Input((5, 32, 64, 3))).shape == (None, 5, 8, 16, 3)


def test_sides_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="multiples of 4 pixels, received 18 x 32"):
        ShrunkFrames(4)(np.zeros((1, 1, 18, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="at least 2, received 1"):
        ShrunkFrames(1)

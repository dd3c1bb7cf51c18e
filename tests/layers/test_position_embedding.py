import keras
import numpy as np
import pytest

from sora_keras.layers import PositionEmbedding


@pytest.mark.parametrize(("num_frames", "width"), [(1, 8), (50, 8), (7, 5)])
def test_adds_sines_and_cosines_of_the_place(num_frames, width):
    inputs = np.random.default_rng(0).normal(size=(2, num_frames, width)).astype("float32")
    half = (width + 1) // 2
    expected = np.zeros((num_frames, width))
    for place in range(num_frames):
        for column in range(width):
            angle = place / 10_000 ** ((column % half) / half)
            expected[place, column] = np.sin(angle) if column < half else np.cos(angle)
    outputs = keras.ops.convert_to_numpy(PositionEmbedding()(inputs))
    np.testing.assert_allclose(outputs - inputs, np.broadcast_to(expected, inputs.shape), atol=1e-5)


def test_any_length_and_half_precision():
    layer = PositionEmbedding(dtype="mixed_bfloat16")
    outputs = layer(keras.Input((None, 8)))
    assert outputs.shape == (None, None, 8)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    assert PositionEmbedding.from_config(layer.get_config()).name == layer.name

import keras
import numpy as np
import pytest

from sora_keras.layers import AttentionPooling

INPUTS = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
MASK = np.arange(5) < np.array([[3], [5]])


def by_hand(inputs, kernel, bias, judge):
    scores = np.tanh(inputs @ kernel + bias) @ judge
    weights = np.exp(scores) / np.exp(scores).sum(axis=0)
    return (weights * inputs).sum(axis=0)


@pytest.mark.parametrize("mask", [None, MASK])
def test_frames_are_averaged_by_learned_weights(mask):
    layer = AttentionPooling(4)
    outputs = keras.ops.convert_to_numpy(layer(INPUTS, mask=mask))
    lengths = (5, 5) if mask is None else (3, 5)
    expected = [by_hand(INPUTS[i, :length], *layer.get_weights()) for i, length in enumerate(lengths)]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_half_precision_hides_padding_too():
    layer = AttentionPooling(4, dtype="mixed_float16")
    inputs = np.concatenate([INPUTS, np.full_like(INPUTS, 1000)], axis=1)
    mask = np.arange(10) < np.array([[5], [5]])
    outputs = keras.ops.convert_to_numpy(layer(inputs, mask=mask))
    np.testing.assert_allclose(outputs, layer(INPUTS), atol=1e-2)


def test_config_round_trip_and_shapes():
    layer = AttentionPooling(7)
    assert AttentionPooling.from_config(layer.get_config()).units == 7
    assert layer(keras.Input((None, 6))).shape == (None, 6)


def test_bad_units_are_named():
    with pytest.raises(ValueError, match=r"at least 1, received -3"):
        AttentionPooling(-3)

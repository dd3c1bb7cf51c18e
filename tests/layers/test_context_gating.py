import keras
import numpy as np
import pytest

from sora_keras.layers.context_gating import ContextGating

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(4, 6)).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-np.float64(x)))


def random_weights(layer, spread=1.0):
    layer.build((None, 6))
    layer.set_weights([RNG.normal(size=weight.shape, scale=spread) for weight in layer.get_weights()])
    return layer.get_weights()


def test_features_times_their_gates():
    layer = ContextGating()
    kernel, bias = random_weights(layer)
    outputs = keras.ops.convert_to_numpy(layer(INPUTS))
    for features, gated in zip(INPUTS, outputs, strict=True):
        for column in range(6):
            gate = sigmoid(sum(features * kernel[:, column]) + bias[column])
            assert gated[column] == pytest.approx(gate * features[column], abs=1e-5)


def test_logits_stand_for_probabilities():
    layer, plain = ContextGating(from_logits=True), ContextGating()
    plain.build((None, 6))
    plain.set_weights(random_weights(layer))
    probabilities = keras.ops.convert_to_numpy(plain(sigmoid(INPUTS).astype("float32")))
    np.testing.assert_allclose(sigmoid(layer(INPUTS)), probabilities, rtol=1e-4)


def test_certain_logits_keep_their_order():
    layer = ContextGating(from_logits=True)
    layer.build((None, 3))
    layer.set_weights([np.zeros((3, 3)), np.full(3, 300.0)])  # every gate open
    inputs = np.array([[-120.0, 60.0, 90.0]], "float32")
    np.testing.assert_allclose(layer(inputs), inputs, rtol=1e-5)  # as probabilities: 0, 1, 1
    layer.set_weights([np.zeros((3, 3)), np.array([-200.0, -5.0, 0.0])])
    np.testing.assert_allclose(layer(inputs), [[-320.0, -5.0, 0.0]], atol=0.01)


@pytest.mark.parametrize("from_logits", [True, False])
def test_it_begins_by_changing_next_to_nothing(from_logits):
    np.testing.assert_allclose(ContextGating(from_logits)(INPUTS), INPUTS, atol=0.05)


def test_config_round_trip_shapes_and_penalty():
    layer = ContextGating(from_logits=True, l2=0.5)
    config = ContextGating.from_config(layer.get_config())
    assert (config.from_logits, config.l2) == (True, 0.5)
    assert layer(keras.Input((6,))).shape == (None, 6)
    np.testing.assert_allclose(sum(layer.losses), 0.5 * (layer.get_weights()[0] ** 2).sum(), rtol=1e-5)

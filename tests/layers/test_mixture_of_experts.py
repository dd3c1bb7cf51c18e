import keras
import numpy as np
import pytest

from sora_keras.layers.mixture_of_experts import MixtureOfExperts

INPUTS = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(x, gate_kernel, gate_bias, expert_kernel, expert_bias, num_labels, num_experts):
    """The probabilities of one clip, label by label, in 64-bit numbers."""
    gates, experts = x @ gate_kernel + gate_bias, x @ expert_kernel + expert_bias
    probabilities = []
    for label in range(num_labels):
        own = slice(label * num_experts, (label + 1) * num_experts)
        weights = np.exp([*gates[own], 0.0])
        probabilities.append(sum(weights[:-1] / weights.sum() * sigmoid(experts[own])))
    return probabilities


def random_weights(layer, spread):
    layer.build((None, 6))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=weight.shape, scale=spread) for weight in layer.get_weights()])
    return [weight.astype("float64") for weight in layer.get_weights()]


@pytest.mark.parametrize("num_experts", [1, 2, 5])
def test_probabilities_of_the_paper(num_experts):
    layer = MixtureOfExperts(3, num_experts)
    weights = random_weights(layer, 1.0)
    expected = [by_hand(x, *weights, 3, num_experts) for x in INPUTS.astype("float64")]
    logits = keras.ops.convert_to_numpy(layer(INPUTS))
    np.testing.assert_allclose(sigmoid(logits.astype("float64")), expected, rtol=1e-4)


def test_the_certain_keep_their_order_and_gradient():
    layer = MixtureOfExperts(2, 2)
    layer.build((None, 1))
    layer.set_weights([np.zeros((1, 4)), np.full(4, 200.0), np.array([[1.0, 1.0, -1.0, -1.0]]), np.zeros(4)])
    logits = keras.ops.convert_to_numpy(layer(np.array([[50.0], [80.0]], "float32")))
    np.testing.assert_allclose(logits, [[50, -50], [80, -80]], rtol=1e-5)  # probabilities would all be 0 or 1
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(np.array([[80.0]]), np.array([[0.0, 1.0]]), verbose=0)
    assert np.isfinite(layer.get_weights()[2]).all()
    assert (layer.get_weights()[2] != [[1.0, 1.0, -1.0, -1.0]]).all()


def test_half_precision_comes_out_in_full():
    layer = MixtureOfExperts(3, 2, dtype="mixed_bfloat16")
    random_weights(layer, 1.0)
    full = MixtureOfExperts(3, 2)
    random_weights(full, 1.0)
    outputs = layer(INPUTS)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    np.testing.assert_allclose(outputs, full(INPUTS), atol=0.2)


def test_config_round_trip_shapes_and_penalty():
    layer = MixtureOfExperts(7, 3, l2=0.5)
    config = MixtureOfExperts.from_config(layer.get_config())
    assert (config.num_labels, config.num_experts, config.l2) == (7, 3, 0.5)
    assert layer(keras.Input((6,))).shape == (None, 7)
    gate, _, expert, _ = layer.get_weights()
    np.testing.assert_allclose(sum(layer.losses), 0.5 * (gate**2).sum() + 0.5 * (expert**2).sum(), rtol=1e-5)


@pytest.mark.parametrize(("name", "number"), [("num_labels", 0), ("num_experts", -3)])
def test_bad_numbers_are_named(name, number):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, received {number}"):
        MixtureOfExperts(**{"num_labels": 5, "num_experts": 2, name: number})

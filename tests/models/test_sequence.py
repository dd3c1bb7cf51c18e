import keras
import numpy as np
import pytest

from sora_keras.models.sequence import read_sequence

INPUTS = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
MASK = np.arange(5) < np.array([[3], [5]])


def build(sequence, units, dropout=0.0, l2=0.0):
    features, mask = keras.Input((None, 6)), keras.Input((None,), dtype="bool")
    model = keras.Model([features, mask], read_sequence(features, sequence, units, dropout, l2, mask))
    keras.utils.set_random_seed(1)
    model.set_weights([np.random.default_rng(1).normal(0, 0.4, weight.shape) for weight in model.weights])
    return model


def normalize(x, layer):
    scale, offset = layer.get_weights()
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3) * scale + offset


def test_attention_equals_the_block_written_out():
    """Two heads of 32 and one mask, in NumPy."""
    model = build("attention", (64,))
    layer = model.get_layer
    kernel, bias = layer("width_0").get_weights()
    half = 10_000.0 ** (-np.arange(32) / 32)
    angle = np.arange(5)[:, None] * half
    x = INPUTS @ kernel + bias + np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)
    normalized = normalize(x, layer("normalize_before_attention_0"))
    q_kernel, q_bias, k_kernel, k_bias, v_kernel, v_bias, o_kernel, o_bias = layer("attention_0").get_weights()
    query, key, value = (
        np.einsum("bte,ehd->bhtd", normalized, kernel) + bias[:, None]
        for kernel, bias in ((q_kernel, q_bias), (k_kernel, k_bias), (v_kernel, v_bias))
    )
    scores = np.einsum("bhtd,bhsd->bhts", query, key) / np.sqrt(32)
    scores = np.where(MASK[:, None, None], scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    x = x + np.einsum("bhts,bhsd,hde->bte", weights, value, o_kernel) + o_bias
    hidden = normalize(x, layer("normalize_before_dense_0"))
    for name, activation in (("expand_0", keras.activations.gelu), ("contract_0", lambda hidden: hidden)):
        kernel, bias = layer(name).get_weights()
        hidden = keras.ops.convert_to_numpy(activation(hidden @ kernel + bias))
    expected = normalize(x + hidden, layer("normalize_sequence"))
    outputs, summary = model.predict([INPUTS, MASK], verbose=0)
    np.testing.assert_allclose(outputs[0, :3], expected[0, :3], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(outputs[1], expected[1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(summary[0], expected[0, :3].mean(0), rtol=1e-3, atol=1e-3)


def gru_by_hand(inputs, weights):
    """The form that cuDNN computes: the reset gate acts after the recurrent product."""
    kernel, recurrent_kernel, (input_bias, recurrent_bias) = weights
    hidden = np.zeros((len(inputs), len(recurrent_kernel)))
    steps = []
    for step in range(inputs.shape[1]):
        z_in, r_in, h_in = np.split(inputs[:, step] @ kernel + input_bias, 3, axis=1)
        z_back, r_back, h_back = np.split(hidden @ recurrent_kernel + recurrent_bias, 3, axis=1)
        update, reset = 1 / (1 + np.exp(-z_in - z_back)), 1 / (1 + np.exp(-r_in - r_back))
        hidden = update * hidden + (1 - update) * np.tanh(h_in + reset * h_back)
        steps.append(hidden)
    return np.stack(steps, axis=1)


def test_gru_equals_the_layer_written_out():
    model = build("gru", (4,))
    expected = gru_by_hand(INPUTS, model.get_layer("gru_0").get_weights())
    outputs, summary = model.predict([INPUTS, MASK], verbose=0)
    np.testing.assert_allclose(outputs[1], expected[1], atol=1e-5)
    np.testing.assert_allclose(summary, [expected[0, 2], expected[1, 4]], atol=1e-5)


def test_both_directions_are_summarized_where_they_end():
    model = build("bidirectional_lstm", (4,))
    outputs, summary = model.predict([INPUTS, MASK], verbose=0)
    for index, length in enumerate((3, 5)):
        forwards, backwards = outputs[index, length - 1, :4], outputs[index, 0, 4:]
        np.testing.assert_allclose(summary[index], np.concatenate([forwards, backwards]), atol=1e-6)


@pytest.mark.parametrize("sequence", ["lstm", "bidirectional_lstm", "gru", "attention", "lstm_attention"])
def test_layers_dropout_and_penalty_are_as_many_as_units(sequence):
    features = keras.Input((None, 6))
    outputs, summary = read_sequence(features, sequence, (8, 4), 0.25, 0.01, None)
    model = keras.Model(features, [outputs, summary])
    assert sum(isinstance(layer, keras.layers.Dropout) for layer in model.layers) == 2
    sides = 2 if sequence == "bidirectional_lstm" else 1
    assert outputs.shape == (None, None, 4 * sides)
    assert summary.shape == (None, 4 * sides)
    assert len(model.losses) >= 2
    assert model.predict(np.ones((1, 9, 6)), verbose=0)[1].shape == (1, 4 * sides)


@pytest.mark.parametrize("sequence", ["lstm", "gru", "bidirectional_lstm"])
def test_recurrent_layers_are_such_as_a_gpu_runs_with_cudnn(sequence):
    for layer in build(sequence, (4, 3)).layers:
        for one in (getattr(layer, "forward_layer", layer), getattr(layer, "backward_layer", layer)):
            if isinstance(one, (keras.layers.LSTM, keras.layers.GRU)):
                names = [
                    keras.activations.serialize(one.activation),
                    keras.activations.serialize(one.recurrent_activation),
                ]
                assert names == ["tanh", "sigmoid"]
                assert (one.recurrent_dropout, one.unroll, one.use_bias, one.use_cudnn) == (0, False, True, "auto")

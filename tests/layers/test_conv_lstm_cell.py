import keras
import numpy as np
import pytest

from sora_keras.layers.conv_lstm_cell import ConvLSTMCell


def test_steps_are_those_of_the_convlstm_of_keras():
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(2, 3, 6, 5, 4)).astype(np.float32)
    reference = keras.layers.ConvLSTM2D(
        7, 3, padding="same", recurrent_activation="sigmoid", unit_forget_bias=False, return_sequences=True,
        return_state=True, bias_initializer="random_normal",
    )  # fmt: skip
    expected, *expected_states = reference(frames)
    kernel, recurrent_kernel, bias = (np.asarray(value) for value in reference.get_weights())
    cell = ConvLSTMCell(7)
    cell.build((2, 6, 5, 4))

    def in_order(weights):  # theirs: input, forget, memory, output; ours: forget, input, output, memory
        write, keep, new, show = np.split(weights, 4, axis=-1)
        return np.concatenate([keep, write, show, new], axis=-1)

    bias = in_order(bias)
    bias[:7] -= 1  # ours adds one to what the forget gate sees
    cell.set_weights([np.concatenate([in_order(kernel), in_order(recurrent_kernel)], axis=2), bias])
    states = [np.zeros((2, 6, 5, 7), np.float32)] * 2
    for index in range(3):
        output, states = cell(frames[:, index], states)
        np.testing.assert_allclose(output, expected[:, index], atol=1e-5)
    for state, expected_state in zip(states, expected_states, strict=True):
        np.testing.assert_allclose(state, expected_state, atol=1e-5)


def test_config_round_trip():
    cell = ConvLSTMCell.from_config(ConvLSTMCell(6, kernel_size=5).get_config())
    assert (cell.filters, cell.kernel_size) == (6, 5)


@pytest.mark.parametrize(("arguments", "message"), [((0,), "`filters`.*received 0"), ((4, -1), "`kernel_size`.*-1")])
def test_numbers_must_be_positive(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvLSTMCell(*arguments)

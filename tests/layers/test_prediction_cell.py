import keras
import numpy as np
import pytest

from sora_keras.layers.frame_recurrence import FrameRecurrence
from sora_keras.layers.prediction_cell import PredictionCell


def frames_and_plane(num_frames=5, channels=1, seed=0):
    frames = np.random.default_rng(seed).uniform(0, 1, (2, num_frames, 16, 32, channels)).astype(np.float32)
    return np.concatenate([frames, np.ones_like(frames[..., :1])], axis=-1)


def recurrence(**arguments):
    return FrameRecurrence(PredictionCell((3, 4, 5), **arguments))


def numpy(tensors):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, tensors)


@pytest.mark.parametrize("channels", [1, 3])
def test_predictions_are_gray_values(channels):
    layer = recurrence(num_motions=3)
    outputs, *states = numpy(layer(frames_and_plane(channels=channels)))
    assert outputs.shape == (2, 5, 16, 32, channels)
    assert outputs.min() >= 0
    assert outputs.max() <= 1
    np.testing.assert_array_equal(states[0], outputs[:, -1])
    assert [state.shape for state in states] == [(2, *shape) for shape in layer.cell.state_size]


def test_without_motions_what_changes_is_added_to_the_frame():
    layer, inputs = recurrence(num_motions=0, cell_size=2), frames_and_plane(channels=3)
    outputs = numpy(layer(inputs)[0])
    assert np.abs(outputs - inputs[..., :-1]).max() > 1e-3
    kernel, bias = layer.cell.paint.get_weights()
    by_place = np.arange(12).reshape(2, 2, 3) / 10
    layer.cell.paint.set_weights([0 * kernel, by_place.reshape(bias.shape)])
    np.testing.assert_allclose(layer(inputs)[0], inputs[..., :-1] + np.tile(by_place, (8, 16, 1)), atol=1e-6)


def test_a_frame_not_read_is_the_prediction_made_before():
    layer, inputs = recurrence(), frames_and_plane()
    outputs = numpy(layer(inputs)[0])
    shown = inputs.copy()
    shown[:, 3, ..., :-1] = outputs[:, 2]
    inputs[:, 3, ..., -1] = 0
    np.testing.assert_allclose(layer(inputs)[0], layer(shown)[0], atol=1e-6)
    assert np.abs(numpy(layer(inputs)[0])[:, 3] - outputs[:, 3]).max() > 1e-3


@pytest.mark.parametrize("num_motions", [0, 2])
def test_the_future_is_not_seen(num_motions):
    layer, inputs = recurrence(num_motions=num_motions), frames_and_plane()
    outputs = numpy(layer(inputs)[0])
    inputs[:, 3:] = frames_and_plane(seed=1)[:, 3:]
    changed = numpy(layer(inputs)[0])
    np.testing.assert_allclose(changed[:, :3], outputs[:, :3], atol=1e-6)
    assert np.abs(changed[:, 3] - outputs[:, 3]).max() > 1e-3


@pytest.mark.parametrize("num_motions", [0, 2])
def test_goes_on_from_a_state(num_motions):
    layer, inputs = recurrence(num_motions=num_motions), frames_and_plane()
    outputs = numpy(layer(inputs)[0])
    first, *states = layer(inputs[:, :2])
    second, *_ = layer(inputs[:, 2:], initial_state=states)
    np.testing.assert_allclose(np.concatenate([numpy(first), numpy(second)], axis=1), outputs, atol=1e-6)


def test_config_round_trip():
    cell = PredictionCell((3, 4, 5), num_motions=6, cell_size=7)
    rebuilt = FrameRecurrence.from_config(FrameRecurrence(cell).get_config()).cell
    assert (rebuilt.filters, rebuilt.num_motions, rebuilt.cell_size) == ((3, 4, 5), 6, 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": (3, 4)}, r"`filters` must hold three numbers, one for each scale, received \(3, 4\)"),
        ({"num_motions": -1}, "`num_motions` must be at least 0, received -1"),
    ],
)
def test_arguments_must_be_in_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        PredictionCell(**arguments)


def test_frames_must_have_whole_cells():
    with pytest.raises(ValueError, match="sides of multiples of 12 pixels, received 24 x 32"):
        PredictionCell((3, 4, 5), cell_size=3).build((None, 24, 32, 2))

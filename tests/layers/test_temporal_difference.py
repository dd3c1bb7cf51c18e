import keras
import numpy as np

from sora_keras.layers import TemporalDifference


def test_differences_stand_behind_the_frames():
    frames = np.random.default_rng(0).normal(size=(2, 4, 3, 5, 3)).astype("float32")
    outputs = keras.ops.convert_to_numpy(TemporalDifference()(frames))
    np.testing.assert_array_equal(outputs[..., :3], frames)
    np.testing.assert_allclose(outputs[:, 1:, ..., 3:], np.diff(frames, axis=1))
    np.testing.assert_array_equal(outputs[:, 0, ..., 3:], 0)


def test_later_frames_change_nothing_before_them():
    frames = np.random.default_rng(1).normal(size=(1, 6, 2, 2, 1)).astype("float32")
    changed = frames.copy()
    changed[:, 4:] += 1
    before, after = (keras.ops.convert_to_numpy(TemporalDifference()(x)) for x in (frames, changed))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])


def test_one_frame_has_no_change():
    outputs = keras.ops.convert_to_numpy(TemporalDifference()(np.ones((1, 1, 2, 2, 3), "float32")))
    assert outputs.shape == (1, 1, 2, 2, 6)
    np.testing.assert_array_equal(outputs[..., 3:], 0)


def test_shapes_known_and_unknown():
    assert TemporalDifference()(keras.Input((None, 8, 8, 3))).shape == (None, None, 8, 8, 6)
    assert TemporalDifference().compute_output_shape((2, 5, 8, 8, 1)) == (2, 5, 8, 8, 2)

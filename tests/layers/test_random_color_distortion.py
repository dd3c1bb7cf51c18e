import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from sora_keras.layers.color_adjustment import ColorAdjustment
from sora_keras.layers.random_color_distortion import RandomColorDistortion

GOOD = np.random.default_rng(0).integers(0, 256, (3, 4, 8, 6, 3), dtype=np.uint8)


def test_the_parameters_tell_what_was_done():
    bad, parameters = (np.asarray(part) for part in RandomColorDistortion(seed=0)(GOOD))
    assert (bad.dtype, parameters.shape, parameters.dtype) == (np.uint8, (3, 4, 3), np.float32)
    expected = np.asarray(ColorAdjustment()(GOOD, -parameters))
    np.testing.assert_array_equal(bad, np.rint(expected))
    assert np.abs(bad.astype(int) - GOOD).mean() > 10


def test_the_parameters_undo_what_was_not_clipped():
    good = np.random.default_rng(1).integers(115, 141, (64, 1, 8, 6, 3), dtype=np.uint8)
    bad, parameters = RandomColorDistortion(brightness_levels=30.0, seed=1)(good)
    found = np.asarray(ColorAdjustment()(bad, parameters))
    # Half a level of rounding, times the most that contrast and saturation give back.
    assert np.abs(found - good).max() < 0.5 * 2 ** (0.75 + 1.0)


def test_draws_evenly_from_the_ranges():
    layer = RandomColorDistortion(brightness_levels=20.0, contrast=0.5, saturation=0.25, seed=3)
    _, parameters = layer(np.zeros((2000, 2, 1, 1, 3), np.uint8))
    parameters = np.asarray(parameters)
    np.testing.assert_array_equal(parameters[:, 0], parameters[:, 1])
    for column, largest in enumerate((20.0, 0.5, 0.25)):
        assert stats.kstest(parameters[:, 0, column], stats.uniform(-largest, 2 * largest).cdf).pvalue > 0.001


def test_draws_anew_at_each_call():
    layer = RandomColorDistortion(seed=0)
    first, second = (np.asarray(layer(GOOD)[1]) for _ in range(2))
    assert (first != second).all()


def test_leaves_all_as_it_is_where_asked():
    bad, parameters = RandomColorDistortion(seed=0)(GOOD, training=False)
    np.testing.assert_array_equal(bad, GOOD)
    assert not np.asarray(parameters).any()


def test_in_a_dataset_of_unknown_length():
    distort = RandomColorDistortion(seed=2)
    clips = tf.data.Dataset.from_generator(lambda: GOOD, output_signature=tf.TensorSpec((None, 8, 6, 3), tf.uint8))
    [(bad, parameters)] = clips.batch(3).map(distort)
    np.testing.assert_array_equal(bad, np.rint(ColorAdjustment()(GOOD, -parameters.numpy())))


def test_config_round_trip():
    layer = RandomColorDistortion(31.0, 0.5, 0.25, seed=7, name="spoil")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    assert (copy.brightness_levels, copy.contrast, copy.saturation, copy.seed) == (31.0, 0.5, 0.25, 7)


@pytest.mark.parametrize("name", ["brightness_levels", "contrast", "saturation"])
def test_ranges_are_not_negative(name):
    with pytest.raises(ValueError, match=f"`{name}`.*received -0.3"):
        RandomColorDistortion(**{name: -0.3})

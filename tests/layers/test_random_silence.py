import keras
import numpy as np
import pytest

from sora_keras.layers.random_silence import RandomSilence

SOUNDS = np.random.default_rng(0).uniform(0.1, 0.5, (400, 3, 5)).astype(np.float32)


def test_silences_whole_clips_as_often_as_asked():
    outputs = np.asarray(RandomSilence(0.3, seed=0)(SOUNDS, training=True))
    is_silent = ~outputs.any(axis=(1, 2))
    np.testing.assert_array_equal(outputs[~is_silent], SOUNDS[~is_silent])
    # Four standard deviations of 400 draws.
    assert is_silent.mean() == pytest.approx(0.3, abs=0.092)


def test_draws_anew_at_each_call():
    layer = RandomSilence(0.5, seed=0)
    first, second = (np.asarray(layer(SOUNDS, training=True)).any(axis=(1, 2)) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("training", [False, None])
def test_leaves_all_as_it_is_but_in_training(training):
    np.testing.assert_array_equal(RandomSilence(1.0)(SOUNDS, training=training), SOUNDS)


def test_keeps_full_precision_under_half_precision():
    layer = RandomSilence(0.0, dtype="mixed_bfloat16")
    outputs = layer(keras.ops.convert_to_tensor(SOUNDS), training=True)
    np.testing.assert_array_equal(outputs, SOUNDS)


def test_config_round_trip():
    layer = RandomSilence(0.25, seed=7, name="hush")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    assert (copy.rate, copy.seed, copy.name) == (0.25, 7, "hush")


@pytest.mark.parametrize("rate", [-0.25, 1.5])
def test_rate_is_a_share(rate):
    with pytest.raises(ValueError, match=rf"in 0\.\.1, received {rate}"):
        RandomSilence(rate)

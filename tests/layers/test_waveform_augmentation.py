import av
import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.layers import RandomGain, RandomNoise, RandomTimeShift

LAYERS = [lambda: RandomGain(9.0, seed=2), lambda: RandomNoise(30.0, 5.0, seed=2), lambda: RandomTimeShift(0.3, seed=2)]
IDS = ["RandomGain", "RandomNoise", "RandomTimeShift"]


@pytest.fixture(scope="module")
def sounds(real_data):
    """The sound of a real video, 16 pieces of 2,000 samples."""
    with av.open(str(real_data / "fights" / "fight" / "fi061.mp4")) as container:
        resampler = av.AudioResampler("fltp", "mono", 8000)
        pieces = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate(pieces)[: 16 * 2000].reshape(16, 2000).astype("float32")


def decibels(ratio):
    return 20 * np.log10(ratio)


@pytest.mark.real_data
def test_gain(sounds):
    outputs = np.array(RandomGain(9.0, seed=0)(sounds))
    loudest = np.abs(sounds).argmax(axis=1)[:, None]
    gains = np.take_along_axis(outputs, loudest, 1) / np.take_along_axis(sounds, loudest, 1)
    np.testing.assert_allclose(outputs, gains * sounds, rtol=1e-4, atol=1e-7)
    assert np.abs(decibels(gains)).max() <= 9.001
    assert decibels(gains).min() < -3 < 3 < decibels(gains).max()


@pytest.mark.real_data
def test_noise(sounds):
    noise = np.array(RandomNoise(30.0, 5.0, seed=1)(sounds)) - sounds
    ratio = decibels(np.sqrt(np.square(sounds).mean(1) / np.square(noise).mean(1)))
    assert 4.7 < ratio.min() < 12
    assert 22 < ratio.max() < 30.3
    correlation = np.mean(noise[:, 1:] * noise[:, :-1], axis=1) / np.mean(noise**2, axis=1)
    assert np.abs(correlation).max() < 0.1
    silence = np.zeros((2, 50), "float32")
    np.testing.assert_array_equal(RandomNoise()(silence), silence)


@pytest.mark.real_data
def test_time_shift(sounds):
    outputs = np.array(RandomTimeShift(0.3, seed=1)(sounds))
    shifts = set()
    for sound, output in zip(sounds, outputs, strict=True):
        candidates = range(-600, 601)
        moved = {shift: np.roll(np.pad(sound, 600), shift)[600:-600] for shift in candidates}
        [found] = [shift for shift in candidates if (moved[shift] == output).all()]
        shifts.add(found)
    assert len(shifts) > 10
    assert min(shifts) < -100 < 100 < max(shifts)


@pytest.mark.real_data
@pytest.mark.parametrize("make", LAYERS, ids=IDS)
def test_single_sounds_datasets_inference_and_config(sounds, make):
    layer = make()
    np.testing.assert_array_equal(layer(sounds, training=False), sounds)
    together = np.array(make()(sounds))
    assert (together != sounds).any(axis=1).sum() > 12
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(sounds), together)
    one_by_one = list(tf.data.Dataset.from_tensor_slices(sounds).map(make()))
    assert all(sound.shape == (2000,) for sound in one_by_one)
    assert (np.stack(one_by_one) != sounds).any(axis=1).sum() > 12


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`decibels` must be 0 or more, received -3\.5"):
        RandomGain(-3.5)
    with pytest.raises(ValueError, match=r"below the sound as `loudest`, received 5\.0 and 7\.0"):
        RandomNoise(5.0, 7.0)
    with pytest.raises(ValueError, match=r"`factor` must be a share in 0\.\.1, received 1\.2"):
        RandomTimeShift(1.2)
    for make in LAYERS:
        with pytest.raises(ValueError, match=r"shape \(B, S\) or \(S,\), received \(2, 3, 4\)"):
            make()(np.zeros((2, 3, 4), "float32"))

import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.layers.frame_noise import FrameNoise

GRAY = np.full((3, 4, 32, 32, 3), 128, np.uint8)


def test_noise_has_the_sigma_and_no_mean():
    noisy = np.asarray(FrameNoise(20.0, seed=1)(GRAY))
    assert noisy.dtype == np.uint8
    assert noisy.astype(float).std() == pytest.approx(20, rel=0.02)
    assert noisy.mean() == pytest.approx(128, abs=0.3)
    neighbors = np.corrcoef(noisy[..., :-1, :].ravel(), noisy[..., 1:, :].ravel())
    assert abs(neighbors[0, 1]) < 0.02


def test_each_clip_has_a_sigma_of_its_own_in_the_range():
    deviations = np.asarray(FrameNoise((5, 40), seed=3)(GRAY)).astype(float).std(axis=(1, 2, 3, 4))
    assert np.all((deviations > 4.5) & (deviations < 41))
    assert np.ptp(deviations) > 2


def test_black_and_white_are_clipped_not_wrapped():
    frames = np.zeros((1, 1, 16, 16, 3), np.uint8)
    frames[..., 8:, :] = 255
    noisy = np.asarray(FrameNoise(10.0, seed=2)(frames))
    assert noisy[..., :8, :].max() < 128 < noisy[..., 8:, :].min()


def test_runs_in_a_dataset_with_new_noise_each_time_and_not_when_predicting():
    noise = FrameNoise(10.0, seed=5)
    batches = [batch.numpy() for batch in tf.data.Dataset.from_tensors(GRAY).repeat(2).map(noise)]
    assert np.any(batches[0] != batches[1])
    np.testing.assert_array_equal(noise(GRAY, training=False), GRAY)
    assert noise(keras.Input((4, 8, 8, 3))).shape == (None, 4, 8, 8, 3)


def test_config_round_trip():
    assert FrameNoise.from_config(FrameNoise((5, 40), seed=3).get_config()).get_config()["sigma"] == [5.0, 40.0]


@pytest.mark.parametrize("sigma", [-2.5, (30, 20), (-1, 4)])
def test_a_sigma_out_of_range_is_refused(sigma):
    with pytest.raises(ValueError, match=str(sigma).replace("(", r"\(").replace(")", r"\)")):
        FrameNoise(sigma)

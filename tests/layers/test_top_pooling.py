import keras
import numpy as np
import pytest

from sora_keras.layers import TopPooling


@pytest.mark.parametrize(("share", "num_highest"), [(0.01, 1), (0.3, 2), (0.5, 4), (1.0, 8)])
def test_is_the_mean_of_the_highest(share, num_highest):
    scores = np.random.default_rng(0).normal(size=(3, 8, 5)).astype(np.float32)
    expected = np.sort(scores, axis=1)[:, -num_highest:].mean(1)
    np.testing.assert_allclose(TopPooling(share)(scores), expected, atol=1e-6)


def test_masked_frames_do_not_count():
    scores = np.random.default_rng(1).normal(size=(2, 10, 3)).astype(np.float32)
    mask = np.arange(10) < np.array([[10], [4]])
    pooled = keras.ops.convert_to_numpy(TopPooling(0.5)(scores, mask=mask))
    np.testing.assert_allclose(pooled[0], np.sort(scores[0], axis=0)[-5:].mean(0), atol=1e-6)
    np.testing.assert_allclose(pooled[1], np.sort(scores[1, :4], axis=0)[-2:].mean(0), atol=1e-6)


def test_unknown_length_config_and_bad_share():
    layer = TopPooling.from_config(TopPooling(0.25).get_config())
    assert layer.share == 0.25
    assert layer(keras.Input((None, 7))).shape == (None, 7)
    with pytest.raises(ValueError, match=r"above 0 and at most 1, received 1\.5"):
        TopPooling(1.5)

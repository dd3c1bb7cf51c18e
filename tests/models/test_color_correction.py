import keras
import numpy as np
import pytest

from sora_keras.models.color_correction import ParameterError


def test_error_is_a_share_of_the_limits():
    true = np.array([[[12.0, 0.0, 0.0], [0.0, 0.3, -0.5]]])
    given = np.array([[[0.0, 0.0, 0.0], [24.0, -0.3, 0.5]]])
    # 12 of 48; 24 of 48, 0.6 of 0.75, 1 of 1
    expected = [(0.25 + 0 + 0) / 3, (0.5 + 0.8 + 1) / 3]
    assert float(ParameterError((48.0, 0.75, 1.0))(true, given)) == pytest.approx(np.mean(expected), rel=1e-6)


def test_config_round_trip():
    loss = ParameterError((40.0, 0.5, 0.25), name="colors")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.limits, copy.name) == ((40.0, 0.5, 0.25), "colors")

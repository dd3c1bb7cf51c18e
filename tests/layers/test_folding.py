import numpy as np
import pytest
import tensorflow as tf

from sora_keras.layers.folding import fold, unfold


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_equals_tensorflows_space_to_depth_and_back(factor):
    pictures = tf.random.stateless_normal((2, 6, 12, 5), seed=(1, 2))
    cells = fold(pictures, factor)
    expected = tf.nn.space_to_depth(pictures, factor) if factor > 1 else pictures
    np.testing.assert_array_equal(cells, expected)
    np.testing.assert_array_equal(unfold(cells, factor), pictures)

import cv2
import keras
import numpy as np
import pytest

from sora_keras.layers.warping import warp


def pictures(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def warped(values, flow):
    return keras.ops.convert_to_numpy(warp(keras.ops.convert_to_tensor(values), keras.ops.convert_to_tensor(flow)))


def test_equals_opencv_between_pixels_and_beyond_the_border():
    values = pictures((3, 9, 13, 3))
    flow = np.random.default_rng(1).uniform(-6, 6, (3, 9, 13, 2)).astype(np.float32)
    columns, rows = np.meshgrid(np.arange(13, dtype=np.float32), np.arange(9, dtype=np.float32))
    found = warped(values, flow)
    for picture, moves, result in zip(values, flow, found, strict=True):
        # Beyond the border, the nearest place on it.
        at = np.clip(columns + moves[..., 0], 0, 12), np.clip(rows + moves[..., 1], 0, 8)
        expected = cv2.remap(picture, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        np.testing.assert_allclose(result, expected, atol=0.06)  # OpenCV knows 32 places between two pixels


def test_whole_pixels_are_fetched_as_they_are():
    values = pictures((2, 6, 5, 2))
    flow = np.zeros((2, 6, 5, 2), np.float32)
    flow[..., 0], flow[..., 1] = 2, -1
    expected = values[:, np.clip(np.arange(6) - 1, 0, 5)][:, :, np.clip(np.arange(5) + 2, 0, 4)]
    np.testing.assert_allclose(warped(values, flow), expected, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the gradient is taken with TensorFlow")
def test_gradients_reach_the_pictures_and_the_flow():
    import tensorflow as tf

    values = tf.constant(pictures((1, 6, 7, 2)))
    flow = tf.constant(np.full((1, 6, 7, 2), 0.3, np.float32))
    with tf.GradientTape() as tape:
        tape.watch([values, flow])
        total = tf.reduce_sum(warp(values, flow) ** 2)
    by_values, by_flow = tape.gradient(total, [values, flow])
    small = 1e-3
    nudged = flow.numpy()
    nudged[0, 2, 3, 0] += small
    slope = (np.sum(warped(values.numpy(), nudged) ** 2, dtype=np.float64) - float(total)) / small
    assert float(by_flow[0, 2, 3, 0]) == pytest.approx(slope, rel=0.05, abs=0.01)
    assert np.count_nonzero(by_values) == by_values.numpy().size

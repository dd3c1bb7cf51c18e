import numpy as np
import pytest
import tensorflow as tf

from sora_keras.layers.frame_selection import clip_sizes, take_frames

CLIPS = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 2, 3), dtype=np.uint8)


def test_each_clip_by_its_own_numbers():
    numbers = np.array([[4, 0], [1, 1], [2, 3]], "int32")
    expected = np.stack([clip[row] for clip, row in zip(CLIPS, numbers, strict=True)])
    np.testing.assert_array_equal(take_frames(CLIPS, numbers), expected)
    np.testing.assert_array_equal(take_frames(CLIPS[1], numbers[:1]), CLIPS[1][[4, 0]])


def test_unknown_sizes():
    specs = [tf.TensorSpec((None,) * 5, tf.uint8), tf.TensorSpec((None, None), tf.int32)]
    function = tf.function(take_frames, input_signature=specs)
    numbers = np.array([[4, 0, 2], [1, 1, 1], [2, 3, 0]], "int32")
    np.testing.assert_array_equal(function(CLIPS, numbers), take_frames(CLIPS, numbers))


def test_sizes():
    assert clip_sizes(CLIPS) == (3, 5)
    assert clip_sizes(CLIPS[0]) == (1, 5)
    with pytest.raises(ValueError, match=r"received \(4, 2, 3\)"):
        clip_sizes(CLIPS[0, 0])

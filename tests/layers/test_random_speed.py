import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.layers import RandomSpeed


def counting_clips(num_clips, num_frames):
    """Frame t of clip b is all `100 * b + t`."""
    numbers = 100 * np.arange(num_clips)[:, None] + np.arange(num_frames)
    return np.broadcast_to(numbers[..., None, None, None], (num_clips, num_frames, 2, 3, 3)).astype("int32")


def numbers(frames):
    return np.array(frames)[..., 0, 0, 0]


@pytest.mark.parametrize(("speed", "expected"), [(2.0, [0, 2, 4, 6]), (3.0, [0, 3, 6, 7]), (4.0, [0, 4, 7, 7])])
def test_fast_clips_leave_frames_out_and_hold_the_last(speed, expected):
    """At three times the speed four frames last 9 intervals, two more than there are."""
    shown = numbers(RandomSpeed(speed, speed, num_frames=4)(np.repeat(counting_clips(1, 8), 20, axis=0)))
    starts = shown[:, :1] if speed == 2 else np.zeros((20, 1), int)
    np.testing.assert_array_equal(shown, np.minimum(starts + np.array(expected), 7))
    if speed == 2:
        assert set(starts[:, 0]) == {0, 1}


def test_slow_clips_repeat_frames():
    shown = numbers(RandomSpeed(0.5, 0.5, seed=1)(np.repeat(counting_clips(1, 9), 50, axis=0)))
    assert shown.shape == (50, 9)
    assert set(np.diff(shown, axis=1).ravel()) == {0, 1}
    np.testing.assert_array_equal(shown[:, -1] - shown[:, 0], 4)
    assert len(set(shown[:, 0])) >= 4


def test_slow_and_fast_are_equally_likely():
    shown = numbers(RandomSpeed(0.5, 2.0, num_frames=11, seed=0)(np.repeat(counting_clips(1, 40), 600, axis=0)))
    speeds = (shown[:, -1] - shown[:, 0]) / 10
    assert speeds.min() >= 0.5
    assert speeds.max() <= 2.0
    assert 0.4 < (speeds < 1).mean() < 0.55
    np.testing.assert_allclose(np.median(speeds), 1, atol=0.11)


def test_clips_keep_their_own_frames():
    shown = numbers(RandomSpeed(seed=3)(counting_clips(6, 7)))
    np.testing.assert_array_equal(shown // 100, np.arange(6)[:, None].repeat(7, axis=1))
    assert len({tuple(row % 100) for row in shown}) > 2


def test_speed_one_at_inference():
    clips = counting_clips(2, 9)
    np.testing.assert_array_equal(RandomSpeed()(clips, training=False), clips)
    np.testing.assert_array_equal(RandomSpeed(num_frames=5)(clips, training=False), clips[:, 2:7])
    np.testing.assert_array_equal(RandomSpeed(num_frames=5)(clips[1], training=False), clips[1, 2:7])


def test_in_a_dataset_with_labels_and_unknown_length():
    signature = (tf.TensorSpec((None, 2, 3, 3), tf.int32), tf.TensorSpec((), tf.int32))
    dataset = tf.data.Dataset.from_generator(
        lambda: ((counting_clips(1, length)[0], length) for length in (5, 7, 12)), output_signature=signature
    )
    for frames, label in dataset.map(RandomSpeed(seed=2)):
        assert frames.shape == (int(label), 2, 3, 3)
        assert (np.diff(numbers(frames)) >= 0).all()


def test_in_a_model_saved_and_loaded(tmp_path):
    symbolic = keras.Input((None, 2, 3, 3), dtype="int32")
    outputs = RandomSpeed(0.6, 1.7, num_frames=4, seed=7)(symbolic)
    assert outputs.shape == (None, 4, 2, 3, 3)
    assert outputs.dtype == "int32"
    keras.Model(symbolic, outputs).save(tmp_path / "model.keras")
    layer = keras.saving.load_model(tmp_path / "model.keras").layers[1]
    assert (layer.slowest, layer.fastest, layer.num_frames, layer.seed) == (0.6, 1.7, 4, 7)
    clips = counting_clips(5, 8)
    np.testing.assert_array_equal(layer(clips), RandomSpeed(0.6, 1.7, num_frames=4, seed=7)(clips))
    assert RandomSpeed()(keras.Input((None, 2, 3, 3))).shape == (None, None, 2, 3, 3)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"positive and in this order, received 0 and 1\.5"):
        RandomSpeed(0, 1.5)
    with pytest.raises(ValueError, match=r"positive and in this order, received 1\.6 and 1\.5"):
        RandomSpeed(1.6, 1.5)
    with pytest.raises(ValueError, match=r"`num_frames` must be at least 1, or None for all, received -2"):
        RandomSpeed(num_frames=-2)

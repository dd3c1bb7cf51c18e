import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.layers import RandomFrameDrop


def counting_clips(num_clips, num_frames):
    """Frame t of clip b is all `100 * b + t`."""
    numbers = 100 * np.arange(num_clips)[:, None] + np.arange(num_frames)
    return np.broadcast_to(numbers[..., None, None, None], (num_clips, num_frames, 2, 3, 3)).astype("int32")


def numbers(frames):
    return np.array(frames)[..., 0, 0, 0]


def test_lost_frames_show_the_one_before():
    shown = numbers(RandomFrameDrop(0.3, seed=0)(counting_clips(40, 25))) % 100
    position = np.arange(25)
    is_lost = shown != position
    assert (shown[:, 0] == 0).all()
    np.testing.assert_array_equal(shown[:, 1:][is_lost[:, 1:]], shown[:, :-1][is_lost[:, 1:]])
    assert 0.25 < is_lost[:, 1:].mean() < 0.35
    assert len({tuple(row) for row in is_lost}) == 40


def test_clips_keep_their_own_frames():
    shown = numbers(RandomFrameDrop(0.5, seed=3)(counting_clips(6, 7)))
    np.testing.assert_array_equal(shown // 100, np.arange(6)[:, None].repeat(7, axis=1))


@pytest.mark.parametrize(("rate", "expected"), [(0.0, np.arange(8)), (1.0, np.zeros(8))])
def test_none_or_all(rate, expected):
    np.testing.assert_array_equal(numbers(RandomFrameDrop(rate)(counting_clips(1, 8)))[0], expected)


def test_nothing_happens_at_inference():
    clips = counting_clips(2, 9)
    np.testing.assert_array_equal(RandomFrameDrop(0.9)(clips, training=False), clips)


def test_in_a_dataset_with_labels_and_unknown_length():
    signature = (tf.TensorSpec((None, 2, 3, 3), tf.int32), tf.TensorSpec((), tf.int32))
    dataset = tf.data.Dataset.from_generator(
        lambda: ((counting_clips(1, length)[0], length) for length in (5, 7, 12)), output_signature=signature
    )
    for frames, label in dataset.map(RandomFrameDrop(0.5, seed=2)):
        assert len(frames) == int(label)
        assert (numbers(frames) <= np.arange(int(label))).all()


def test_in_a_model_saved_and_loaded(tmp_path):
    symbolic = keras.Input((None, 2, 3, 3), dtype="int32")
    outputs = RandomFrameDrop(0.4, seed=7)(symbolic)
    assert outputs.shape == (None, None, 2, 3, 3)
    keras.Model(symbolic, outputs).save(tmp_path / "model.keras")
    layer = keras.saving.load_model(tmp_path / "model.keras").layers[1]
    assert (layer.rate, layer.seed) == (0.4, 7)
    clips = counting_clips(5, 8)
    np.testing.assert_array_equal(layer(clips), RandomFrameDrop(0.4, seed=7)(clips))


def test_bad_rate_is_named():
    with pytest.raises(ValueError, match=r"`rate` must be a share in 0\.\.1, received 1\.5"):
        RandomFrameDrop(1.5)

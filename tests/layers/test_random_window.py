import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.layers import RandomWindow


def counting_clips(num_clips, num_frames):
    """Frame t of clip b is all `10 * b + t`."""
    numbers = 10 * np.arange(num_clips)[:, None] + np.arange(num_frames)
    return np.broadcast_to(numbers[..., None, None, None], (num_clips, num_frames, 2, 3, 3)).astype("uint8")


def numbers(frames):
    return np.array(frames)[..., 0, 0, 0].astype(int)


def test_windows_are_consecutive_and_reach_every_place():
    clips = np.repeat(counting_clips(1, 9), 300, axis=0)
    outputs = RandomWindow(4, seed=0)(clips)
    assert outputs.shape == (300, 4, 2, 3, 3)
    shown = numbers(outputs)
    np.testing.assert_array_equal(np.diff(shown, axis=1), 1)
    starts, counts = np.unique(shown[:, 0], return_counts=True)
    assert starts.tolist() == [0, 1, 2, 3, 4, 5]
    assert counts.min() > 25


def test_clips_keep_their_own_frames():
    shown = numbers(RandomWindow(3, seed=1)(counting_clips(5, 8)))
    np.testing.assert_array_equal(shown // 10, np.arange(5)[:, None].repeat(3, axis=1))


def test_the_middle_at_inference():
    clips = counting_clips(2, 9)
    np.testing.assert_array_equal(RandomWindow(4)(clips, training=False), clips[:, 2:6])
    np.testing.assert_array_equal(RandomWindow(9)(clips), clips)
    np.testing.assert_array_equal(RandomWindow(4)(clips[0], training=False), clips[0, 2:6])


def test_in_a_dataset_with_labels_and_unknown_length():
    dataset = tf.data.Dataset.from_generator(
        lambda: ((counting_clips(1, length)[0], length) for length in (5, 7, 12)),
        output_signature=(tf.TensorSpec((None, 2, 3, 3), tf.uint8), tf.TensorSpec((), tf.int32)),
    )
    for frames, label in dataset.map(RandomWindow(5, seed=2)):
        assert frames.shape == (5, 2, 3, 3)
        assert np.diff(numbers(frames)).tolist() == [1] * 4
        assert numbers(frames).max() < label


def test_in_a_model_saved_and_loaded(tmp_path):
    symbolic = keras.Input((None, 2, 3, 3), dtype="uint8")
    outputs = RandomWindow(4, seed=7)(symbolic)
    assert outputs.shape == (None, 4, 2, 3, 3)
    assert outputs.dtype == "uint8"
    keras.Model(symbolic, outputs).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.layers[1].num_frames, loaded.layers[1].seed) == (4, 7)
    clips = counting_clips(3, 8)
    np.testing.assert_array_equal(loaded.predict(clips, verbose=0), clips[:, 2:6])
    np.testing.assert_array_equal(loaded(clips, training=True), RandomWindow(4, seed=7)(clips))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`num_frames` must be at least 1, received 0"):
        RandomWindow(0)
    with pytest.raises(ValueError, match=r"RandomWindow\(6\) needs clips of at least 6 frames, received 5"):
        RandomWindow(6)(counting_clips(2, 5))
    with pytest.raises(ValueError, match=r"shape \(B, T, H, W, C\) or \(T, H, W, C\), received \(2, 3, 3\)"):
        RandomWindow(2)(counting_clips(1, 2)[0, 0])

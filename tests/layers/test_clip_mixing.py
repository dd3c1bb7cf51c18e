import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.layers import ClipCutMix, ClipMixUp

NUM_CLIPS, NUM_FRAMES, HEIGHT, WIDTH = 12, 6, 16, 20
LAYERS = [lambda: ClipMixUp(1.0, seed=3), lambda: ClipCutMix(seed=3), lambda: ClipCutMix("time", seed=3)]
IDS = ["MixUp", "CutMix", "CutMix in time"]


def flat_clips(dtype="float32"):
    """Clip b is all `20 * b`, so that a pixel says where it is from; label b is one-hot."""
    levels = 20 * np.arange(NUM_CLIPS)
    shape = (NUM_CLIPS, NUM_FRAMES, HEIGHT, WIDTH, 3)
    return np.broadcast_to(levels[:, None, None, None, None], shape).astype(dtype), np.eye(NUM_CLIPS, dtype="float32")


@pytest.mark.parametrize("make", LAYERS, ids=IDS)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_labels_say_what_the_pixels_are(make, dtype):
    """The mean of a mixture of flat clips is the mean of their levels, weighted by the labels."""
    frames, labels = flat_clips(dtype)
    mixed, mixed_labels = (np.array(part) for part in make()(frames, labels))
    assert mixed.dtype == dtype
    assert mixed.shape == frames.shape
    assert mixed_labels.dtype == np.float32
    np.testing.assert_allclose(mixed_labels.sum(axis=1), 1, atol=1e-5)
    expected = mixed_labels @ (20 * np.arange(NUM_CLIPS))
    np.testing.assert_allclose(
        mixed.astype(float).mean((1, 2, 3, 4)), expected, atol=0.51 if dtype == "uint8" else 1e-3
    )
    assert (mixed_labels.max(axis=1) < 0.99).sum() >= NUM_CLIPS // 3
    assert len({round(float(value), 4) for value in np.diag(mixed_labels)}) >= 4


def test_mix_up_is_one_weight_for_all_pixels_of_a_clip():
    frames, labels = flat_clips()
    mixed = np.array(ClipMixUp(1.0, seed=0)(frames, labels)[0])
    assert np.ptp(mixed, axis=(1, 2, 3, 4)).max() < 1e-3


def test_cut_mix_is_one_box_for_all_frames_of_a_clip():
    frames, labels = flat_clips()
    mixed = np.array(ClipCutMix(seed=1)(frames, labels)[0])
    is_replaced = mixed != frames
    np.testing.assert_array_equal(is_replaced, np.broadcast_to(is_replaced[:, :1, ..., :1], is_replaced.shape))
    assert is_replaced.any((1, 2, 3, 4)).sum() >= NUM_CLIPS // 2
    for mask in is_replaced[:, 0, :, :, 0]:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        np.testing.assert_array_equal(mask, np.outer(rows, columns))
        for line in (rows, columns):
            assert np.abs(np.diff(np.pad(line.astype(int), 1))).sum() in (0, 2)


def test_cut_mix_in_time_is_a_run_of_whole_frames():
    frames, labels = flat_clips()
    draws = [np.array(ClipCutMix("time", seed=seed)(frames, labels)[0]) != frames for seed in range(20)]
    is_replaced = np.concatenate(draws)
    np.testing.assert_array_equal(is_replaced, np.broadcast_to(is_replaced[:, :, :1, :1, :1], is_replaced.shape))
    runs = is_replaced[:, :, 0, 0, 0].astype(int)
    assert set(np.abs(np.diff(np.pad(runs, ((0, 0), (1, 1))), axis=1)).sum(axis=1)) == {0, 2}
    assert set(runs.sum(axis=1)) == set(range(NUM_FRAMES + 1))
    assert (runs.mean(axis=0) > 0.2).all()


@pytest.mark.parametrize("make", LAYERS, ids=IDS)
def test_in_a_dataset_after_batching(make):
    frames, labels = flat_clips("uint8")
    dataset = tf.data.Dataset.from_tensor_slices((frames, labels)).batch(5).map(make())
    batches = list(dataset)
    assert [len(batch) for batch, _ in batches] == [5, 5, 2]
    for mixed, mixed_labels in batches:
        expected = np.array(mixed_labels) @ (20 * np.arange(NUM_CLIPS))
        np.testing.assert_allclose(np.array(mixed).astype(float).mean((1, 2, 3, 4)), expected, atol=0.51)


@pytest.mark.parametrize("make", LAYERS, ids=IDS)
def test_nothing_happens_at_inference(make):
    frames, labels = flat_clips("uint8")
    outputs = make()(frames, labels, training=False)
    np.testing.assert_array_equal(outputs[0], frames)
    np.testing.assert_array_equal(outputs[1], labels)


@pytest.mark.parametrize("make", LAYERS, ids=IDS)
def test_config_round_trip(make):
    layer = make()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    frames, labels = flat_clips()
    for one, other in zip(layer(frames, labels), again(frames, labels), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", LAYERS, ids=IDS)
def test_labels_that_cannot_be_mixed_are_named(make):
    frames, _ = flat_clips()
    with pytest.raises(ValueError, match=r'received int32 of shape \(12,\): .*label_mode="categorical"'):
        make()(frames, np.arange(12, dtype="int32"))
    with pytest.raises(ValueError, match=r"received float32 of shape \(12,\)"):
        make()(frames, np.zeros(12, "float32"))
    with pytest.raises(ValueError, match=r"received uint8 of shape \(12, 4\)"):
        make()(frames, np.zeros((12, 4), "uint8"))
    with pytest.raises(ValueError, match=r"received \(6, 16, 20, 3\): batch first"):
        make()(frames[0], np.zeros((1, 3), "float32"))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`alpha` must be positive, received -0\.5"):
        ClipMixUp(-0.5)
    with pytest.raises(ValueError, match=r"`along` must be one of .*, received 'frames'"):
        ClipCutMix("frames")
    with pytest.raises(ValueError, match=r"`factor` must be above 0 and at most 1, received 1\.5"):
        ClipCutMix(factor=1.5)

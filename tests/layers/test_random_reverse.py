import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.data.datasets.moving_digits import MOTIONS
from sora_keras.layers import RandomReverse

CLIPS = np.random.default_rng(0).integers(0, 256, (40, 5, 4, 3, 3), dtype=np.uint8)


def reversed_ones(outputs, clips=CLIPS):
    """Which clips run backwards; each must run one way or the other."""
    outputs = np.array(outputs)
    is_same = (outputs == clips).all((1, 2, 3, 4))
    is_reversed = (outputs == clips[:, ::-1]).all((1, 2, 3, 4))
    assert (is_same ^ is_reversed).all()
    return is_reversed


def test_some_clips_run_backwards():
    assert 10 < reversed_ones(RandomReverse(seed=0)(CLIPS)).sum() < 30
    assert reversed_ones(RandomReverse(1.0)(CLIPS)).all()
    assert not reversed_ones(RandomReverse(0.0)(CLIPS)).any()
    assert not reversed_ones(RandomReverse(1.0)(CLIPS, training=False)).any()


@pytest.mark.parametrize("one_hot", [False, True])
def test_reversed_clips_get_the_other_label(one_hot):
    names = ["open", "wave", "close"]
    labels = np.arange(40) % 3
    given = np.eye(3, dtype="float32")[labels] if one_hot else labels
    outputs, swapped = RandomReverse(class_names=names, reverse_labels={"open": "close"}, seed=1)(CLIPS, given)
    swapped = np.argmax(swapped, axis=1) if one_hot else np.array(swapped)
    np.testing.assert_array_equal(swapped, np.where(reversed_ones(outputs), 2 - labels, labels))


def test_in_a_dataset_clip_by_clip_with_labels():
    layer = RandomReverse(class_names=["open", "close"], reverse_labels={"close": "open"}, seed=2)
    dataset = tf.data.Dataset.from_tensor_slices((CLIPS, np.zeros(40, "int32"))).map(layer)
    frames, labels = (np.array(part) for part in zip(*dataset, strict=True))
    np.testing.assert_array_equal(reversed_ones(frames), labels == 1)
    assert 5 < labels.sum() < 35


def test_labels_pass_where_nothing_is_swapped():
    _, labels = RandomReverse()(CLIPS, np.arange(40))
    np.testing.assert_array_equal(labels, np.arange(40))


def test_classes_that_time_tells_apart_are_guarded():
    with pytest.raises(
        ValueError, match=r"RandomReverse shows clips reversed, .* \['clockwise', .*, 'up'\] .*reverse_la"
    ):
        RandomReverse(class_names=MOTIONS)
    with pytest.raises(ValueError, match=r"\['sitdown', 'falling'\]"):
        RandomReverse(class_names=["walk", "sitdown", "falling"])
    with pytest.raises(ValueError, match=r"class names \['falling'\]"):
        RandomReverse(class_names=["sitdown", "standup", "falling"], reverse_labels={"sitdown": "standup"})
    RandomReverse(class_names=["boxing", "running"])
    pairs = {"left": "right", "up": "down", "growing": "shrinking", "clockwise": "counter_clockwise"}
    _, labels = RandomReverse(1.0, MOTIONS, pairs)(CLIPS[:8], np.arange(8))
    assert [MOTIONS[label] for label in labels] == [
        "counter_clockwise", "clockwise", "up", "shrinking", "right", "left", "growing", "down"
    ]  # fmt: skip


def test_in_a_model_saved_and_loaded(tmp_path):
    symbolic = keras.Input((None, 4, 3, 3), dtype="uint8")
    outputs = RandomReverse(0.4, class_names=["run", "walk"], seed=7)(symbolic)
    assert (outputs.shape, outputs.dtype) == ((None, None, 4, 3, 3), "uint8")
    keras.Model(symbolic, outputs).save(tmp_path / "model.keras")
    layer = keras.saving.load_model(tmp_path / "model.keras").layers[1]
    assert (layer.rate, layer.class_names, layer.reverse_labels, layer.seed) == (0.4, ["run", "walk"], None, 7)
    np.testing.assert_array_equal(layer(CLIPS), RandomReverse(0.4, seed=7)(CLIPS))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`rate` must be a share in 0\.\.1, received -0\.5"):
        RandomReverse(-0.5)
    with pytest.raises(ValueError, match=r"`reverse_labels` names 'shut', expected one of `class_names`"):
        RandomReverse(class_names=["open"], reverse_labels={"open": "shut"})
    layer = RandomReverse(class_names=["open", "close"], reverse_labels={"open": "close"})
    with pytest.raises(ValueError, match=r"received frames only: call with"):
        layer(CLIPS)

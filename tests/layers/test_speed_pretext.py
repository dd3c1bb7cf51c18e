import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier
from sora_keras.layers.speed_pretext import SpeedPretext


def numbered(num_clips, num_frames):
    """Clips whose pixels are their clip's hundred and their frame's number."""
    clip, frame = np.arange(num_clips)[:, None], np.arange(num_frames)
    return np.broadcast_to((100 * clip + frame)[..., None, None, None], (num_clips, num_frames, 2, 3, 1)).astype(
        "int32"
    )


def test_frames_are_as_far_apart_as_the_speed_says():
    pretext = SpeedPretext(num_frames=4, speeds=(1, 3, 5), seed=0)
    frames = numbered(300, 18)
    windows, numbers = map(keras.ops.convert_to_numpy, pretext(frames))
    assert windows.shape == (300, 4, 2, 3, 1)
    assert (np.ptp(windows, axis=(2, 3, 4)) == 0).all()
    seen = windows[:, :, 0, 0, 0] - 100 * np.arange(300)[:, None]
    steps = np.array([1, 3, 5])[numbers]
    np.testing.assert_array_equal(seen, seen[:, :1] + steps[:, None] * np.arange(4))
    for number, last_start in ((0, 14), (1, 8), (2, 2)):
        starts = seen[numbers == number, 0]
        assert 70 < len(starts) < 130  # each a third of 300
        assert set(starts) == set(range(last_start + 1))  # wherever there is room, and nowhere else


def test_same_seed_same_draws():
    frames = numbered(20, 9)
    first, again, other = (SpeedPretext(3, (1, 4), seed=seed)(frames) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("has_labels", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_maps_a_dataset(has_labels, batched):
    frames = numbered(6, 9).astype("uint8")
    dataset = tf.data.Dataset.from_tensor_slices((frames, np.full(6, 77)) if has_labels else frames)
    dataset = dataset.batch(6).map(SpeedPretext(3)) if batched else dataset.map(SpeedPretext(3)).batch(6)
    windows, numbers = next(iter(dataset))
    assert (windows.shape, windows.dtype) == ((6, 3, 2, 3, 1), tf.uint8)
    assert numbers.shape == (6,)
    assert set(numbers.numpy()) <= {0, 1, 2}


def test_symbolic_shapes():
    windows, numbers = SpeedPretext(3)(keras.Input((None, 8, 8, 3), dtype="uint8"))
    assert (windows.shape, windows.dtype) == ((None, 3, 8, 8, 3), "uint8")
    assert (numbers.shape, numbers.dtype) == ((None,), "int32")


def test_config_round_trip():
    layer = SpeedPretext(6, speeds=(2, 3), seed=4)
    rebuilt = SpeedPretext.from_config(layer.get_config())
    assert rebuilt.get_config() == layer.get_config()
    assert (rebuilt.num_frames, rebuilt.speeds, rebuilt.seed) == (6, (2, 3), 4)
    assert rebuilt.class_names == ["2x", "3x"]


def test_clips_must_be_long_enough():
    with pytest.raises(ValueError, match=r"5 frames at speed 4 need clips of at least 17 frames, received 16"):
        SpeedPretext(5)(numbered(2, 16))
    assert SpeedPretext(5)(numbered(2, 17))[0].shape[1] == 5


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match=r"`num_frames` must be at least 2 .* received 1"):
        SpeedPretext(1)
    for speeds in ((3,), (2, 2), (0, 3), (1, 1.5)):
        with pytest.raises(ValueError, match=rf"`speeds` must be .* received \({', '.join(map(str, speeds))},?\)"):
            SpeedPretext(4, speeds=speeds)


def test_a_backbone_learns_to_tell_speeds_and_keeps_its_weights_for_another_task():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    frames = np.zeros((64, 16, 16, 16, 3), "uint8")
    for clip in frames:  # a bar that moves one column a frame, from a drawn place
        start, shade = rng.integers(0, 16), rng.integers(120, 256)
        for time, frame in enumerate(clip):
            frame[:, [(start + time) % 16, (start + time + 1) % 16]] = shade
    pretext = SpeedPretext(num_frames=5, speeds=(1, 3), seed=0)
    backbone = SoraBackbone(ClipSpec(5, 16, 16), filters=(8,), units=(8,))
    pretrainer = SoraClassifier(backbone, pretext.class_names, dropout=0.0, learning_rate=0.01)
    dataset = tf.data.Dataset.from_tensor_slices(frames).map(pretext).batch(16)
    pretrainer.fit(dataset, epochs=15, shuffle=False, verbose=0)
    assert pretrainer.evaluate(dataset, verbose=0, return_dict=True)["accuracy"] > 0.9
    learned = backbone.get_weights()
    task = SoraClassifier(backbone, ["a", "b", "c"])
    for mine, theirs in zip(task.backbone.get_weights(), learned, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert task.predict(frames[:2, :5], verbose=0).shape == (2, 3)

import json
from collections.abc import Callable
from itertools import pairwise

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.data.datasets.moving_digits import MOTIONS, make_moving_digits
from sora_keras.layers import ClipAugmentation, default_augmentation
from sora_keras.video import ClipSpec, read_clip

HEIGHT, WIDTH, NUM_FRAMES = 24, 32, 3

LAYERS: dict[str, Callable[[], keras.layers.Layer]] = {
    "RandomFlip": lambda: keras.layers.RandomFlip("horizontal"),
    "RandomFlip both": lambda: keras.layers.RandomFlip("horizontal_and_vertical"),
    "RandomCrop": lambda: keras.layers.RandomCrop(20, 22),
    "RandomBrightness": lambda: keras.layers.RandomBrightness(0.4),
    "RandomContrast": lambda: keras.layers.RandomContrast(0.6),
    "RandomColorJitter": lambda: keras.layers.RandomColorJitter((0, 255), 0.3, 0.3, 0.5, 0.3),
    "RandomSaturation": lambda: keras.layers.RandomSaturation((0.1, 0.9)),
    "RandomHue": lambda: keras.layers.RandomHue(0.5),
    "RandomRotation": lambda: keras.layers.RandomRotation(0.2),
    "RandomTranslation": lambda: keras.layers.RandomTranslation(0.3, 0.3),
    "RandomZoom": lambda: keras.layers.RandomZoom(0.4),
    "RandomShear": lambda: keras.layers.RandomShear((0.1, 0.4), (0.0, 0.4)),  # Keras 3.15 cannot load a single factor
    "RandomPerspective": lambda: keras.layers.RandomPerspective((1.0, 1.0), scale=0.6),
    "RandomElasticTransform": lambda: keras.layers.RandomElasticTransform((1.0, 1.0), scale=(0.5, 1.0)),
    "RandomErasing": lambda: keras.layers.RandomErasing((1.0, 1.0)),
    "RandomErasing filled": lambda: keras.layers.RandomErasing((1.0, 1.0), fill_value=7),
    "RandomGrayscale": lambda: keras.layers.RandomGrayscale(0.5),
    "RandomInvert": lambda: keras.layers.RandomInvert((0.5, 0.5)),
    "RandomPosterization": lambda: keras.layers.RandomPosterization((3, 8)),
    "RandomSharpness": lambda: keras.layers.RandomSharpness(1.0),
    "RandomColorDegeneration": lambda: keras.layers.RandomColorDegeneration(1.0),
    "RandomGaussianBlur": lambda: keras.layers.RandomGaussianBlur((1.0, 1.0), kernel_size=5, sigma=(0.2, 1.0)),
    "Solarization": lambda: keras.layers.Solarization(0.5, 0.5),
    "RandAugment": lambda: keras.layers.RandAugment(num_ops=1),
    "Pipeline": lambda: keras.layers.Pipeline(
        [keras.layers.RandomFlip("horizontal"), keras.layers.RandomColorJitter((0, 255), 0.3, 0.3)]
    ),
}
NOT_RANDOM = {
    "AutoContrast": keras.layers.AutoContrast,
    "Equalization": keras.layers.Equalization,
    "Resizing": lambda: keras.layers.Resizing(12, 10),
    "CenterCrop": lambda: keras.layers.CenterCrop(12, 10),
}


def pictures(num_pictures, seed=0):
    """Soft random pictures, so that each layer has something to change."""
    coarse = np.random.default_rng(seed).integers(0, 256, (num_pictures, 5, 6, 3)).astype("float32")
    fine = [cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for picture in coarse]
    return np.clip(fine, 0, 255).astype("uint8")


def moving_clips(num_clips):
    return np.stack(
        [np.stack([np.roll(picture, 3 * t, axis=1) for t in range(NUM_FRAMES)]) for picture in pictures(num_clips)]
    )


def still(frames):
    """Clips whose frames all equal the first ones."""
    return np.repeat(frames[:, :1], NUM_FRAMES, axis=1)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_one_draw_for_the_frames_of_a_clip_and_one_for_each_clip(make):
    """The same picture everywhere: within a clip all frames stay equal, among clips they do not."""
    frames = np.repeat(still(moving_clips(1)), 8, axis=0)
    outputs = np.array(ClipAugmentation([make()], seed=4)(frames))
    np.testing.assert_array_equal(outputs, np.repeat(outputs[:, :1], NUM_FRAMES, axis=1))
    assert len({clip.tobytes() for clip in outputs}) >= 2
    assert outputs.dtype == np.uint8


@pytest.mark.parametrize("make", (LAYERS | NOT_RANDOM).values(), ids=LAYERS | NOT_RANDOM)
def test_each_frame_is_what_it_would_be_alone_with_the_same_draw(make):
    frames = moving_clips(3)
    # RandAugment may draw Equalization, which reads one histogram of all its images. This seed's draws do without.
    seed = 2
    outputs = np.array(ClipAugmentation([make()], seed=seed)(frames)).astype(int)
    if isinstance(make(), keras.layers.Equalization):
        pytest.skip("Equalization has one histogram for the clip, on purpose")
    for index in range(NUM_FRAMES):
        alone = ClipAugmentation([make()], seed=seed)(still(frames[:, index:]))
        np.testing.assert_allclose(np.array(alone)[:, 0].astype(int), outputs[:, index], atol=1)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_single_clips_in_a_graph_with_labels(make):
    """As `dataset.map` calls it before batching."""
    clips = moving_clips(6)
    dataset = tf.data.Dataset.from_tensor_slices((clips, np.arange(6)))
    augmented = list(dataset.map(ClipAugmentation([make()], seed=3)))
    assert [int(label) for _, label in augmented] == list(range(6))
    still_clips = dataset.map(lambda frames, _: tf.repeat(frames[:1], NUM_FRAMES, axis=0))
    for frames in still_clips.map(ClipAugmentation([make()], seed=3)):
        np.testing.assert_array_equal(frames, np.repeat(frames[:1], NUM_FRAMES, axis=0))
    shape = augmented[0][0].shape
    assert shape == ClipAugmentation([make()]).compute_output_shape(clips.shape[1:])
    changed = [np.array(frames).tobytes() != clip.tobytes() for (frames, _), clip in zip(augmented, clips, strict=True)]
    assert any(changed)


def test_flips_are_flips():
    frames = moving_clips(32)
    outputs = np.array(ClipAugmentation([keras.layers.RandomFlip("horizontal")], seed=1)(frames))
    is_same = (outputs == frames).all((1, 2, 3, 4))
    is_mirrored = (outputs == frames[:, :, :, ::-1]).all((1, 2, 3, 4))
    assert (is_same ^ is_mirrored).all()
    assert 6 <= is_mirrored.sum() <= 26


def test_crops_are_windows_spread_over_the_frame():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ruler = np.stack([rows, columns, rows * 0], axis=-1).astype("uint8")
    frames = np.broadcast_to(ruler, (200, 2, HEIGHT, WIDTH, 3))
    augmentation = ClipAugmentation([keras.layers.RandomCrop(20, 22)], seed=1)
    outputs = np.array(augmentation(frames))
    tops, lefts = outputs[:, 0, 0, 0, 0], outputs[:, 0, 0, 0, 1]
    for output, top, left in zip(outputs, tops, lefts, strict=True):
        np.testing.assert_array_equal(output, frames[0, :, top : top + 20, left : left + 22])
    assert set(tops) == set(range(5))
    assert set(lefts) == set(range(11))
    middle = augmentation(frames, training=False)
    np.testing.assert_array_equal(middle, frames[:, :, 2:22, 5:27])


def test_rand_augment_draws_its_operations_for_each_clip():
    frames = np.repeat(still(moving_clips(1)), 24, axis=0)
    outputs = np.array(ClipAugmentation([keras.layers.RandAugment(num_ops=1, factor=0.9)], seed=0)(frames))
    assert len({clip.tobytes() for clip in outputs}) >= 8


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_nothing_happens_at_inference(make):
    augmentation = ClipAugmentation([make()])
    if isinstance(make(), keras.layers.RandomCrop):
        pytest.skip("keeps setting the size, tested above")
    for frames in (moving_clips(2), moving_clips(2).astype("float32") / 3, moving_clips(2)[0]):
        np.testing.assert_array_equal(augmentation(frames, training=False), frames)


@pytest.mark.parametrize("make", [NOT_RANDOM["Resizing"], NOT_RANDOM["CenterCrop"]])
def test_sizes_are_set_at_inference_too(make):
    frames = moving_clips(2)
    augmentation = ClipAugmentation([make()])
    expected = np.stack([np.round(make()(clip.astype("float32"))) for clip in frames])
    np.testing.assert_array_equal(augmentation(frames, training=False), expected)
    np.testing.assert_array_equal(augmentation(frames, training=True), expected)
    np.testing.assert_array_equal(augmentation(frames[0], training=False), expected[0])


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int32"])
def test_dtype_stays(dtype):
    frames = moving_clips(2).astype(dtype)
    outputs = np.array(ClipAugmentation([keras.layers.RandomBrightness((0.9, 0.9))])(frames))
    assert outputs.dtype == dtype
    assert outputs.max() <= 255
    assert outputs.mean() > frames.mean() + 20


def test_draws_differ_between_calls_and_repeat_with_the_seed():
    frames = still(moving_clips(4))
    first, second = (ClipAugmentation([keras.layers.RandomBrightness(0.5)], seed=9) for _ in range(2))
    one, two = np.array(first(frames)), np.array(first(frames))
    assert (one != two).any()
    np.testing.assert_array_equal(second(frames), one)
    np.testing.assert_array_equal(second(frames), two)
    one_seed = ClipAugmentation(
        [keras.layers.RandomBrightness(0.5, seed=1), keras.layers.RandomBrightness(0.5, seed=1)]
    )
    assert (np.array(one_seed(frames)) != np.array(one_seed(frames))).any()


def test_in_a_model_trained_saved_and_loaded(tmp_path):
    symbolic = keras.Input((NUM_FRAMES, HEIGHT, WIDTH, 3), dtype="uint8")
    layers = [LAYERS[name]() for name in ("RandomFlip", "RandomCrop", "RandomColorJitter", "RandomErasing")]
    augmented = ClipAugmentation(layers, class_names=["run", "walk"], seed=5)(symbolic)
    assert augmented.shape == (None, NUM_FRAMES, 20, 22, 3)
    assert augmented.dtype == "uint8"
    scaled = keras.layers.Rescaling(1 / 255)(augmented)
    model = keras.Model(symbolic, keras.layers.Dense(2)(keras.layers.Flatten()(scaled)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    frames = moving_clips(6)
    model.fit(frames, np.arange(6) % 2, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(frames, verbose=0), model.predict(frames, verbose=0), atol=1e-6)
    # The draws begin anew: Keras does not save how far a seed has come.
    np.testing.assert_array_equal(loaded.layers[1](frames), ClipAugmentation(layers, seed=5)(frames))


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_config_round_trip(make):
    augmentation = ClipAugmentation([make()], class_names=["walk", "run"], seed=8)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(augmentation)))
    again = keras.saving.deserialize_keras_object(config)
    assert again.class_names == ["walk", "run"]
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in augmentation.layers]
    frames = moving_clips(2)
    np.testing.assert_array_equal(again(frames), augmentation(frames))


def test_unknown_number_of_frames():
    augmentation = ClipAugmentation([keras.layers.RandomRotation(0.2), keras.layers.RandomErasing()], seed=2)
    specs = [tf.TensorSpec((None, None, HEIGHT, WIDTH, 3), tf.uint8)]
    function = tf.function(lambda frames: augmentation(frames, training=True), input_signature=specs)
    frames = still(moving_clips(3))
    outputs = np.array(function(frames))
    assert outputs.shape == frames.shape
    np.testing.assert_array_equal(outputs, np.repeat(outputs[:, :1], NUM_FRAMES, axis=1))


def horizontal_motion(frames):
    """Pixels a frame to the right, by the shift that correlates best, of frames (T, H, W, 3) on a soft background."""
    moving = np.abs(frames.astype(float).mean(-1) - np.median(frames.mean(-1), axis=0))
    shifts = [cv2.phaseCorrelate(one, other)[0][0] for one, other in pairwise(moving)]
    return float(np.median([shift for shift in shifts if abs(shift) > 0.1] or [0.0]))


@pytest.fixture(scope="module")
def moving_digits(tmp_path_factory):
    return make_moving_digits(16, tmp_path_factory.mktemp("digits") / "videos", seed=1)


@pytest.mark.parametrize(("motion", "sign"), [("left", -1), ("right", 1)])
def test_a_flip_makes_left_look_like_right(moving_digits, motion, sign):
    """Why the guard is there."""
    [path, _] = sorted((moving_digits / motion).glob("*.mp4"))
    frames = read_clip(path, ClipSpec(24, 64, 64)).frames
    assert sign * horizontal_motion(frames) > 0.3
    flipped = ClipAugmentation([keras.layers.RandomFlip("horizontal")], seed=1)(np.stack([frames] * 8))
    motions = {round(sign * horizontal_motion(np.array(clip)), 1) for clip in flipped}
    assert {np.sign(value) for value in motions} == {-1, 1}


def test_moving_digits_may_not_be_mirrored():
    names = r"\['clockwise', 'counter_clockwise', 'left', 'right'\]"
    with pytest.raises(
        ValueError, match=rf'RandomFlip\("horizontal"\) shows clips mirrored, and the class names {names}'
    ):
        ClipAugmentation([keras.layers.RandomFlip("horizontal")], class_names=MOTIONS)
    with pytest.raises(ValueError, match=r"upside down, and the class names \['clockwise', .*, 'down', 'up'\]"):
        ClipAugmentation([keras.layers.RandomFlip("vertical")], class_names=MOTIONS)
    pipeline = keras.layers.Pipeline([keras.layers.RandomFlip("horizontal")])
    with pytest.raises(ValueError, match=r"mirrored, and the class names \['turn_left'\]"):
        ClipAugmentation([pipeline], class_names=["turn_left", "stop"])


def test_turns_are_guarded_from_45_degrees_on():
    with pytest.raises(ValueError, match=r"RandomRotation by up to 72 degrees shows clips turned, .* \['down', 'left'"):
        ClipAugmentation([keras.layers.RandomRotation((-0.2, 0.1))], class_names=MOTIONS)
    with pytest.raises(ValueError, match=r"RandAugment by up to 180 degrees shows clips turned"):
        ClipAugmentation([keras.layers.RandAugment()], class_names=MOTIONS)
    ClipAugmentation([keras.layers.RandomRotation(0.1), keras.layers.RandAugment(factor=0.1)], class_names=MOTIONS)
    ClipAugmentation([keras.layers.RandomRotation(0.5)], class_names=["clockwise", "counter_clockwise"])


@pytest.mark.parametrize("one_hot", [False, True])
def test_flipped_clips_get_the_other_label(one_hot):
    names = ["left", "up", "right", "clockwise", "counter_clockwise"]
    swaps = {"left": "right", "counter_clockwise": "clockwise"}
    frames, labels = moving_clips(30), np.arange(30) % 5
    given = np.eye(5, dtype="float32")[labels] if one_hot else labels.astype("int32")
    augmentation = ClipAugmentation([keras.layers.RandomFlip("horizontal")], names, swaps, seed=3)
    outputs, swapped = augmentation(frames, given)
    assert swapped.dtype == given.dtype
    swapped = np.argmax(swapped, axis=-1) if one_hot else np.array(swapped)
    is_mirrored = (np.array(outputs) == frames[:, :, :, ::-1]).all((1, 2, 3, 4))
    np.testing.assert_array_equal(swapped, np.where(is_mirrored, np.array([2, 1, 0, 4, 3])[labels], labels))
    assert 0 < is_mirrored.sum() < 30
    single = [augmentation(clip, label) for clip, label in zip(frames, given, strict=True)]
    for clip, label, (output, new) in zip(frames, labels, single, strict=True):
        mirrored = (np.array(output) == clip[:, :, ::-1]).all()
        new = np.argmax(new) if one_hot else int(new)
        assert new == ([2, 1, 0, 4, 3][label] if mirrored else label)


def test_two_flips_undo_each_other_for_labels_too():
    flip = keras.layers.RandomFlip
    augmentation = ClipAugmentation([flip("horizontal"), flip("horizontal")], ["left", "right"], {"left": "right"}, 1)
    frames = moving_clips(24)
    outputs, labels = augmentation(frames, np.zeros(24, "int32"))
    is_mirrored = (np.array(outputs) == frames[:, :, :, ::-1]).all((1, 2, 3, 4))
    np.testing.assert_array_equal(labels, is_mirrored)
    assert 0 < is_mirrored.sum() < 24


def test_labels_are_asked_for_where_they_must_be_swapped():
    augmentation = ClipAugmentation([keras.layers.RandomFlip("horizontal")], ["left", "right"], {"left": "right"})
    with pytest.raises(ValueError, match="received frames only: call with"):
        augmentation(moving_clips(1))
    np.testing.assert_array_equal(augmentation(moving_clips(1), training=False), moving_clips(1))


def test_default_augmentation_mirrors_only_where_it_may():
    def has_flip(augmentation):
        return any(isinstance(layer, keras.layers.RandomFlip) for layer in augmentation.layers)

    assert has_flip(default_augmentation())
    assert has_flip(default_augmentation(["fight", "no_fight"]))
    assert not has_flip(default_augmentation(MOTIONS))
    frames = moving_clips(4)
    outputs = np.array(default_augmentation(["fight", "no_fight"], seed=0)(frames))
    assert outputs.shape == frames.shape
    assert 3 < np.abs(outputs.astype(int) - frames).mean() < 60


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`layers` must hold Keras image augmentation layers, received Dense"):
        ClipAugmentation([keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"MixUp mixes a clip with another one: use ClipMixUp"):
        ClipAugmentation([keras.layers.MixUp()])
    with pytest.raises(ValueError, match=r"AugMix draws while a graph is built"):
        ClipAugmentation([keras.layers.AugMix()])
    with pytest.raises(ValueError, match=r"`flip_labels` names 'rihgt', expected one of `class_names`"):
        ClipAugmentation([keras.layers.RandomFlip("horizontal")], ["left", "right"], {"left": "rihgt"})
    with pytest.raises(ValueError, match=r"shape \(B, T, H, W, C\) or \(T, H, W, C\), received \(24, 32, 3\)"):
        ClipAugmentation([keras.layers.RandomFlip("horizontal")])(pictures(1)[0])

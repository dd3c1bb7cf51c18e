import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

from sora_keras.layers.color_adjustment import ColorAdjustment
from sora_keras.video import stream_frames

RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (2, 3, 8, 9, 3), dtype=np.uint8)
MODERATE = RNG.integers(90, 166, (2, 3, 8, 9, 3), dtype=np.uint8)


def adjust(frames, brightness=0.0, contrast=0.0, saturation=0.0):
    return np.asarray(ColorAdjustment()(frames, np.array([[[brightness, contrast, saturation]]])))


@pytest.fixture(scope="module")
def picture(real_data):
    return next(frame for _, frame in stream_frames(real_data / "clean" / "cups.mp4", 135, 240))


def test_follows_its_formula():
    parameters = RNG.uniform([-50, -1, -1], [50, 1, 1], (2, 3, 3))
    expected = np.empty(FRAMES.shape)
    for clip, time in np.ndindex(2, 3):
        brightness, contrast, saturation = parameters[clip, time]
        frame = FRAMES[clip, time].astype(np.float64)
        gray = frame @ [0.299, 0.587, 0.114]
        colored = gray[..., None] + 2**saturation * (frame - gray[..., None])
        changed = 127.5 + 2**contrast * (colored - 127.5) + np.sqrt(2**contrast) * brightness
        expected[clip, time] = np.minimum(np.maximum(changed, 0), 255)
    found = ColorAdjustment()(FRAMES, parameters)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("levels", [-70.0, 0.0, 33.0])
def test_brightness_is_that_of_tensorflow(levels):
    expected = tf.clip_by_value(tf.image.adjust_brightness(FRAMES.astype(np.float32), levels), 0, 255)
    np.testing.assert_allclose(adjust(FRAMES, brightness=levels), expected, atol=1e-4)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.7])
def test_contrast_is_that_of_tensorflow_around_mid_gray(factor):
    both = np.concatenate([FRAMES, 255 - FRAMES], axis=2).astype(np.float32)  # the mean of each channel is 127.5
    expected = tf.clip_by_value(tf.image.adjust_contrast(both, factor), 0, 255)
    np.testing.assert_allclose(adjust(both, contrast=np.log2(factor)), expected, atol=1e-3)


@pytest.mark.real_data
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0])
def test_saturation_is_that_of_pillow(picture, factor):
    expected = np.asarray(ImageEnhance.Color(Image.fromarray(picture)).enhance(factor)).astype(float)
    with np.errstate(divide="ignore"):
        found = adjust(picture[None, None], saturation=np.log2(factor))[0, 0]
    # Pillow's gray is rounded, and its result cut down to whole numbers.
    assert np.abs(found - expected).max() <= 1.6


@pytest.mark.real_data
def test_saturation_keeps_the_gray_picture(picture):
    gray = np.asarray(Image.fromarray(picture).convert("L")).astype(float)
    found = adjust(picture[None, None], saturation=-0.7)[0, 0] @ [0.299, 0.587, 0.114]
    assert np.abs(found - gray).max() <= 0.6


def test_negative_parameters_undo():
    parameters = RNG.uniform([-20, -0.7, -0.7], [20, 0.3, 0.3], (2, 3, 3))
    layer = ColorAdjustment()
    changed = np.asarray(layer(MODERATE, parameters))
    assert changed.min() > 0
    assert changed.max() < 255
    assert np.abs(changed - MODERATE).mean() > 5
    np.testing.assert_allclose(layer(changed, -parameters), MODERATE, atol=1e-3)


def test_what_was_clipped_stays_clipped():
    bright = adjust(FRAMES, brightness=100.0)
    back = adjust(bright, brightness=-100.0)
    np.testing.assert_allclose(back, np.minimum(FRAMES, 155.0), atol=1e-4)


def test_gradient_is_that_of_differences():
    parameters = tf.Variable([[[7.0, 0.3, -0.4]]])
    weights = RNG.normal(size=MODERATE.shape).astype(np.float32)
    layer = ColorAdjustment()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(MODERATE, parameters) * weights)
    found = tape.gradient(total, parameters).numpy()[0, 0]
    for index, step in enumerate((1.0, 0.02, 0.02)):
        change = np.zeros((1, 1, 3))
        change[..., index] = step
        ends = [np.sum(np.asarray(layer(MODERATE, parameters + way * change), float) * weights) for way in (-1, 1)]
        assert found[index] == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=0.01, abs=0.5)


def test_keeps_full_precision_under_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = adjust(FRAMES, brightness=3.0, contrast=0.1)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(found, adjust(FRAMES, brightness=3.0, contrast=0.1))


def test_in_a_model_with_unknown_length_saved_and_loaded(tmp_path):
    frames = keras.Input((None, 8, 9, 3), dtype="uint8")
    parameters = keras.Input((None, 3))
    outputs = ColorAdjustment(name="adjust")(frames, parameters)
    assert outputs.shape == (None, None, 8, 9, 3)
    model = keras.Model([frames, parameters], outputs)
    model.save(tmp_path / "model.keras")
    inputs = [FRAMES, RNG.uniform(-1, 1, (2, 3, 3)).astype(np.float32)]
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))

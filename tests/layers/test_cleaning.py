import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.layers import (
    BilateralOverSpace,
    GaussianOverSpace,
    GaussianOverTime,
    MedianOverSpace,
    MedianOverTime,
)
from sora_keras.video import Clip, denoising, stream_frames

PAIRS = [
    (GaussianOverSpace(0.8), lambda clip: denoising.gaussian_over_space(clip, 0.8)),
    (GaussianOverSpace(1.9), lambda clip: denoising.gaussian_over_space(clip, 1.9)),
    (GaussianOverTime(0.7), lambda clip: denoising.gaussian_over_time(clip, 0.7)),
    (GaussianOverTime(1.5), lambda clip: denoising.gaussian_over_time(clip, 1.5)),
    (MedianOverSpace(3), lambda clip: denoising.median_over_space(clip, 3)),
    (MedianOverSpace(5), lambda clip: denoising.median_over_space(clip, 5)),
    (MedianOverTime(3), lambda clip: denoising.median_over_time(clip, 3)),
    (MedianOverTime(5), lambda clip: denoising.median_over_time(clip, 5)),
    (BilateralOverSpace(12.0), lambda clip: denoising.bilateral_over_space(clip, 12.0)),
    (BilateralOverSpace(30.0, 2.0), lambda clip: denoising.bilateral_over_space(clip, 30.0, 2.0)),
]
LAYERS = [layer for layer, _ in PAIRS[::2]]


def ids(value):
    return type(value).__name__ if isinstance(value, keras.layers.Layer) else ""


def clips(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def noisy(real_data):
    """A real clip with noise of sigma 15."""
    pairs = zip(stream_frames(real_data / "clean" / "dog.mp4", 68, 120), range(7), strict=False)
    frames = np.stack([frame for (_, frame), _ in pairs])
    noise = np.random.default_rng(0).normal(0, 15, frames.shape)
    return Clip(np.clip(np.rint(frames + noise), 0, 255).astype(np.uint8), np.arange(7) / 30)


@pytest.mark.real_data
@pytest.mark.parametrize(("layer", "function"), PAIRS, ids=ids)
def test_the_layer_gives_what_the_function_gives(noisy, layer, function):
    expected = function(noisy).frames.astype(int)
    outputs = np.array(layer(noisy.frames[None]))[0]
    assert outputs.dtype == np.uint8
    assert np.abs(outputs - expected).max() <= 1
    assert np.mean(outputs != expected) < 0.1
    np.testing.assert_array_equal(layer(noisy.frames), outputs)


@pytest.mark.parametrize("layer", LAYERS, ids=ids)
def test_clips_of_a_batch_are_apart(layer):
    frames = clips(3, 4, 12, 10, 3)
    together = np.array(layer(frames))
    for index in range(3):
        np.testing.assert_array_equal(together[index], layer(frames[index]))


@pytest.mark.parametrize("layer", LAYERS, ids=ids)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1), (1, 2, 2, 3, 2)])
def test_smaller_than_the_neighborhood(layer, shape):
    frames = clips(*shape)
    outputs = np.array(layer(frames))
    assert outputs.shape == shape
    assert outputs.min() >= frames.min()
    assert outputs.max() <= frames.max()


@pytest.mark.parametrize("layer", LAYERS, ids=ids)
def test_unknown_sizes_in_a_graph_and_floating_point(layer):
    frames = clips(2, 5, 14, 12, 3).astype("float32") / 255
    function = tf.function(lambda inputs: layer(inputs), input_signature=[tf.TensorSpec((None,) * 4 + (3,))])
    expected = np.array(layer(frames))
    assert expected.dtype == np.float32
    np.testing.assert_allclose(function(frames), expected, atol=1e-6)
    assert 0 < np.abs(expected - frames).max() < 1


@pytest.mark.parametrize("layer", LAYERS, ids=ids)
def test_in_a_model_saved_and_loaded(layer, tmp_path):
    symbolic = keras.Input((None, None, None, 3), dtype="uint8")
    fresh = type(layer).from_config(layer.get_config())
    outputs = fresh(symbolic)
    assert outputs.dtype == "uint8"
    model = keras.Model(symbolic, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    frames = clips(2, 4, 9, 11, 3)
    np.testing.assert_array_equal(loaded.predict(frames, verbose=0), layer(frames))
    assert loaded.layers[1].get_config() == {**layer.get_config(), "name": fresh.name}


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`sigma_pixels` must be a positive number, received -1\.5"):
        GaussianOverSpace(-1.5)
    with pytest.raises(ValueError, match=r"`sigma_frames` must be a positive number, received nan"):
        GaussianOverTime(float("nan"))
    with pytest.raises(ValueError, match=r"`size_pixels` must be an odd number of at least 3, received 6"):
        MedianOverSpace(6)
    with pytest.raises(ValueError, match=r"`num_frames` must be an odd number of at least 3, received 1"):
        MedianOverTime(1)
    with pytest.raises(ValueError, match=r"`noise_sigma` must be a positive number, received 0"):
        BilateralOverSpace(0)
    with pytest.raises(ValueError, match=r"`color_tolerance` must be a positive number, received -2\.5"):
        BilateralOverSpace(9, -2.5)

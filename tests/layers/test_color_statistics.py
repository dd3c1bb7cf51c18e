import keras
import numpy as np
import pytest

from sora_keras.layers.color_adjustment import ColorAdjustment
from sora_keras.layers.color_statistics import ColorStatistics, parameters_between

FRAMES = np.random.default_rng(0).integers(60, 200, (2, 3, 12, 10, 3), dtype=np.uint8)


def test_measures_what_numpy_does():
    found = np.asarray(ColorStatistics()(FRAMES))
    frames = FRAMES.astype(np.float64)
    luma = frames @ [0.299, 0.587, 0.114]
    spread = np.sqrt(luma.var(axis=(2, 3)) + 1)
    color = np.sqrt(np.square(frames - luma[..., None]).mean(axis=(2, 3, 4)) + 1)
    expected = np.stack([luma.mean(axis=(2, 3)) - 127.5, np.log2(spread), np.log2(color / spread)], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("parameters", [(20.0, 0.0, 0.0), (0.0, -0.6, 0.0), (0.0, 0.0, 0.4), (-13.0, -0.5, -0.3)])
def test_tells_how_frames_were_adjusted(parameters):
    layer = ColorStatistics()
    adjusted = ColorAdjustment()(FRAMES, np.reshape(parameters, (1, 1, 3)))
    found = np.asarray(parameters_between(layer(FRAMES), layer(adjusted)))
    # The level added to the spreads makes the difference.
    np.testing.assert_allclose(found, np.broadcast_to(parameters, found.shape), rtol=0.01, atol=0.01)


def test_frames_without_any_spread_have_finite_statistics():
    found = np.asarray(ColorStatistics()(np.full((1, 1, 4, 4, 3), 41, np.uint8)))
    np.testing.assert_allclose(found[0, 0], [41 - 127.5, 0.0, 0.0], atol=1e-4)


def test_in_a_model_with_unknown_length_saved_and_loaded(tmp_path):
    frames = keras.Input((None, 12, 10, 3), dtype="uint8")
    outputs = ColorStatistics()(frames)
    assert outputs.shape == (None, None, 3)
    model = keras.Model(frames, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(FRAMES, verbose=0), model.predict(FRAMES, verbose=0))

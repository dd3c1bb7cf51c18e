import keras
import numpy as np
import pytest

from sora_keras.layers.luma_quantiles import LumaQuantiles

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 3, 12, 10, 3), dtype=np.uint8)


def test_picks_what_numpy_does():
    shares = (0.0, 0.02, 0.3, 0.5, 1.0)
    luma = (FRAMES.astype(np.float64) @ [0.299, 0.587, 0.114]).reshape(2, 3, 120)
    expected = np.quantile(luma, shares, axis=-1, method="nearest")
    np.testing.assert_allclose(LumaQuantiles(shares)(FRAMES), np.moveaxis(expected, 0, -1), atol=1e-3)


def test_in_a_model_with_unknown_length_saved_and_loaded(tmp_path):
    frames = keras.Input((None, 12, 10, 3), dtype="uint8")
    outputs = LumaQuantiles((0.25, 0.75))(frames)
    assert outputs.shape == (None, None, 2)
    model = keras.Model(frames, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].shares == (0.25, 0.75)
    np.testing.assert_array_equal(loaded.predict(FRAMES, verbose=0), model.predict(FRAMES, verbose=0))


@pytest.mark.parametrize(("shares", "received"), [((), r"\(\)"), ((0.5, 1.5), r"\(0.5, 1.5\)")])
def test_shares_are_shares(shares, received):
    with pytest.raises(ValueError, match=rf"all in 0\.\.1, received {received}"):
        LumaQuantiles(shares)

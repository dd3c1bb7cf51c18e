import keras
import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from sora_keras.layers.mixture_density import MixtureDensity

SHARES, SPREADS = np.array([0.2, 0.5, 0.3]), np.array([[0.5, 1.0], [2.0, 0.3], [1.0, 1.5]])
MEANS = np.array([[0.0, 3.0], [-2.0, 1.0], [4.0, -1.0]])


@pytest.fixture
def mixture():
    layer = MixtureDensity(3)
    layer.build((None, 2))
    layer.set_weights([np.log(SHARES) + 5, MEANS, 2 * np.log(SPREADS)])
    return layer


def test_density_is_scikit_learns(mixture):
    expected = GaussianMixture(3, covariance_type="diag")
    expected.weights_, expected.means_, expected.covariances_ = SHARES, MEANS, SPREADS**2
    expected.precisions_cholesky_ = 1 / SPREADS
    vectors = np.random.default_rng(0).normal(0, 3, (50, 2))
    densities = keras.ops.convert_to_numpy(mixture(vectors.astype("float32")))
    np.testing.assert_allclose(densities, expected.score_samples(vectors), rtol=1e-4, atol=1e-4)


def test_draws_have_its_means_and_spreads(mixture):
    drawn = mixture.draw(20_000, seed=0)
    assert drawn.dtype == np.float32
    mean = SHARES @ MEANS
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.06)
    np.testing.assert_allclose(drawn.var(0), SHARES @ (SPREADS**2 + MEANS**2) - mean**2, rtol=0.04)
    np.testing.assert_array_equal(mixture.draw(7, seed=1), mixture.draw(7, seed=1))
    assert (mixture.draw(7, seed=1) != mixture.draw(7, seed=2)).any()


def test_learns_a_ring():
    """What no single Gaussian covers: a circle with nothing at its middle."""
    keras.utils.set_random_seed(0)
    turns = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    ring = np.stack([np.cos(turns), np.sin(turns)], axis=-1).astype("float32") * 3
    layer = MixtureDensity(16)
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile(keras.optimizers.Adam(0.05), loss=lambda _, densities: -densities)
    model.fit(ring, np.zeros(2000), batch_size=200, epochs=15, verbose=0)
    radii = np.linalg.norm(layer.draw(1000, seed=0), axis=-1)
    assert np.quantile(radii, 0.02) > 1.5
    assert radii.mean() == pytest.approx(3, abs=0.2)


def test_shapes_and_config():
    layer = MixtureDensity(5, name="prior")
    assert layer(keras.Input((7,))).shape == (None,)
    assert [weight.shape for weight in layer.weights] == [(5,), (5, 7), (5, 7)]
    assert MixtureDensity.from_config(layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="at least 1, received -4"):
        MixtureDensity(-4)

import keras
import numpy as np
import pytest

from sora_keras.models.feature_gan import FeatureGAN

MEANS = np.array([[-1.5, 0.5], [1.0, 1.0]])
SPREADS = np.array([[0.3, 0.6], [0.7, 0.2]])


def gaussians(num_vectors, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, num_vectors)
    return (MEANS[labels] + SPREADS[labels] * rng.standard_normal((num_vectors, 2))).astype("float32"), labels


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    features, labels = gaussians(2048, seed=0)
    gan = FeatureGAN(2, 2, noise_size=4, units=(64, 64), learning_rate=1e-3, seed=0)
    gan.fit({"features": features, "labels": labels}, batch_size=128, epochs=60, verbose=0)
    return gan


@pytest.mark.parametrize("label", [0, 1])
def test_learns_mean_and_spread_of_each_class(trained, label):
    made = trained.generate(np.full(2000, label), seed=1)
    assert made.shape == (2000, 2)
    np.testing.assert_allclose(made.mean(0), MEANS[label], atol=0.15)
    # Of the spread it misses a part, as such networks do, but neither collapses nor swaps the directions.
    assert (made.std(0) > 0.2 * SPREADS[label]).all()
    assert (made.std(0) < 1.5 * SPREADS[label]).all()
    assert made.std(0).argmax() == SPREADS[label].argmax()


def test_untrained_makes_neither_class():
    made = FeatureGAN(2, 2, noise_size=4, units=(64, 64), seed=0).generate(np.zeros(2000, int), seed=1)
    assert np.abs(made.mean(0) - MEANS[0]).max() > 0.5


def test_generate_repeats_by_seed_and_follows_labels(trained):
    first, again, other = (trained.generate([0, 1, 1], seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(trained.generate([1, 1, 1], seed=3)[0], first[0])


def test_the_generator_descends_where_the_critic_ascends():
    """One step: the scores of made features, by a critic held still, rise."""
    keras.utils.set_random_seed(0)
    features, labels = gaussians(256, seed=2)
    gan = FeatureGAN(2, 2, noise_size=4, units=(16,), seed=0)
    gan.critic.trainable = False
    gan.compile(optimizer=keras.optimizers.SGD(0.01))
    classes = np.eye(2, dtype="float32")[labels]

    def score():
        made = gan.generate(labels, seed=5)
        return float(np.mean(gan.critic.predict([made, classes], verbose=0)))

    before, critic = score(), [np.array(w) for w in gan.critic.trainable_weights]
    gan.fit({"features": features, "labels": labels}, batch_size=256, epochs=5, verbose=0)
    assert score() > before
    assert not critic  # nothing of it could move


def test_saves_and_loads(trained, tmp_path):
    trained.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.get_config() == trained.get_config()
    np.testing.assert_allclose(loaded.generate([0, 1], seed=2), trained.generate([0, 1], seed=2), atol=1e-6)


@pytest.mark.parametrize(("arguments", "received"), [((0, 2), "num_features.*0"), ((3, -4), "num_classes.*-4")])
def test_sizes_out_of_range(arguments, received):
    with pytest.raises(ValueError, match=rf"`{received}"):
        FeatureGAN(*arguments)
    with pytest.raises(ValueError, match=r"`units` must be at least 1, received -7"):
        FeatureGAN(3, 2, units=(8, -7))

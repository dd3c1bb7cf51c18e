import keras
import numpy as np
import pytest

from sora_keras.models import KnownBinaryCrossentropy


def by_hand(labels, logits, positive_weight=1.0):
    total, count = 0.0, 0
    for label, logit in zip(labels.ravel(), logits.ravel(), strict=True):
        if label < 0:
            continue
        probability = 1 / (1 + np.exp(-logit))
        total -= positive_weight * np.log(probability) if label == 1 else np.log(1 - probability)
        count += 1
    return total / max(count, 1)


@pytest.mark.parametrize("shape", [(4, 3), (4, 5, 3)])
@pytest.mark.parametrize("positive_weight", [1.0, 2.5])
def test_is_the_mean_over_what_is_known(shape, positive_weight):
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(-1, 2, shape).astype(np.float32), rng.normal(0, 2, shape).astype(np.float32)
    loss = KnownBinaryCrossentropy(positive_weight)(labels, logits)
    np.testing.assert_allclose(float(loss), by_hand(labels, logits, positive_weight), rtol=1e-5)


def test_nothing_known_costs_nothing():
    assert float(KnownBinaryCrossentropy()(-np.ones((2, 3)), 5 * np.ones((2, 3)))) == 0.0


def test_config_round_trip_and_bad_weight():
    loss = keras.losses.deserialize(keras.losses.serialize(KnownBinaryCrossentropy(3.5)))
    assert loss.positive_weight == 3.5
    with pytest.raises(ValueError, match=r"`positive_weight` must be positive, received -2\.0"):
        KnownBinaryCrossentropy(-2.0)

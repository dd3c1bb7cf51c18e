from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.data import make_moving_digits, video_dataset_from_directory
from sora_keras.models import SoraClassifier
from sora_keras.training import find_learning_rate, warmup_cosine
from sora_keras.video import ClipSpec


def quadratic(optimizer="sgd"):
    """The loss (w - 3)^2 of one weight: gradient descent converges for rates below 1 and diverges above."""
    symbolic = keras.Input((1,))
    model = keras.Model(symbolic, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(symbolic))
    model.compile(optimizer, "mse")
    ones = np.ones((4, 1), "float32")
    return model, tf.data.Dataset.from_tensors((ones, 3 * ones))


def test_the_suggestion_descends_and_does_not_diverge():
    model, dataset = quadratic()
    found = find_learning_rate(model, dataset, smallest=1e-4, largest=100.0, num_steps=80)
    assert 0.003 < found.suggestion < 1
    assert found.learning_rates[-1] < 100  # it stopped where the loss had grown
    assert found.losses[-1] > 4 * found.losses.min()
    assert found.losses[0] == pytest.approx(9.0, rel=1e-5)  # the first batch's own loss
    np.testing.assert_allclose(np.diff(np.log(found.learning_rates)), np.log(1e6) / 79)


@pytest.mark.slow
def test_a_real_model_is_put_back_and_learns_at_the_suggestion(tmp_path):
    keras.utils.set_random_seed(0)
    folder = make_moving_digits(32, tmp_path / "digits", seed=1, num_frames=8, size=24)
    dataset = video_dataset_from_directory(folder, ClipSpec(6, 24, 24), batch_size=8, seed=0, cache=True)
    model = SoraClassifier.from_preset("small", dataset.class_names, ClipSpec(6, 24, 24))
    model.fit(dataset, epochs=1, verbose=0, shuffle=False)
    state = [np.asarray(variable) for variable in [*model.variables, *model.optimizer.variables]]
    found = find_learning_rate(model, dataset, num_steps=60)
    found.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 5_000
    for variable, before in zip([*model.variables, *model.optimizer.variables], state, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), before)
    losses = {}
    for rate in (1e-6, found.suggestion, 1.0):
        twin = keras.models.clone_model(model)
        twin.set_weights(model.get_weights())
        twin.compile(keras.optimizers.Adam(rate), model.loss)
        losses[rate] = twin.fit(dataset, epochs=4, verbose=0, shuffle=False).history["loss"][-1]
    assert losses[found.suggestion] == min(losses.values())


def test_a_schedule_cannot_be_searched():
    model, dataset = quadratic(keras.optimizers.SGD(warmup_cosine(0.1, 10)))
    with pytest.raises(ValueError, match=r"has a learning-rate schedule.*compile with a number, such as .*0\.002"):
        find_learning_rate(model, dataset, smallest=0.002)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smallest": 0.5, "largest": 0.25}, r"received smallest=0\.5 and largest=0\.25"),
        ({"num_steps": 4}, r"`num_steps` must be at least 10, received 4"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        find_learning_rate(*quadratic(), **options)


def test_a_loss_that_is_never_finite():
    model, _ = quadratic()
    nan = tf.data.Dataset.from_tensors((np.full((4, 1), np.nan, "float32"), np.ones((4, 1), "float32")))
    with pytest.raises(ValueError, match=r"finite for 0 steps only"):
        find_learning_rate(model, nan)

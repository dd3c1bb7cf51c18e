from __future__ import annotations

import keras
import numpy as np
import pytest

from sora_keras.models import SoraBackbone, SoraClassifier
from sora_keras.training import compile_for_training, training_callbacks, warmup_cosine
from sora_keras.video import ClipSpec


def linear(**options):
    """One weight and one bias, a loss of squares; compiled as any task model arrives."""
    symbolic = keras.Input((2,))
    outputs = keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")(symbolic)
    model = keras.Model(symbolic, outputs)
    model.compile("sgd", "mse", metrics=["mae"])
    compile_for_training(model, **options)
    return model


def classifier():
    backbone = SoraBackbone(ClipSpec(4, 8, 8), filters=(4, 4))
    return SoraClassifier(backbone, ["a", "b", "c"], dropout=0.0)


X, ZEROS = np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32")


def test_weight_decay_leaves_biases_alone():
    model = linear(learning_rate=0.1, weight_decay=0.5)
    model.fit(X, ZEROS + 1, epochs=1, verbose=0)  # already right: no gradient but decay
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel, (1 - 0.1 * 0.5) * np.ones((2, 1)), rtol=1e-6)
    np.testing.assert_allclose(bias, [1.0])


def test_loss_and_metrics_stay():
    model = linear()
    assert isinstance(model.optimizer, keras.optimizers.AdamW)
    assert set(model.evaluate(X, ZEROS, verbose=0, return_dict=True)) == {"loss", "mae"}
    model = classifier()
    compile_for_training(model, clip_norm=0.7)
    assert isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)
    frames = np.zeros((2, 4, 8, 8, 3), np.uint8)
    assert set(model.evaluate(frames, np.array([0, 2]), verbose=0, return_dict=True)) == {"loss", "accuracy"}


def test_weights_of_losses_stay():
    symbolic = keras.Input((2,))
    dense = keras.layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones")
    model = keras.Model(symbolic, {"heavy": dense(symbolic), "light": 3 * dense(symbolic)})
    model.compile("sgd", {"heavy": "mse", "light": "mse"}, loss_weights={"heavy": 5.0, "light": 2.0})
    compile_for_training(model)
    total, *_ = model.evaluate(X, {"heavy": ZEROS, "light": ZEROS}, verbose=0)
    assert total == pytest.approx(5 * 1 + 2 * 9)


def test_clipping_bounds_all_gradients_together():
    """They keep their direction, (3, 0, 4) of norm 5, and have the norm asked for."""
    model = linear(clip_norm=0.5)
    clip = model.optimizer._clip_gradients
    clipped = clip([keras.ops.convert_to_tensor([3.0, 0.0]), keras.ops.convert_to_tensor([4.0])])
    np.testing.assert_allclose(np.concatenate([np.asarray(each) for each in clipped]), [0.3, 0.0, 0.4], rtol=1e-6)


def test_accumulated_batches_are_one_large_batch():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 2)).astype("float32"), rng.normal(size=(8, 1)).astype("float32")
    whole, parts = linear(learning_rate=0.1), linear(learning_rate=0.1, accumulation_steps=4)
    whole.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    parts.fit(x, y, batch_size=2, epochs=3, shuffle=False, verbose=0)
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_averaged_weights_are_validated_and_kept(tmp_path):
    """Against averages taken by hand of the weights after each step."""

    class Weights(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.model.get_weights()[0].copy())

    seen: list[np.ndarray] = []
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 2)).astype("float32")
    y = x @ np.array([[2.0], [-3.0]], "float32")
    model = linear(learning_rate=0.1, ema_momentum=0.8)
    callbacks = [*training_callbacks(tmp_path, model=model), Weights()]
    history = model.fit(
        x, y, validation_data=(x, y), batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=callbacks
    )
    average = seen[0]
    for weights in seen[1:]:
        average = 0.8 * average + 0.2 * weights
    np.testing.assert_allclose(model.get_weights()[0], average, atol=1e-5)
    assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(history.history["val_loss"][-1], rel=1e-4)


def test_a_schedule_is_left_alone(tmp_path):
    model = linear(learning_rate=warmup_cosine(0.1, num_steps=6))
    callbacks = training_callbacks(tmp_path, model=model, patience=2)
    assert not any(isinstance(callback, keras.callbacks.ReduceLROnPlateau) for callback in callbacks)
    # Outputs of 1 where zeros are wanted: every step helps, so no epoch but the plan decides.
    model.fit(X, ZEROS, validation_data=(X, ZEROS), epochs=6, verbose=0, callbacks=callbacks)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-8)
    plain = training_callbacks(tmp_path, model=linear())
    assert any(isinstance(callback, keras.callbacks.ReduceLROnPlateau) for callback in plain)


def test_label_smoothing_on_a_classifier():
    model = classifier()
    compile_for_training(model, label_smoothing=0.3)
    frames = np.random.default_rng(0).integers(0, 256, (5, 4, 8, 8, 3)).astype(np.uint8)
    labels = np.array([0, 1, 2, 2, 0])
    logits = np.asarray(model.predict(frames, verbose=0), np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    smoothed = 0.7 * np.eye(3)[labels] + 0.1
    expected = -(smoothed * log_probabilities).sum(1).mean()
    assert model.evaluate(frames, labels, verbose=0)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_decay": -0.5}, r"`weight_decay` must be a number of at least 0, received -0\.5"),
        ({"ema_momentum": 1.25}, r"`ema_momentum` must be from 0 to below 1, or None, received 1\.25"),
        ({"clip_norm": 0.0}, r"`clip_norm` must be a positive number, or None, received 0\.0"),
        ({"accumulation_steps": -3}, r"`accumulation_steps` must be at least 1, received -3"),
        ({"label_smoothing": 0.4}, r"`label_smoothing=0\.4` goes with a loss on whole-number labels, .* 'mse'"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        linear(**options)

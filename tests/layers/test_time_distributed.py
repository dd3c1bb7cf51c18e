import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.layers import TimeDistributed

RNG = np.random.default_rng(0)


def frames(*shape):
    return RNG.normal(size=shape).astype("float32")


def run(layer, inputs, num_frames, **kwargs):
    """Call through a functional model in a graph, as `predict` does."""
    symbolic = keras.Input((num_frames, *inputs.shape[2:]))
    return keras.Model(symbolic, layer(symbolic, **kwargs)).predict(inputs, verbose=0)


@pytest.mark.parametrize("frames_at_once", [None, 1, 3, 4, 100])
@pytest.mark.parametrize("num_frames", [None, 5])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_each_slice_is_what_the_layer_makes_of_it(batch_size, num_frames, frames_at_once):
    convolution = keras.layers.Conv2D(4, 3, strides=2, activation="relu")
    inputs = frames(batch_size, 5, 9, 7, 3)
    outputs = run(TimeDistributed(convolution, frames_at_once), inputs, num_frames)
    expected = np.stack([convolution(inputs[:, index]) for index in range(5)], axis=1)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_equals_keras_where_keras_is_right():
    encoder = keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()])
    inputs = frames(3, 6, 8, 8, 2)
    expected = run(keras.layers.TimeDistributed(encoder), inputs, 6)
    np.testing.assert_allclose(run(TimeDistributed(encoder), inputs, 6), expected, atol=1e-5)
    np.testing.assert_allclose(run(TimeDistributed(encoder, 5), inputs, 6), expected, atol=1e-5)


def test_static_time_stays_static_and_unknown_time_unknown():
    layer = TimeDistributed(keras.layers.Conv2D(4, 3))
    assert layer(keras.Input((7, 8, 8, 2))).shape == (None, 7, 6, 6, 4)
    assert layer(keras.Input((None, 8, 8, 2))).shape == (None, None, 6, 6, 4)
    assert layer.compute_output_shape((3, 7, 8, 8, 2)) == (3, 7, 6, 6, 4)


@pytest.mark.parametrize("frames_at_once", [None, 2])
def test_unknown_sizes_of_the_picture(frames_at_once):
    convolution = keras.layers.Conv2D(4, 3)
    inputs = frames(2, 3, 9, 7, 2)
    symbolic = keras.Input((None, None, None, 2))
    layer = TimeDistributed(convolution, frames_at_once)
    assert layer(symbolic).shape == (None, None, None, None, 4)
    outputs = keras.Model(symbolic, layer(symbolic)).predict(inputs, verbose=0)
    expected = np.stack([convolution(inputs[:, index]) for index in range(3)], axis=1)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_graph_does_not_grow_with_time():
    def num_operations(num_frames):
        layer = TimeDistributed(keras.layers.Conv2D(4, 3), frames_at_once=2)
        layer.build((None, num_frames, 8, 8, 2))
        function = tf.function(lambda inputs: layer(inputs, training=False))
        graph = function.get_concrete_function(tf.TensorSpec((1, num_frames, 8, 8, 2))).graph
        return len(graph.get_operations())

    assert num_operations(40) == num_operations(4)


def test_gradients_reach_the_layer():
    dense = keras.layers.Dense(2)
    layer = TimeDistributed(dense, frames_at_once=2)
    inputs = tf.constant(frames(2, 3, 4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs, training=True))
    gradient = tape.gradient(loss, dense.kernel)
    np.testing.assert_allclose(gradient, np.repeat(inputs.numpy().sum((0, 1))[:, None], 2, axis=1), rtol=1e-5)


def small_encoder():
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("frames_at_once", [1, 4, 100])
def test_rematerialized_gradients_are_the_same(frames_at_once, in_graph):
    encoder = small_encoder()
    inputs, weights = tf.constant(frames(2, 5, 8, 8, 2)), tf.constant(frames(2, 5, 4))

    def gradients(layer):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(weights * layer(inputs, training=True))
        return [loss, *tape.gradient(loss, [inputs, *(weight.value for weight in encoder.trainable_variables)])]

    rematerialized = TimeDistributed(encoder, frames_at_once, rematerialize=True)
    function = tf.function(lambda: gradients(rematerialized)) if in_graph else lambda: gradients(rematerialized)
    for got, expected in zip(function(), gradients(TimeDistributed(encoder)), strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_rematerialized_training_takes_the_same_steps():
    def trained_weights(rematerialize):
        keras.utils.set_random_seed(0)
        symbolic = keras.Input((None, 8, 8, 2))
        features = TimeDistributed(small_encoder(), 3, rematerialize)(symbolic)
        model = keras.Model(symbolic, keras.layers.Dense(1)(keras.layers.LSTM(3)(features)))
        model.compile("sgd", "mse")
        rng = np.random.default_rng(0)
        model.fit(rng.normal(size=(6, 5, 8, 8, 2)), rng.normal(size=(6, 1)), batch_size=2, epochs=2, verbose=0)
        return model.get_weights()

    for got, expected in zip(trained_weights(True), trained_weights(False), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_rematerialized_graph_does_not_grow_with_time():
    def num_operations(num_frames):
        layer = TimeDistributed(small_encoder(), frames_at_once=2, rematerialize=True)
        layer.build((None, num_frames, 8, 8, 2))

        @tf.function
        def gradients(inputs):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(inputs, training=True))
            return tape.gradient(loss, [weight.value for weight in layer.trainable_variables])

        graph = gradients.get_concrete_function(tf.TensorSpec((1, num_frames, 8, 8, 2))).graph.as_graph_def()
        return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)

    assert num_operations(40) == num_operations(4)


def test_rematerialized_mixed_precision_and_frozen_statistics():
    normalization = keras.layers.BatchNormalization(dtype="mixed_bfloat16", trainable=False)
    layer = TimeDistributed(normalization, 2, rematerialize=True, dtype="mixed_bfloat16")
    assert layer(frames(1, 3, 4), training=True).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("make", "state"),
    [
        (lambda: keras.layers.BatchNormalization(name="batch"), "moving_mean"),
        (lambda: keras.layers.Dropout(0.5), "seed"),
    ],
)
def test_state_that_training_changes_is_not_rematerialized(make, state):
    layer = TimeDistributed(make(), 2, rematerialize=True)
    layer(frames(1, 3, 4), training=False)
    with pytest.raises(ValueError, match=f"without state that training changes, received .*{state}.*freeze it"):
        layer(frames(1, 3, 4), training=True)


def test_activity_losses_count_every_frame():
    dense = keras.layers.Dense(1, activity_regularizer=keras.regularizers.L2(0.5))
    inputs = frames(2, 3, 4)
    dense(inputs.reshape(6, 4))
    [expected] = dense.losses
    layer = TimeDistributed(dense)
    layer(inputs)
    assert float(layer.losses[0]) == pytest.approx(float(expected))
    assert float(expected) > 0


def test_batch_statistics_are_updated_once_over_all_frames():
    normalization = keras.layers.BatchNormalization(momentum=0.9)
    inputs = frames(2, 3, 4) + 5
    TimeDistributed(normalization)(inputs, training=True)
    np.testing.assert_allclose(normalization.moving_mean, 0.1 * inputs.mean((0, 1)), rtol=1e-4)


def test_training_reaches_the_layer():
    layer = TimeDistributed(keras.layers.Dropout(0.5, seed=1), frames_at_once=2)
    inputs = np.ones((2, 3, 50), "float32")
    np.testing.assert_array_equal(layer(inputs, training=False), inputs)
    assert set(np.unique(layer(inputs, training=True))) == {0.0, 2.0}


def test_mask_goes_to_the_layer_and_on_to_what_follows():
    class Masked(keras.layers.Layer):
        supports_masking = True

        def call(self, inputs, mask=None):
            return inputs * keras.ops.cast(mask, "float32")[:, None]

    inputs = frames(2, 3, 4)
    mask = np.array([[True, False, True], [True, True, False]])
    layer = TimeDistributed(Masked(), frames_at_once=2)
    np.testing.assert_allclose(layer(inputs, mask=mask), inputs * mask[..., None])
    masked = keras.layers.Masking()(keras.Input((3, 4)))
    assert TimeDistributed(keras.layers.Dense(2))(masked)._keras_mask is not None


def test_lstm_behind_it_skips_masked_frames():
    inputs = frames(2, 5, 4)
    padded = inputs.copy()
    padded[:, 3:] = 0
    symbolic = keras.Input((None, 4))
    features = TimeDistributed(keras.layers.Dense(3))(keras.layers.Masking()(symbolic))
    model = keras.Model(symbolic, keras.layers.LSTM(2)(features))
    np.testing.assert_allclose(model.predict(padded, verbose=0), model.predict(inputs[:, :3], verbose=0), atol=1e-6)


def test_mixed_precision():
    layer = TimeDistributed(keras.layers.Conv2D(2, 3, dtype="mixed_bfloat16"), 2, dtype="mixed_bfloat16")
    assert layer(frames(1, 3, 5, 5, 1)).dtype == "bfloat16"


def test_config_round_trip(tmp_path):
    symbolic = keras.Input((None, 6, 6, 1))
    model = keras.Model(symbolic, TimeDistributed(keras.layers.Conv2D(2, 3), 7, rematerialize=True)(symbolic))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.layers[1].frames_at_once, loaded.layers[1].rematerialize) == (7, True)
    inputs = frames(2, 3, 6, 6, 1)
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`frames_at_once` must be at least 1.*received -3"):
        TimeDistributed(keras.layers.Dense(2), frames_at_once=-3)
    with pytest.raises(ValueError, match=r"give `frames_at_once`, such as 8, received None"):
        TimeDistributed(keras.layers.Dense(2), rematerialize=True)
    with pytest.raises(ValueError, match=r"received: \(None, 4\)"):
        TimeDistributed(keras.layers.Dense(2))(keras.Input((4,)))

import keras
import numpy as np

from sora_keras.layers.absent_features import AbsentFeatures

FEATURES = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
IS_PRESENT = np.array([[True, False, True], [False, False, True]])


def layer_with(absent):
    layer = AbsentFeatures()
    layer(FEATURES, IS_PRESENT)
    layer.set_weights([np.array(absent, np.float32)])
    return layer


def test_absent_features_become_the_learned_vector():
    outputs = np.asarray(layer_with([-1, -2, -3, -4])(FEATURES, IS_PRESENT))
    np.testing.assert_array_equal(outputs[IS_PRESENT], FEATURES[IS_PRESENT])
    np.testing.assert_array_equal(outputs[~IS_PRESENT], [[-1, -2, -3, -4]] * 3)


def test_the_vector_is_learned_from_where_it_stands():
    inputs = [keras.Input((3, 4)), keras.Input((3,), dtype="bool")]
    model = keras.Model(inputs, AbsentFeatures()(*inputs))
    model.compile(keras.optimizers.SGD(2.0), "mse")
    targets = np.full_like(FEATURES, 7.0)
    model.fit([FEATURES, IS_PRESENT], targets, epochs=20, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], 7.0, atol=0.01)


def test_save_and_load(tmp_path):
    inputs = [keras.Input((None, 4)), keras.Input((None,), dtype="bool")]
    model = keras.Model(inputs, AbsentFeatures(name="absent_sound")(*inputs))
    model.set_weights([np.array([4, 3, 2, 1], np.float32)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict([FEATURES, IS_PRESENT], verbose=0), model.predict([FEATURES, IS_PRESENT], verbose=0)
    )
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()


def test_takes_the_features_precision():
    layer = AbsentFeatures(dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(layer(FEATURES, IS_PRESENT).dtype) == "bfloat16"

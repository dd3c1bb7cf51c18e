import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, SoraBackbone
from sora_keras.models import EfficientNetLite0, image_encoder, unfreeze

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3)).astype("float32")


@pytest.mark.parametrize(
    ("application", "module"),
    [("MobileNetV2", "mobilenet_v2"), ("EfficientNetB0", "efficientnet"), ("VGG16", "vgg16")],
)
def test_frames_are_prepared_as_the_application_wants(tmp_path, application, module):
    arguments = {"include_top": False, "pooling": "avg", "weights": None, "input_shape": (32, 48, 3)}
    original = getattr(keras.applications, application)(**arguments)
    original.save_weights(tmp_path / "w.weights.h5")
    prepared = getattr(keras.applications, module).preprocess_input(FRAMES.copy())
    expected = keras.ops.convert_to_numpy(original(prepared))
    encoder = image_encoder(application, 32, 48, tmp_path / "w.weights.h5")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(encoder(FRAMES)), expected, rtol=1e-4, atol=1e-5)
    rebuilt = keras.Model.from_config(encoder.get_config())
    rebuilt.set_weights(encoder.get_weights())
    np.testing.assert_allclose(keras.ops.convert_to_numpy(rebuilt(FRAMES)), expected, rtol=1e-4, atol=1e-5)


def trainable_names(model):
    return {weight.path.split("/")[-2] for weight in model.trainable_weights}


def test_an_encoder_in_a_backbone_survives_saving_with_what_is_frozen(tmp_path):
    encoder = image_encoder("MobileNetV2", 32, 32)
    unfreeze(encoder, num_layers=2)
    backbone = SoraBackbone(ClipSpec(2, 32, 32), filters=(4,), units=(5,), frame_encoder=encoder, motion="shift")
    assert {"Conv_1", "block_16_project"} < trainable_names(backbone)
    frames = np.resize(FRAMES, (1, 2, 32, 32, 3)).astype("uint8")
    backbone.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    assert trainable_names(loaded) == trainable_names(backbone)
    np.testing.assert_array_equal(loaded(frames)["embedding"], backbone(frames)["embedding"])


def test_training_moves_the_last_layers_only():
    encoder = EfficientNetLite0(32, 32)
    unfreeze(encoder, num_layers=2)
    model = keras.Sequential([encoder, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Lion(0.01), "mse")  # moves by the sign, however small a gradient is
    before = {weight.path: np.array(weight) for weight in encoder.weights}
    model.fit(FRAMES[:, :, :32], np.array([3.0, -2.0]), verbose=0)
    changed = {w.path.split("/")[-2] for w in encoder.weights if np.any(before[w.path] != np.array(w))}
    assert changed == {"block15_project", "head"}


def test_all_are_unfrozen_but_batch_normalization_and_none_with_0():
    encoder = EfficientNetLite0(32, 32)
    unfreeze(encoder)
    assert len(encoder.trainable_weights) == 49
    unfreeze(encoder, num_layers=0)
    assert encoder.trainable_weights == []


@pytest.mark.parametrize("num_layers", [-1, 50])
def test_more_layers_than_there_are_are_refused(num_layers):
    with pytest.raises(
        ValueError, match=rf"from 0 to the 49 layers .* 'efficientnet_lite0' has, received {num_layers}"
    ):
        unfreeze(EfficientNetLite0(32, 32), num_layers)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no 'MobileNetV9' in keras.applications: expected one of .*MobileNetV2"):
        image_encoder("MobileNetV9", 32, 32)
    with pytest.raises(FileNotFoundError, match=r"no weights of MobileNetV2 at .*absent\.h5"):
        image_encoder("MobileNetV2", 32, 32, tmp_path / "absent.h5")

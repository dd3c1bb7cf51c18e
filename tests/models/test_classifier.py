import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier

SPEC = ClipSpec(num_frames=4, height=16, width=16)


def classifier(**arguments):
    backbone = SoraBackbone(SPEC, filters=(4, 6), units=(5,))
    return SoraClassifier(backbone, ["still", "moving", "gone"], **arguments)


def test_passes_the_shared_check(check_video_model):
    check_video_model(classifier, SPEC, lambda batch_size, num_frames: (batch_size, 3), targets=np.array([0, 2]))


def test_logits_are_the_dense_layer_on_the_embedding():
    model = classifier()
    frames = np.random.default_rng(0).integers(0, 256, (2, *SPEC.shape), dtype=np.uint8)
    kernel, bias = model.get_layer("logits").get_weights()
    expected = model.backbone.predict(frames, verbose=0)["embedding"] @ kernel + bias
    np.testing.assert_allclose(model.predict(frames, verbose=0), expected, atol=1e-5)


def test_arrives_compiled_and_learns_what_moves():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 256, (32, 1, 16, 16, 3), dtype=np.uint8), 4, axis=1)
    labels = np.arange(32) % 2
    for index in np.flatnonzero(labels):
        frames[index] = [np.roll(frames[index, 0], 2 * step, axis=1) for step in range(4)]
    model = classifier(dropout=0.0, learning_rate=0.02)
    model.fit(frames, labels, epochs=25, batch_size=8, verbose=0)
    assert model.evaluate(frames, labels, verbose=0, return_dict=True)["accuracy"] >= 0.9


def test_config_round_trip():
    model = classifier(dropout=0.3, learning_rate=0.007)
    rebuilt = SoraClassifier.from_config(model.get_config())
    assert rebuilt.get_config() == model.get_config()
    assert rebuilt.class_names == ["still", "moving", "gone"]
    assert rebuilt.clip_spec == SPEC
    assert float(rebuilt.optimizer.learning_rate) == pytest.approx(0.007)


def test_saving_keeps_a_frozen_backbone(tmp_path):
    model = classifier()
    model.backbone.trainable = False
    assert len(model.trainable_variables) == 2
    model.save_to_preset(tmp_path)
    assert len(SoraClassifier.from_preset(tmp_path).trainable_variables) == 2
    frozen = classifier()
    frozen.trainable = False
    frozen.save_to_preset(tmp_path)
    assert SoraClassifier.from_preset(tmp_path).trainable_variables == []


def test_class_names_must_be_text():
    with pytest.raises(ValueError, match=r"printable text, received 'a\\udcff': rename its folder"):
        SoraClassifier(SoraBackbone(SPEC, filters=(4,), units=(5,)), ["a\udcff", "b"])


def test_saving_keeps_a_recompiled_loss(tmp_path):
    model = classifier()
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.loss, keras.losses.CategoricalCrossentropy)
    assert isinstance(loaded.optimizer, keras.optimizers.SGD)


def test_training_goes_on_after_loading_where_it_stopped(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (4, *SPEC.shape), dtype=np.uint8)
    labels = np.array([0, 1, 2, 0])
    model = classifier(dropout=0.0)
    model.fit(frames, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.fit(frames, labels, verbose=0, shuffle=False)
    for mine, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_presets(tmp_path):
    model = SoraClassifier.from_preset("small", ["a", "b"], SPEC, dropout=0.4)
    assert (model.class_names, model.clip_spec, model.dropout) == (["a", "b"], SPEC, 0.4)
    model.save_to_preset(tmp_path)
    assert SoraClassifier.from_preset(tmp_path).class_names == ["a", "b"]
    with pytest.raises(ValueError, match=r"holds a SoraClassifier, expected a SoraBackbone"):
        SoraBackbone.from_preset(tmp_path)
    with pytest.raises(ValueError, match=r"'base' is a backbone without a head: give `class_names`"):
        SoraClassifier.from_preset("base")


@pytest.mark.parametrize("names", [[], ["only"], ["twice", "twice"]])
def test_class_names_must_be_two_and_different(names):
    with pytest.raises(ValueError, match=rf"at least two different names, received \[{', '.join(map(repr, names))}\]"):
        SoraClassifier(SoraBackbone(SPEC, filters=(4,), units=(5,)), names)

import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, SoraBackbone, SoraUnderstanding

SPEC = ClipSpec(num_frames=6, height=16, width=16, frames_per_second=4.0)
VOCABULARIES = {"event": ["walk", "fall", "rest"], "person": ["anna", "ben"]}


def understanding(has_padding=False, **arguments):
    backbone = SoraBackbone(SPEC, filters=(4, 6), units=(5,), has_padding=has_padding)
    return SoraUnderstanding(backbone, VOCABULARIES, **arguments)


def shapes(batch_size, num_frames):
    return {
        "event": (batch_size, 3), "event_frames": (batch_size, num_frames, 3),
        "person": (batch_size, 2), "person_frames": (batch_size, num_frames, 2),
    }  # fmt: skip


def labels_for(batch_size, num_frames, value):
    return {name: np.full(shape, value, np.float32) for name, shape in shapes(batch_size, num_frames).items()}


@pytest.mark.parametrize("pooling", ["attention", "top"])
def test_passes_the_shared_check(check_video_model, pooling):
    targets = labels_for(2, 9, 1.0)
    check_video_model(lambda: understanding(pooling=pooling), SPEC, shapes, targets=targets)


def test_a_clip_is_pooled_from_its_frames():
    model = understanding()
    frames = np.random.default_rng(0).integers(0, 256, (3, *SPEC.shape), dtype=np.uint8)
    outputs = model.predict(frames, verbose=0)
    sequence = model.backbone.predict(frames, verbose=0)["sequence_features"]
    kernel, bias = model.get_layer("event_attention").get_weights()
    attention = np.exp(sequence @ kernel + bias)
    weights = attention / attention.sum(1, keepdims=True)
    np.testing.assert_allclose(outputs["event"], (weights * outputs["event_frames"]).sum(1), atol=1e-5)
    top = understanding(pooling="top").predict(frames, verbose=0)
    np.testing.assert_allclose(top["event"], top["event_frames"].max(1), atol=1e-6)  # an eighth of 6 frames: one


def test_frames_may_be_scored_by_their_own_features_too():
    model = understanding(with_frame_features=True)
    frames = np.random.default_rng(0).integers(0, 256, (3, *SPEC.shape), dtype=np.uint8)
    parts = model.backbone.predict(frames, verbose=0)
    kernel, bias = model.get_layer("person_frames").get_weights()
    expected = np.concatenate([parts["sequence_features"], parts["frame_features"]], axis=-1) @ kernel + bias
    np.testing.assert_allclose(model.predict(frames, verbose=0)["person_frames"], expected, atol=1e-4)


@pytest.mark.parametrize("pooling", ["attention", "top"])
def test_padding_changes_nothing(pooling):
    model = understanding(has_padding=True, pooling=pooling)
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (2, 9, 16, 16, 3), dtype=np.uint8)
    mask = np.arange(9) < np.array([[9], [4]])
    padded = model.predict({"frames": frames, "padding_mask": mask}, verbose=0)
    alone = model.predict({"frames": frames[1:, :4], "padding_mask": mask[1:, :4]}, verbose=0)
    np.testing.assert_allclose(padded["event"][1:], alone["event"], atol=1e-5)
    np.testing.assert_allclose(padded["event_frames"][1:, :4], alone["event_frames"], atol=1e-5)


def test_unknown_labels_change_nothing():
    keras.utils.set_random_seed(3)
    model = understanding(dropout=0.0)
    frames = np.random.default_rng(2).integers(0, 256, (4, *SPEC.shape), dtype=np.uint8)
    before = model.get_weights()
    model.fit(frames, labels_for(4, 6, -1.0), verbose=0)
    moving = [layer for layer in model.backbone.layers if "normalize" in layer.name]  # its averages follow the frames
    assert not any(layer.trainable_variables for layer in moving)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    known = labels_for(4, 6, -1.0)
    known["person"][0, 1] = 1.0
    person = model.get_layer("person_frames")
    event = model.get_layer("event_frames")
    person_before, event_before = person.get_weights()[0], event.get_weights()[0]
    model.fit(frames, known, verbose=0)
    assert np.any(person.get_weights()[0][:, 1] != person_before[:, 1])
    np.testing.assert_array_equal(person.get_weights()[0][:, 0], person_before[:, 0])
    np.testing.assert_array_equal(event.get_weights()[0], event_before)


def test_padding_weighs_the_loss_no_more_than_once():
    model = understanding(has_padding=True, dropout=0.0)
    rng = np.random.default_rng(4)
    mask = np.arange(8) < np.array([[2], [8], [5]])
    inputs = {"frames": rng.integers(0, 256, (3, 8, 16, 16, 3), dtype=np.uint8), "padding_mask": mask}
    labels = labels_for(3, 8, -1.0)
    labels["event_frames"] = np.where(mask[..., None], rng.integers(0, 2, (3, 8, 3)), -1).astype(np.float32)
    logits = model.predict(inputs, verbose=0)["event_frames"][mask].astype(np.float64)
    true = labels["event_frames"][mask]
    expected = np.mean(np.logaddexp(0, logits) - true * logits)
    found = model.evaluate(inputs, labels, batch_size=3, verbose=0, return_dict=True)
    assert found["event_frames_loss"] == pytest.approx(expected, rel=1e-4)


def bright_frames(rng, count):
    """Dark clips with a bright stretch of two frames, and where it is."""
    starts = rng.integers(0, 5, count)
    bright = (np.arange(6) >= starts[:, None]) & (np.arange(6) < starts[:, None] + 2)
    bright[::3] = False
    frames = rng.integers(0, 60, (count, *SPEC.shape), dtype=np.uint8) + 150 * bright[:, :, None, None, None]
    return frames.astype(np.uint8), bright.astype(np.float32)


@pytest.mark.parametrize("pooling", ["attention", "top"])
def test_learns_when_from_clip_labels_alone(pooling):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    frames, bright = bright_frames(rng, 96)
    backbone = SoraBackbone(SPEC, filters=(8,), units=(8,), motion=None, sequence="bidirectional_lstm")
    model = SoraUnderstanding(backbone, {"event": ["bright"]}, pooling=pooling, dropout=0.0, learning_rate=0.02)
    labels = {"event": bright.max(1)[:, None], "event_frames": np.full((96, 6, 1), -1.0, np.float32)}
    model.fit(frames, labels, epochs=25, batch_size=16, verbose=0)
    frames, bright = bright_frames(rng, 48)
    outputs = model.predict(frames, verbose=0)
    assert np.mean((outputs["event"][:, 0] > 0) == bright.max(1)) > 0.95
    shown = bright.max(1) > 0
    best = outputs["event_frames"][shown, :, 0].argmax(1)
    assert np.mean(bright[shown][np.arange(shown.sum()), best]) > 0.9


def test_config_and_thresholds_are_kept(tmp_path):
    model = understanding(pooling="top", dropout=0.3, learning_rate=0.007, l2=0.01, with_frame_features=True)
    assert model.thresholds == {"event": [0.5, 0.5, 0.5], "person": [0.5, 0.5]}
    model.thresholds = {"event": [0.2, 0.3, 0.4], "person": [0.6, 0.7]}
    rebuilt = SoraUnderstanding.from_config(model.get_config())
    assert rebuilt.get_config() == model.get_config()
    model.save_to_preset(tmp_path)
    loaded = SoraUnderstanding.from_preset(tmp_path)
    assert loaded.thresholds == {"event": [0.2, 0.3, 0.4], "person": [0.6, 0.7]}
    assert loaded.vocabularies == VOCABULARIES
    assert loaded.clip_spec == SPEC
    model.backbone.trainable = False
    assert len(SoraUnderstanding.from_config(model.get_config()).trainable_variables) == 4


@pytest.mark.parametrize(
    ("vocabularies", "message"),
    [
        ({}, "at least one vocabulary, received none"),
        ({"an event": ["walk"]}, "named like a variable.*received 'an event'"),
        ({"event_frames": ["walk"]}, "not end with _frames.*received 'event_frames'"),
        ({"event": []}, r"'event' must hold at least one label, none twice, received \[\]"),
        ({"event": ["sit", "sit"]}, r"none twice, received \['sit', 'sit'\]"),
        ({"event": ["a\nb"]}, r"printable text, received 'a\\nb' in 'event'"),
    ],
)
def test_vocabularies_that_cannot_be(vocabularies, message):
    with pytest.raises(ValueError, match=message):
        SoraUnderstanding(SoraBackbone(SPEC, filters=(4,), units=(5,)), vocabularies)


def test_bad_arguments():
    with pytest.raises(ValueError, match="`pooling` must be one of 'attention', 'top', received 'mean'"):
        understanding(pooling="mean")
    with pytest.raises(ValueError, match=r"hold 3 probabilities from 0 to 1.*'event', received \[0.1, 0.2\]"):
        understanding(thresholds={"event": [0.1, 0.2], "person": [0.5, 0.5]})
    with pytest.raises(ValueError, match=r"`thresholds` has \['evnt'\], the model has the vocabularies \['event', 'p"):
        understanding(thresholds={"event": [0.1, 0.2, 0.3], "person": [0.5, 0.5], "evnt": [0.5]})
    with pytest.raises(ValueError, match=r"hold 2 probabilities.*'person', received \[0.4, 1.5\]"):
        understanding(thresholds={"event": [0.1, 0.2, 0.3], "person": [0.4, 1.5]})

import json
import struct

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier, SoraEnhancer, SoraGenerator, SoraUnderstanding
from sora_keras.serving.signatures import signatures

SPEC = ClipSpec(num_frames=4, height=16, width=32)
FRAMES = np.random.default_rng(0).integers(0, 256, (2, *SPEC.shape), dtype=np.uint8)


def backbone(**arguments):
    keras.utils.set_random_seed(0)
    return SoraBackbone(SPEC, filters=(4, 6), units=(5, 5), **arguments)


def numpy(tensors):
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def png(frames):
    return tf.constant([[cv2.imencode(".png", frame[..., ::-1])[1].tobytes() for frame in clip] for clip in frames])


def watched(step, frames, state):
    """The answers to each frame of a clip, one after the other."""
    answers = []
    for index in range(frames.shape[1]):
        outputs = numpy(step(frame=tf.constant(frames[:, index]), **state))
        state = {name: outputs.pop(name) for name in state}
        answers.append(outputs)
    return answers


def no_state(step):
    _, specs = step._list_all_concrete_functions()[0].structured_input_signature
    return {
        name: np.zeros((2, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
        for name, spec in specs.items()
        if name != "frame"
    }


@pytest.fixture(scope="module")
def classifier():
    model = SoraClassifier(backbone(), ["ruhig", "bewegt", "Läufer"])
    return model, signatures(model)


def test_a_classifier_says_classes(classifier):
    model, served = classifier
    assert sorted(served) == ["clip_spec", "embed", "embed_encoded", "encoded", "serving_default", "step"]
    answers = numpy(served["serving_default"](FRAMES))
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(FRAMES, verbose=0)))
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-6)
    assert [name.decode() for name in answers["class_names"][1]] == model.class_names
    assert [name.decode() for name in answers["label"]] == [model.class_names[row.argmax()] for row in expected]
    embedding = numpy(served["embed"](FRAMES))
    np.testing.assert_allclose(embedding.pop("embedding"), model.backbone(FRAMES)["embedding"], atol=1e-6)
    assert not embedding


def test_encoded_frames_give_what_frames_give(classifier):
    _, served = classifier
    expected, answers = numpy(served["serving_default"](FRAMES)), numpy(served["encoded"](png(FRAMES)))
    assert sorted(answers) == sorted(expected)
    np.testing.assert_allclose(answers["probabilities"], expected["probabilities"], atol=1e-6)
    embedding = numpy(served["embed_encoded"](png(FRAMES)))
    np.testing.assert_allclose(embedding.pop("embedding"), numpy(served["embed"](FRAMES))["embedding"], atol=1e-6)
    assert not embedding


def test_the_clip_spec_is_told_once_for_each_index(classifier):
    _, served = classifier
    texts = numpy(served["clip_spec"](np.int32([7, 0, -1])))["clip_spec"]
    assert [ClipSpec.from_config(json.loads(text)) for text in texts] == [SPEC] * 3
    for index in (np.int32(0), np.int32([[0]])):
        with pytest.raises((TypeError, ValueError)):
            served["clip_spec"](index)


def test_encoded_frames_of_any_size_are_resized(classifier):
    _, served = classifier
    larger = FRAMES.repeat(3, axis=2).repeat(2, axis=3)
    mixed = np.stack([png(larger)[0], png(FRAMES)[1]])
    expected = numpy(served["serving_default"](FRAMES))["probabilities"]
    np.testing.assert_allclose(numpy(served["encoded"](tf.constant(mixed)))["probabilities"], expected, atol=1e-6)


def unpacking_to(height, width):
    """The head of a PNG, which is all that is ever read of one so large; and a whole JPEG of one color."""
    header = struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    jpeg = cv2.imencode(".jpg", np.zeros((height, width), np.uint8))[1].tobytes()
    return b"\x89PNG\r\n\x1a\n" + header, jpeg


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_pictures_that_would_fill_the_memory_are_refused_by_their_header(classifier, kind):
    encoded = png(FRAMES).numpy()
    encoded[0, 3] = unpacking_to(3001, 7003)[kind == "jpeg"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="A frame has more pixels than the 16777216"):
        classifier[1]["encoded"](tf.constant(encoded))


@pytest.mark.parametrize("damage", [b"", b"no picture", "half"])
def test_a_damaged_picture_is_refused(classifier, damage):
    _, served = classifier
    encoded = png(FRAMES).numpy()
    encoded[1, 2] = encoded[1, 2][:200] if damage == "half" else damage
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["encoded"](tf.constant(encoded))


def test_steps_give_what_clips_give(classifier):
    _, served = classifier
    answers = watched(served["step"], FRAMES, no_state(served["step"]))
    for num_frames in (1, 2, 4):
        expected = numpy(served["serving_default"](FRAMES[:, :num_frames]))
        got = answers[num_frames - 1]
        assert sorted(got) == sorted(expected)
        np.testing.assert_allclose(got["probabilities"], expected["probabilities"], atol=1e-5)
        assert list(got["label"]) == list(expected["label"])


def test_understanding_names_its_vocabularies():
    model = SoraUnderstanding(backbone(), {"event": ["go", "Tür"], "person": ["ann"]})
    served = signatures(model)
    answers, expected = numpy(served["serving_default"](FRAMES)), model(FRAMES)
    assert [[name.decode() for name in row] for row in answers.pop("event_names")] == [["go", "Tür"]] * 2
    assert answers.pop("person_names").shape == (2, 1)
    assert sorted(answers) == sorted(expected)
    for name, values in answers.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6)
    last = watched(served["step"], FRAMES, no_state(served["step"]))[-1]
    np.testing.assert_allclose(last["event_frames"], expected["event_frames"][:, -1], atol=1e-5)
    assert "event" not in last  # what holds of the whole clip is not known while it goes on


def test_what_looks_ahead_has_no_step():
    served = signatures(backbone(sequence="attention"))
    assert sorted(served) == ["clip_spec", "embed", "embed_encoded", "encoded", "serving_default"]


@pytest.mark.parametrize(
    "model",
    [
        lambda: SoraEnhancer(mode="restore", clip_spec=SPEC, filters=4, scale=2),
        lambda: SoraEnhancer(backbone()),
        lambda: SoraGenerator(SPEC, (4, 4, 4), num_channels=1, cell_size=2),
    ],
    ids=["restoring", "parameters", "generator"],
)
def test_models_that_make_frames(model):
    model = model()
    served = signatures(model)
    frames = FRAMES[..., : getattr(model, "num_channels", 3)]
    answers, outputs = numpy(served["serving_default"](frames)), model(frames)
    if isinstance(model, SoraGenerator):
        np.testing.assert_allclose(answers["next_frames"], outputs, atol=1e-3)
        expected = answers["next_frames"]
    else:
        expected = np.rint(np.clip(outputs["frames"], 0, 255))
        assert answers["frames"].dtype == np.uint8
        assert np.abs(answers["frames"] - expected).max() <= 1
    if "step" in served:
        last = watched(served["step"], frames, no_state(served["step"]))[-1]["frame"]
        np.testing.assert_allclose(last, expected[:, -1], atol=1.0 if last.dtype == np.uint8 else 1e-2)
    assert ("step" in served) == (getattr(model, "mode", None) != "parameters")
    assert ("embed" in served) == ("embed_encoded" in served) == (getattr(model, "mode", None) == "parameters")
    assert ClipSpec.from_config(json.loads(numpy(served["clip_spec"](np.int32([0])))["clip_spec"][0])) == SPEC


@pytest.mark.parametrize("shape", [(4, 16, 32, 3), (1, 4, 16, 33, 3), (1, 4, 16, 32, 1)])
def test_other_shapes_are_refused(classifier, shape):
    _, served = classifier
    with pytest.raises((TypeError, ValueError)):
        served["serving_default"](np.zeros(shape, np.uint8))


def test_half_precision_stays_inside():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        served = signatures(backbone())
    finally:
        keras.config.set_dtype_policy(before)
    for name, function in served.items():
        outputs = watched(function, FRAMES, no_state(function))[0] if name == "step" else None
        if name in ("serving_default", "embed"):
            outputs = numpy(function(FRAMES))
        if outputs:
            assert {values.dtype for values in outputs.values()} == {np.dtype(np.float32)}

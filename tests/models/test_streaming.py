import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier, SoraUnderstanding, read_clip
from sora_keras.models import efficientnet_lite0_weights
from sora_keras.models.streaming import Stream, initial_state, step_model

SPEC = ClipSpec(num_frames=7, height=48, width=64, frames_per_second=10.0)
CAUSAL = {
    "difference": {},
    "shift": {"motion": "shift"},
    "flow": {"motion": "flow"},
    "frames alone, GRU": {"motion": None, "sequence": "gru"},
    "attention over the past": {"sequence": "lstm_attention", "pooling": "max"},
    "normalized": {"normalization": [[100.0, 110.0, 120.0], [2000.0, 1000.0, 1500.0]], "dropout": 0.3},
}


def noise(num_frames, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num_frames, *SPEC.shape[1:]), dtype=np.uint8)


def build(**arguments):
    keras.utils.set_random_seed(0)
    return SoraBackbone(SPEC, filters=(8, 16), units=(8, 6), **arguments)


def assert_a_stream_gives_what_clips_give(model, frames):
    stream = Stream(model)
    for index in range(len(frames)):
        got = stream.step(frames[index : index + 1])
        of_clip = keras.tree.map_structure(keras.ops.convert_to_numpy, model(frames[None, : index + 1]))
        for name, values in of_clip.items():
            expected = values[:, -1] if values.ndim == 3 else values
            np.testing.assert_allclose(
                got[name], expected, rtol=1e-5, atol=1e-5, err_msg=f"{name} after {index + 1} frames"
            )
    assert got.keys() == of_clip.keys()


@pytest.mark.parametrize("arguments", CAUSAL.values(), ids=CAUSAL)
def test_a_stream_gives_what_clips_give(arguments):
    assert_a_stream_gives_what_clips_give(build(**arguments), noise(7))


@pytest.mark.real_data
@pytest.mark.parametrize("preset", ["small", "base", "streaming", "pretrained"])
def test_presets_on_real_video(real_data, preset):
    if preset == "pretrained":
        try:
            efficientnet_lite0_weights()
        except FileNotFoundError as missing:
            pytest.skip(str(missing))
    frames = read_clip(real_data / "fights/fight/fi001.mp4", SPEC).frames
    assert_a_stream_gives_what_clips_give(SoraBackbone.from_preset(preset, SPEC), frames)


def test_many_streams_do_not_meet_and_can_begin_anew():
    model = build(motion="shift", sequence="lstm_attention")
    clips = np.stack([noise(6, seed) for seed in range(3)])
    together = Stream(model, num_streams=3)
    for index in range(3):
        together.step(clips[:, index])
    together.forget([1])
    for index in range(3, 6):
        got = together.step(clips[:, index])["embedding"]
    for number, first in enumerate((0, 3, 0)):
        expected = model(clips[number : number + 1, first:])["embedding"]
        np.testing.assert_allclose(got[number], expected[0], atol=1e-5)
    together.forget()
    np.testing.assert_allclose(together.step(clips[:, 0])["embedding"], model(clips[:, :1])["embedding"], atol=1e-5)


def test_weights_are_the_models_own():
    model = build()
    step, frames = step_model(model), noise(1)
    before = step({"frame": frames, **initial_state(step)})["embedding"]
    model.set_weights([2 * weights for weights in model.get_weights()])
    after = step({"frame": frames, **initial_state(step)})["embedding"]
    np.testing.assert_allclose(after, model(frames[None])["embedding"], atol=1e-5)
    assert np.abs(after - before).max() > 1e-3
    assert sum(weights.shape.num_elements() for weights in step.weights) == model.count_params()


def test_models_on_a_backbone():
    frames = noise(4)
    classifier = SoraClassifier(build(), ["a", "b", "c"], dropout=0.5)
    stream = Stream(classifier)
    for frame in frames:
        logits = stream.step(frame[None])["logits"]
    np.testing.assert_allclose(logits, classifier(frames[None]), atol=1e-5)

    understanding = SoraUnderstanding(build(), {"event": ["a", "b"], "person": ["c"]}, with_frame_features=True)
    stream, expected = Stream(understanding), understanding(frames[None])
    for index, frame in enumerate(frames):
        got = stream.step(frame[None])
        assert sorted(got) == ["event_frames", "person_frames"]
        for name, values in got.items():
            np.testing.assert_allclose(values, expected[name][:, index], atol=1e-5)


def test_a_layer_is_described_as_before():
    """A step leaves no trace on the model's layers, each of which still has one input and one output."""
    model = build(motion="flow")
    step_model(model)
    assert model.get_layer("flow").input.shape == (None, None, 48, 64, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequence": "attention"}, r"'positions' \(PositionEmbedding\) may look at frames to come"),
        ({"sequence": "bidirectional_lstm"}, r"'bidirectional_0' \(Bidirectional\) may look.*take a model with seq"),
        ({"has_padding": True, "num_features": 5}, "the model reads features, padding_mask, too"),
    ],
)
def test_what_cannot_be_streamed_is_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        step_model(build(**arguments))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"Only models on a `SoraBackbone`.*received a Sequential"):
        step_model(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="`num_streams` must be at least 1, received -3"):
        Stream(build(), num_streams=-3)
    stream = Stream(build(), num_streams=2)
    with pytest.raises(
        ValueError, match=r"uint8 of shape \(2, 48, 64, 3\), received float32 of shape \(2, 48, 60, 3\)"
    ):
        stream.step(np.zeros((2, 48, 60, 3), np.float32))

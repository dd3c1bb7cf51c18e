import keras
import numpy as np
import pytest
from sounding_video import write_sounding_video

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier
from sora_keras.data import video_dataset_from_directory
from sora_keras.models.audio_stream import sound_features

SPEC = ClipSpec(num_frames=4, height=16, width=16)
SAMPLES = 800
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 4, 16, 16, 3), dtype=np.uint8)


def hums(hertz, loudness=0.3, num_frames=4, samples=SAMPLES):
    """A clip's sound for each pitch, in noise of its own."""
    rng = np.random.default_rng(1)
    times = np.arange(num_frames * samples).reshape(num_frames, samples) / 16_000
    sounds = [loudness * np.sin(2 * np.pi * value * times + rng.uniform(0, 6)) for value in hertz]
    return (np.stack(sounds) + rng.normal(0, 0.02, (len(hertz), *times.shape))).astype(np.float32)


def hearing_backbone(**arguments):
    return SoraBackbone(SPEC, **{"filters": (4,), "units": (8,), "sound_samples": SAMPLES, **arguments})


@pytest.fixture(scope="module")
def stream():
    keras.utils.set_random_seed(0)
    sound = keras.Input((None, SAMPLES), name="sound")
    return keras.Model(sound, sound_features(sound))


def test_passes_the_shared_check(check_video_model):
    def output_shapes(batch_size, num_frames):
        return {
            "frame_features": (batch_size, num_frames, 68),
            "sequence_features": (batch_size, num_frames, 8),
            "embedding": (batch_size, 144),
        }

    def build():
        model = hearing_backbone()
        model.compile("adam", {"frame_features": None, "sequence_features": None, "embedding": "mse"})
        return model

    def inputs_of(frames):
        sound = hums([500, 900], num_frames=frames.shape[1])
        sound[1, 1:] = 0
        return {"frames": frames, "sound": sound}

    check_video_model(build, SPEC, output_shapes, {"embedding": np.ones((2, 144), np.float32)}, inputs_of)


def test_sound_alone_needs_no_frames():
    backbone = hearing_backbone(filters=())
    sound = hums([500, 900])
    outputs = backbone.predict(sound, verbose=0)
    assert outputs["frame_features"].shape == (2, 4, 64)
    with_frames = backbone.predict({"frames": FRAMES, "sound": sound}, verbose=0)
    np.testing.assert_array_equal(with_frames["embedding"], outputs["embedding"])


def test_config_round_trip():
    backbone = hearing_backbone()
    copy = SoraBackbone.from_config(backbone.get_config())
    assert copy.sound_samples == SAMPLES
    assert copy.get_config() == backbone.get_config()


def test_features_stand_beside_the_frames(stream):
    backbone = hearing_backbone(motion=None)
    inputs = {"frames": FRAMES, "sound": hums([500, 900])}
    deaf = {**inputs, "sound": np.zeros_like(inputs["sound"])}
    heard, unheard = (backbone.predict(given, verbose=0)["frame_features"] for given in (inputs, deaf))
    np.testing.assert_array_equal(heard[..., :4], unheard[..., :4])
    assert (np.abs(heard[..., 4:] - unheard[..., 4:]).max(axis=-1) > 0.1).all()


def test_each_frame_hears_the_sound_around_it_alone(stream):
    sound = hums([500, 900])
    changed = sound.copy()
    changed[0, 2] *= 0.1
    differs = np.abs(stream.predict(changed, verbose=0) - stream.predict(sound, verbose=0)).max(axis=-1) > 1e-4
    np.testing.assert_array_equal(differs, [[False, False, True, False], [False] * 4])


def test_a_clip_is_not_changed_by_a_louder_one_beside_it(stream):
    quiet, loud = hums([500], loudness=1e-4) * 1e-2, hums([900], loudness=0.9)
    alone = stream.predict(quiet, verbose=0)
    together = stream.predict(np.concatenate([quiet, loud]), verbose=0)[:1]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_half_precision_makes_no_noise():
    """A pure tone in eight bits would hiss in all the bands where it is silent."""
    tone = 0.9 * np.sin(2 * np.pi * 200 * np.arange(SAMPLES, dtype=np.float32) / 16_000)[None, None]
    features = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(0)
        sound = keras.Input((None, SAMPLES), dtype="float32")
        model = keras.Model(sound, keras.layers.Activation("linear", dtype="float32")(sound_features(sound)))
        keras.config.set_dtype_policy("float32")
        features.append(model.predict(tone, verbose=0))
    assert np.abs(features[1] - features[0]).mean() < 0.02 * np.abs(features[0]).mean()


class TestMissingSound:
    def test_silence_is_the_learned_vector(self, stream):
        vector = np.linspace(-1, 1, 64).astype(np.float32)
        (layer,) = [layer for layer in stream.layers if layer.name == "absent_sound"]
        before = layer.get_weights()
        layer.set_weights([vector])
        sound = hums([500, 900])
        sound[0, 1:3] = 0
        features = stream.predict(sound, verbose=0)
        layer.set_weights(before)
        np.testing.assert_array_equal(features[0, 1:3], [vector, vector])
        assert np.abs(features[0, 0] - vector).max() > 0.1

    def test_a_model_trained_with_sound_works_without(self):
        """Sound and picture both tell the class, the sound more plainly: never silenced, this model learns it alone."""
        rng = np.random.default_rng(1)
        labels = np.tile([0, 1], 100)
        sound = hums(np.where(labels, 2000, 500) * rng.uniform(0.9, 1.1, 200))
        frames = rng.normal(128 + 12 * (2 * labels - 1)[:, None, None, None, None], 60, (200, 4, 16, 16, 3))
        frames = np.clip(frames, 0, 255).astype(np.uint8)
        keras.utils.set_random_seed(1)
        model = SoraClassifier(hearing_backbone(motion=None), ["low", "high"], dropout=0.0, learning_rate=5e-3)
        model.fit({"frames": frames[:120], "sound": sound[:120]}, labels[:120], epochs=25, verbose=0)

        def accuracy(frames, sound):
            return (model.predict({"frames": frames, "sound": sound}, verbose=0).argmax(1) == labels[120:]).mean()

        assert accuracy(frames[120:], sound[120:]) > 0.95
        assert accuracy(frames[120:], np.zeros_like(sound[120:])) > 0.9
        assert accuracy(np.full_like(frames[120:], 128), np.zeros_like(sound[120:])) == 0.5


def test_learns_from_files_what_only_the_sound_tells(tmp_path):
    """Low and high hums beside the same picture, in files of their own: heard they are told apart, unheard not."""
    rng = np.random.default_rng(0)
    picture = np.broadcast_to(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), (8, 16, 16, 3))
    for index in range(48):
        low, high = (300, 700) if index % 2 else (1500, 2500)
        times = np.arange(16_000) / 16_000
        hum = 10 ** rng.uniform(-1.5, -0.3) * np.sin(2 * np.pi * rng.uniform(low, high) * times)
        path = tmp_path / ("low" if index % 2 else "high") / f"{index}.{'mp4' if index % 3 else 'mkv'}"
        write_sounding_video(path, picture, hum + rng.normal(0, 0.01, 16_000), 16_000, "aac", frames_per_second=8)
    train, validation = video_dataset_from_directory(
        tmp_path, SPEC, batch_size=8, validation_split=0.5, subset="both", seed=0, cache=True, sound_samples=SAMPLES
    )
    keras.utils.set_random_seed(0)
    model = SoraClassifier(hearing_backbone(), train.class_names, learning_rate=5e-3)
    model.fit(train, epochs=15, shuffle=False, verbose=0)
    _, accuracy = model.evaluate(validation, verbose=0)
    assert accuracy > 0.95
    unheard = validation.map(lambda inputs, labels: ({**inputs, "sound": inputs["sound"] * 0}, labels))
    _, accuracy = model.evaluate(unheard, verbose=0)
    assert accuracy == 0.5


@pytest.mark.parametrize("sound_samples", [-1, 399, 1600.5, True])
def test_too_short_a_sound(sound_samples):
    with pytest.raises(ValueError, match=f"at least 400, received {sound_samples!r}: such as 4000"):
        SoraBackbone(SPEC, sound_samples=sound_samples)

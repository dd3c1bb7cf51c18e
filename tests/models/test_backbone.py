import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier
from sora_keras.layers import TimeDistributed
from sora_keras.models.squeezenet import SqueezeNet

SPEC = ClipSpec(num_frames=4, height=16, width=24)
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 4, 16, 24, 3), dtype=np.uint8)
FEATURES = (np.random.default_rng(1).normal(size=(2, 4, 3)) * [1e-2, 1, 1e3] + [0, 5, -2e3]).astype(np.float32)
BOTH = {"frames": FRAMES, "features": FEATURES}


def small_backbone(**arguments):
    return SoraBackbone(SPEC, **{"filters": (4, 6), "units": (5, 7), **arguments})


def encoder(**arguments):
    return SqueezeNet(32, 32, **arguments)


@pytest.mark.parametrize(
    ("motion", "sequence", "width", "units"),
    [
        (None, "lstm", 6, 7),
        ("difference", "bidirectional_lstm", 6, 14),
        ("shift", "gru", 6, 7),
        ("flow", "attention", 12, 7),
    ],
)
def test_passes_the_shared_check(check_video_model, motion, sequence, width, units):
    def output_shapes(batch_size, num_frames):
        return {
            "frame_features": (batch_size, num_frames, width),
            "sequence_features": (batch_size, num_frames, units),
            "embedding": (batch_size, 2 * width + units),
        }

    def build():
        return small_backbone(motion=motion, sequence=sequence, dropout=0.1, l2=1e-4)

    check_video_model(build, SPEC, output_shapes, targets=None)


def test_a_classifier_of_padded_clips_passes_the_shared_check(check_video_model):
    def build():
        backbone = small_backbone(motion="flow", sequence="lstm_attention", has_padding=True)
        return SoraClassifier(backbone, ["a", "b", "c"])

    def with_mask(frames):
        return {"frames": frames, "padding_mask": np.arange(frames.shape[1]) < [[3], [frames.shape[1]]]}

    check_video_model(build, SPEC, lambda batch_size, _: (batch_size, 3), np.array([0, 2]), with_mask)


@pytest.mark.parametrize("motion", ["difference", "shift"])
def test_blocks_pool_over_space_as_told(motion):
    average, maximum = (small_backbone(motion=motion, pooling=pooling) for pooling in ("avg", "max"))
    maximum.set_weights(average.get_weights())
    encoders = [layer.layer for layer in average.layers if isinstance(layer, TimeDistributed)]
    spread = keras.Model(encoders[-1].inputs, encoders[-1].layers[-2].output)  # before the pooling
    pictures = np.random.default_rng(2).normal(size=(3, *spread.input_shape[1:])).astype(np.float32)
    places = spread.predict(pictures, verbose=0)
    of_maximum = [layer.layer for layer in maximum.layers if isinstance(layer, TimeDistributed)][-1]
    np.testing.assert_allclose(encoders[-1].predict(pictures, verbose=0), places.mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(of_maximum.predict(pictures, verbose=0), places.max((1, 2)), atol=1e-5)
    assert SoraBackbone.from_config(maximum.get_config()).pooling == "max"
    with pytest.raises(ValueError, match="`pooling` must be one of 'avg', 'max', received 'mean'"):
        small_backbone(pooling="mean")


def test_default_is_the_published_network():
    backbone = SoraBackbone(ClipSpec())
    kernels = [weight.shape for weight in backbone.trainable_weights if len(weight.shape) == 4]
    assert kernels == [(3, 3, 6, 64), (3, 3, 64, 128), (3, 3, 128, 256)]
    assert [layer.units for layer in backbone.layers if isinstance(layer, keras.layers.LSTM)] == [128, 128]


def test_outputs_equal_the_network_written_out_by_hand():
    backbone = small_backbone()
    outputs = backbone.predict(FRAMES, verbose=0)
    weights = {weight.path: weight for weight in backbone.weights}
    scaled = FRAMES.astype("float32") / 127.5 - 1
    change = np.concatenate([np.zeros_like(scaled[:, :1]), np.diff(scaled, axis=1)], axis=1)
    x = np.concatenate([scaled, change], axis=-1).reshape(-1, 16, 24, 6)
    for index in (0, 1):
        kernel, bias = (
            next(w for p, w in weights.items() if p.endswith(f"conv_{index}/{n}")) for n in ("kernel", "bias")
        )
        x = keras.ops.relu(keras.ops.conv(x, kernel, padding="same") + bias)
        x = keras.ops.max_pool(x, 2, 2)
    features = keras.ops.convert_to_numpy(keras.ops.mean(x, axis=(1, 2))).reshape(2, 4, 6)
    np.testing.assert_allclose(outputs["frame_features"], features, atol=1e-5)
    sequence = lstm_by_hand(features, [backbone.get_layer(f"lstm_{index}").get_weights() for index in (0, 1)])
    np.testing.assert_allclose(outputs["sequence_features"], sequence, atol=1e-5)
    expected = np.concatenate([sequence[:, -1], features.mean(axis=1), features.std(axis=1)], axis=-1)
    np.testing.assert_allclose(outputs["embedding"], expected, atol=1e-4)


def lstm_by_hand(inputs, layers):
    for kernel, recurrent_kernel, bias in layers:
        units = recurrent_kernel.shape[0]
        hidden = cell = np.zeros((len(inputs), units))
        steps = []
        for step in range(inputs.shape[1]):
            gates = inputs[:, step] @ kernel + hidden @ recurrent_kernel + bias
            into, forget, candidate, out = np.split(gates, 4, axis=1)
            cell = sigmoid(forget) * cell + sigmoid(into) * np.tanh(candidate)
            hidden = sigmoid(out) * np.tanh(cell)
            steps.append(hidden)
        inputs = np.stack(steps, axis=1)
    return inputs


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("motion", "sequence"),
    [(None, "lstm"), ("difference", "gru"), ("shift", "lstm_attention"), ("flow", "lstm")],
)
def test_sequence_features_are_causal(motion, sequence):
    before, after = around_a_change_of_the_last_frame(small_backbone(motion=motion, sequence=sequence))
    for name in ("frame_features", "sequence_features"):
        np.testing.assert_allclose(before[name][:, :3], after[name][:, :3], atol=1e-6)
        assert np.abs(before[name][:, 3] - after[name][:, 3]).max() > 1e-4


@pytest.mark.parametrize("sequence", ["bidirectional_lstm", "attention"])
def test_what_looks_both_ways_sees_later_frames(sequence):
    before, after = around_a_change_of_the_last_frame(small_backbone(sequence=sequence))
    np.testing.assert_allclose(before["frame_features"][:, :3], after["frame_features"][:, :3], atol=1e-6)
    assert np.abs(before["sequence_features"][:, 0] - after["sequence_features"][:, 0]).max() > 1e-5


def around_a_change_of_the_last_frame(backbone):
    changed = FRAMES.copy()
    changed[:, 3] = 255 - changed[:, 3]
    return backbone.predict(FRAMES, verbose=0), backbone.predict(changed, verbose=0)


def test_frame_encoder_reads_the_frames_and_filters_the_motion():
    spec = ClipSpec(num_frames=3, height=32, width=32)
    frozen = encoder()
    frozen.trainable = False
    backbone = SoraBackbone(spec, filters=(4,), units=(5,), frame_encoder=frozen)
    frames = np.random.default_rng(1).integers(0, 256, (2, 3, 32, 32, 3), dtype=np.uint8)
    features = backbone.predict(frames, verbose=0)["frame_features"]
    assert features.shape == (2, 3, 512 + 4)
    expected = frozen.predict(frames.reshape(6, 32, 32, 3).astype("float32"), verbose=0).reshape(2, 3, 512)
    np.testing.assert_allclose(features[..., :512], np.clip(expected, -5, 5), rtol=1e-3, atol=1e-4)
    still = backbone.predict(np.repeat(frames[:, :1], 3, axis=1), verbose=0)["frame_features"][..., 512:]
    np.testing.assert_allclose(still, np.broadcast_to(still[:, :1], still.shape), atol=1e-6)
    assert all("squeezenet" not in weight.path for weight in backbone.trainable_weights)


def frozen_encoder():
    frozen = encoder()
    frozen.trainable = False
    return frozen


def test_motion_encoder_reads_the_change_around_gray():
    spec = ClipSpec(num_frames=3, height=32, width=32)
    frozen = frozen_encoder()
    backbone = SoraBackbone(spec, filters=(), units=(5,), motion_encoder=frozen)
    frames = np.random.default_rng(1).integers(80, 160, (2, 3, 32, 32, 3), dtype=np.uint8)
    change = np.diff(frames.astype("float32"), axis=1, prepend=frames[:, :1].astype("float32"))
    pictures = np.clip(127 + 3 * change, 0, 255)
    assert pictures[:, 0].std() == 0
    assert (pictures[:, 1:].min(), pictures[:, 1:].max()) == (0, 255)
    expected = frozen.predict(pictures.reshape(6, 32, 32, 3), verbose=0).reshape(2, 3, 512)
    features = backbone.predict(frames, verbose=0)["frame_features"]
    np.testing.assert_allclose(features, np.clip(expected, -5, 5), rtol=1e-3, atol=1e-4)
    many = np.random.default_rng(2).integers(80, 160, (4, 3, 32, 32, 3), dtype=np.uint8)
    for _ in range(120):
        backbone(many, training=True)
    normalized = backbone.predict(many, verbose=0)["frame_features"].reshape(-1, 512)
    varied = normalized[:, expected.reshape(-1, 512).std(axis=0) > 1e-2]
    np.testing.assert_allclose(np.median(varied.std(axis=0)), 1, atol=0.1)
    np.testing.assert_allclose(varied.mean(axis=0), 0, atol=0.1)


@pytest.mark.parametrize(
    ("arguments", "width"),
    [
        ({"filters": ()}, 2 * 512),
        ({"filters": (4,), "frame_encoder": None}, 4 + 512),
        ({"filters": (), "motion_encoder": None, "motion": None}, 512),
    ],
    ids=["one encoder for both", "blocks read the frames", "no motion"],
)
def test_motion_encoder_stands_beside_the_appearance_and_survives_saving(tmp_path, arguments, width):
    spec = ClipSpec(num_frames=3, height=32, width=32)
    frozen = frozen_encoder()
    backbone = SoraBackbone(spec, units=(5,), **{"frame_encoder": frozen, "motion_encoder": frozen, **arguments})
    frames = np.random.default_rng(1).integers(0, 256, (1, 3, 32, 32, 3), dtype=np.uint8)
    expected = backbone.predict(frames, verbose=0)
    assert expected["frame_features"].shape == (1, 3, width)
    backbone.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    assert len(loaded.weights) == len(backbone.weights)
    assert (loaded.motion_encoder is loaded.frame_encoder) == (width == 2 * 512)
    np.testing.assert_allclose(loaded.predict(frames, verbose=0)["embedding"], expected["embedding"], atol=1e-6)
    assert not any("squeezenet" in weight.path for weight in loaded.trainable_weights)


@pytest.mark.parametrize("motion", ["shift", "flow"])
def test_motion_stands_beside_a_frame_encoder(motion):
    spec = ClipSpec(num_frames=3, height=32, width=32)
    backbone = SoraBackbone(spec, filters=(4, 6), units=(5,), frame_encoder=encoder(), motion=motion)
    frames = np.repeat(np.random.default_rng(1).integers(0, 256, (1, 1, 32, 32, 3), dtype=np.uint8), 3, axis=1)
    still = keras.ops.convert_to_numpy(backbone(frames)["frame_features"])
    assert still.shape == (1, 3, 512 + 6)
    frames[:, 2] = np.roll(frames[:, 2], 3, axis=2)
    change = np.abs(keras.ops.convert_to_numpy(backbone(frames)["frame_features"]) - still)[0, :, 512:].max(axis=1)
    np.testing.assert_allclose(change[:2], 0, atol=1e-6)
    assert change[2] > 1e-4


def test_frame_encoder_survives_saving(tmp_path):
    spec = ClipSpec(num_frames=3, height=32, width=32)
    backbone = SoraBackbone(spec, filters=(4,), units=(5,), frame_encoder=encoder(), motion=None)
    frames = np.random.default_rng(1).integers(0, 256, (1, 3, 32, 32, 3), dtype=np.uint8)
    backbone.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    expected = backbone.predict(frames, verbose=0)["embedding"]
    np.testing.assert_array_equal(loaded.predict(frames, verbose=0)["embedding"], expected)


def gather_statistics(backbone, features, steps):
    inputs = {"features": features, "frames": np.resize(FRAMES, (len(features), *FRAMES.shape[1:]))}
    for _ in range(steps):
        backbone(inputs, training=True)


def test_features_are_normalized_column_by_column():
    backbone = small_backbone(filters=(), num_features=3)
    many = np.random.default_rng(2).normal(size=(64, 4, 3)) * [1e-2, 1, 1e3] + [0, 5, -2e3]
    gather_statistics(backbone, many, steps=100)
    expected = (FEATURES - many.mean(axis=(0, 1))) / many.std(axis=(0, 1))
    assert np.abs(expected).max() < 5
    np.testing.assert_allclose(backbone.predict(FEATURES, verbose=0)["frame_features"], expected, atol=0.02)


def test_few_steps_already_normalize_columns_of_any_unit():
    backbone = small_backbone(filters=(), num_features=3)
    many = (np.random.default_rng(2).normal(size=(64, 4, 3)) + 1) * [1e-2, 1, 1e3]
    gather_statistics(backbone, many, steps=10)
    spread = backbone.predict(many, verbose=0)["frame_features"].std(axis=(0, 1))
    np.testing.assert_allclose(spread, 1, atol=0.3)


def test_a_column_that_hardly_varied_does_not_drown_the_others():
    backbone = small_backbone(filters=(), num_features=3)
    constant = np.ones((8, 4, 3)) * [0.0, 5.0, -2e3]
    gather_statistics(backbone, constant + np.random.default_rng(3).normal(size=(8, 4, 3)) * [0, 1, 1e3], steps=100)
    features = backbone.predict(constant + [0.5, 0, 0], verbose=0)["frame_features"]
    np.testing.assert_allclose(features, np.broadcast_to([5, 0, 0], features.shape), atol=0.5)


def test_frames_and_features_stand_side_by_side():
    fused, frames_alone, alone = (
        small_backbone(**arguments) for arguments in ({"num_features": 3}, {}, {"num_features": 3, "filters": ()})
    )
    for backbone in (fused, alone):
        gather_statistics(backbone, FEATURES, steps=3)
    frames_alone.get_layer("each_frame_encoder").set_weights(fused.get_layer("each_frame_encoder").get_weights())
    outputs = fused.predict(BOTH, verbose=0)
    assert {name: value.shape for name, value in outputs.items()} == {
        "frame_features": (2, 4, 6 + 3),
        "sequence_features": (2, 4, 7),
        "embedding": (2, 7 + 2 * (6 + 3)),
    }
    expected = [model.predict(inputs, verbose=0) for model, inputs in ((frames_alone, FRAMES), (alone, FEATURES))]
    expected = np.concatenate([part["frame_features"] for part in expected], axis=-1)
    np.testing.assert_allclose(outputs["frame_features"], expected, atol=1e-5)


def test_features_alone_need_no_frames():
    backbone = small_backbone(filters=(), num_features=3)
    outputs = backbone.predict(FEATURES, verbose=0)
    assert {name: value.shape for name, value in outputs.items()} == {
        "frame_features": (2, 4, 3),
        "sequence_features": (2, 4, 7),
        "embedding": (2, 7 + 2 * 3),
    }
    assert not any(len(weight.shape) == 4 for weight in backbone.weights)
    for inputs in (BOTH, {"features": FEATURES}):
        np.testing.assert_array_equal(backbone.predict(inputs, verbose=0)["embedding"], outputs["embedding"])


def test_frame_encoder_and_features_stand_side_by_side():
    spec = ClipSpec(num_frames=4, height=32, width=32)
    frames = np.random.default_rng(1).integers(0, 256, (2, 4, 32, 32, 3), dtype=np.uint8)
    backbone = SoraBackbone(spec, filters=(4,), units=(5,), frame_encoder=encoder(), num_features=3)
    outputs = backbone.predict({"frames": frames, "features": FEATURES}, verbose=0)
    assert outputs["frame_features"].shape == (2, 4, 512 + 4 + 3)


@pytest.mark.parametrize("filters", [(4, 6), ()])
def test_a_classifier_with_features_fits_saves_and_exports(tmp_path, filters):
    model = SoraClassifier(small_backbone(filters=filters, num_features=3), ["a", "b", "c"])
    for num_frames in (4, 7):
        inputs = {
            "frames": np.resize(FRAMES, (2, num_frames, 16, 24, 3)),
            "features": np.resize(FEATURES, (2, num_frames, 3)),
        }
        if not filters:
            del inputs["frames"]
        assert model.predict(inputs, verbose=0).shape == (2, 3)
    before = model.get_weights()
    model.fit(inputs, np.array([0, 2]), verbose=0)
    assert any(np.any(old != new) for old, new in zip(before, model.get_weights(), strict=True))
    expected = model.predict(inputs, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.backbone.num_features == 3
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), expected)
    model.export(tmp_path / "saved_model", verbose=False)
    served = keras.layers.TFSMLayer(tmp_path / "saved_model", call_endpoint="serve")
    outputs = served(inputs if filters else [inputs["features"]])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(outputs), expected, atol=1e-5)


def test_sequence_features_of_features_are_causal():
    backbone = small_backbone(filters=(), num_features=3)
    changed = FEATURES.copy()
    changed[:, 3] += 1
    before, after = backbone.predict(FEATURES, verbose=0), backbone.predict(changed, verbose=0)
    np.testing.assert_allclose(before["sequence_features"][:, :3], after["sequence_features"][:, :3], atol=1e-6)
    assert np.abs(before["sequence_features"][:, 3] - after["sequence_features"][:, 3]).max() > 1e-4


@pytest.mark.parametrize("arguments", [{"num_features": 9}, {"num_features": 9, "filters": ()}])
def test_config_round_trip_with_features(arguments):
    backbone = small_backbone(**arguments)
    rebuilt = SoraBackbone.from_config(backbone.get_config())
    assert rebuilt.get_config() == backbone.get_config()
    assert rebuilt.num_features == 9


def test_configs_written_before_there_were_features_still_load():
    config = small_backbone().get_config()
    del config["num_features"]
    assert SoraBackbone.from_config(config).num_features == 0


def test_frames_are_normalized_by_the_statistics_given(tmp_path):
    mean, variance = [101.0, 57.0, 23.0], [900.0, 400.0, 100.0]
    backbone = small_backbone(normalization=(mean, variance), motion=None)
    scaled = keras.Model(backbone.input, backbone.get_layer("scale").output)
    expected = (FRAMES - np.array(mean)) / np.sqrt(variance)
    np.testing.assert_allclose(scaled.predict(FRAMES, verbose=0), expected, rtol=1e-5)
    backbone.save(tmp_path / "backbone.keras")
    loaded = keras.models.load_model(tmp_path / "backbone.keras")
    assert loaded.normalization == [mean, variance]
    outputs = [model.predict(FRAMES, verbose=0)["embedding"] for model in (backbone, loaded)]
    np.testing.assert_array_equal(*outputs)


def test_config_round_trip():
    backbone = small_backbone(motion="shift", sequence="gru", dropout=0.25, l2=1e-3, has_padding=True)
    rebuilt = SoraBackbone.from_config(backbone.get_config())
    assert rebuilt.get_config() == backbone.get_config()
    assert rebuilt.clip_spec == SPEC


def test_presets_build_and_folders_load(tmp_path):
    backbone = SoraBackbone.from_preset("small", SPEC)
    assert backbone.filters == (32, 64, 128)
    assert backbone.clip_spec == SPEC
    assert SoraBackbone.from_preset("base").clip_spec == ClipSpec()
    backbone.save_to_preset(tmp_path / "mine")
    loaded = SoraBackbone.from_preset(tmp_path / "mine")
    expected = backbone.predict(FRAMES, verbose=0)["embedding"]
    np.testing.assert_array_equal(loaded.predict(FRAMES, verbose=0)["embedding"], expected)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["model.keras"]


def test_penalty_counts_convolutions_and_lstms():
    assert len(small_backbone(l2=0.1).losses) == 4
    assert small_backbone().losses == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"motion": "flows"}, r"`motion` must be one of None, 'difference', 'shift', 'flow', received 'flows'"),
        ({"sequence": "rnn"}, r"`sequence` must be one of 'lstm', .*'lstm_attention', received 'rnn'"),
        ({"filters": (2, 2, 2, 2), "motion": "flow"}, r"motion 'flow', need frames of at least 32 x 32, received 16 x"),
        ({"filters": ()}, r"`filters` must hold at least one positive number, received \(\)"),
        (
            {"filters": (4, 0), "num_features": 3},
            r"`filters` must hold at least one positive number, received \(4, 0\)",
        ),
        ({"num_features": -2}, r"`num_features` must be a whole number of at least 0.*, received -2"),
        ({"num_features": 1.5}, r"`num_features` must be a whole number of at least 0.*, received 1.5"),
        ({"units": (), "num_features": 3}, r"`units` must hold at least one positive number, received \(\)"),
        ({"units": (5, 0)}, r"`units` must hold at least one positive number, received \(5, 0\)"),
        ({"normalization": ([1, 2, 3], [4, 5])}, r"of three channels, received \[\[1.0, 2.0, 3.0\], \[4.0, 5.0\]\]"),
        ({"normalization": ([1, 2, 3], [4, -5, 6])}, r"the positive variances .*received .*\[4.0, -5.0, 6.0\]"),
        ({"filters": (2, 2, 2, 2, 2)}, r"frames of at least 32 x 32, received 16 x 24"),
        (
            {"frame_encoder": keras.Sequential([keras.Input((16, 24, 3)), keras.layers.Conv2D(2, 3)])},
            r"`frame_encoder` .*\(None, 14, 22, 2\)",
        ),
        (
            {"motion_encoder": keras.Sequential([keras.Input((16, 24, 3)), keras.layers.Conv2D(5, 3)])},
            r"`motion_encoder` .*\(None, 14, 22, 5\)",
        ),
        (
            {"motion_encoder": keras.Sequential([keras.Input((16, 24, 3)), keras.layers.Flatten()]), "motion": "flow"},
            r"goes with `motion=\"difference\"`, received 'flow'",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        small_backbone(**arguments)


def test_unknown_presets_are_named():
    with pytest.raises(
        ValueError, match=r"no preset 'huge': expected one of \['base', 'pretrained', 'small', 'streaming'\]"
    ):
        SoraBackbone.from_preset("huge")

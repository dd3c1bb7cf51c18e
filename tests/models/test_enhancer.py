import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, SoraBackbone
from sora_keras.layers.color_adjustment import ColorAdjustment
from sora_keras.layers.random_color_distortion import RandomColorDistortion
from sora_keras.models.enhancer import SoraEnhancer

SPEC = ClipSpec(num_frames=5, height=24, width=16, frames_per_second=4.0)


def enhancer(**arguments):
    return SoraEnhancer(SoraBackbone(SPEC, filters=(4, 6), units=(5,), motion=None), **arguments)


def scenes(num_clips, seed=0):
    """Good clips: smooth random pictures of many colors, each seen from five places."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (num_clips, 1, 4, 3, 3))
    pictures = np.asarray(keras.ops.image.resize(coarse[:, 0].astype("float32"), (32, 24)))
    return np.stack([pictures[:, t : t + 24, t : t + 16] for t in range(5)], axis=1).round().astype(np.uint8)


def shapes(batch_size, num_frames):
    return {"frames": (batch_size, num_frames, 24, 16, 3), "parameters": (batch_size, num_frames, 3)}


@pytest.mark.parametrize("smoothing", [None, 3])
def test_passes_the_shared_check(check_video_model, smoothing):
    targets = {"frames": np.full((2, 8, 24, 16, 3), 90, np.uint8)}
    check_video_model(lambda: enhancer(smoothing=smoothing), SPEC, shapes, targets=targets)


def test_frames_are_adjusted_by_the_parameters():
    outputs = enhancer(smoothing=2).predict(scenes(3), verbose=0)
    adjusted = ColorAdjustment()(scenes(3), outputs["parameters"])
    np.testing.assert_allclose(outputs["frames"], adjusted, atol=1e-3)
    assert outputs["frames"].dtype == outputs["parameters"].dtype == np.float32


@pytest.mark.parametrize("smoothing", [None, 1, 2, 3, 40])
def test_parameters_are_a_moving_average(smoothing):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(3)
    gains = rng.uniform(0.5, 1, (2, 5, 1, 1, 1))  # each frame of another brightness
    frames = (scenes(2) * gains).astype(np.uint8)
    model = enhancer(smoothing=1)
    model.get_layer("wanted_statistics").set_weights([rng.normal(0, 0.05, (128, 3)), np.array([0.1, -0.2, 0.3])])
    each = model.predict(frames, verbose=0)["parameters"]
    smooth = enhancer(smoothing=smoothing)
    smooth.set_weights(model.get_weights())
    found = smooth.predict(frames, verbose=0)["parameters"]
    assert each[..., 0].std(axis=1).min() > 1
    for t in range(5):
        # Keras puts the odd frame of an even window behind.
        before, behind = (40, 40) if smoothing is None else ((smoothing - 1) // 2, smoothing // 2)
        expected = each[:, max(0, t - before) : t + behind + 1].mean(axis=1)
        np.testing.assert_allclose(found[:, t], expected, rtol=1e-4, atol=1e-4)


def test_parameters_stay_within_their_limits():
    frames = np.random.default_rng(0).integers(0, 9, (2, *SPEC.shape), dtype=np.uint8)  # nearly black
    parameters = enhancer(limits=(30.0, 0.5, 0.25)).predict(frames, verbose=0)["parameters"]
    np.testing.assert_allclose(np.abs(parameters), np.broadcast_to([30.0, 0.5, 0.25], parameters.shape), rtol=1e-5)


def test_says_the_same_of_a_scene_however_it_was_spoiled():
    model = enhancer(limits=(90.0, 2.0, 2.0))
    head = model.get_layer("wanted_statistics")
    rng = np.random.default_rng(4)
    head.set_weights([rng.normal(0, 0.02, (128, 3)), np.array([0.1, -0.1, 0.2])])
    dull = np.asarray(ColorAdjustment()(scenes(2), np.array([-20.0, -0.5, -0.4]).reshape(1, 1, 3)))
    expected, found = (model.predict(of.round().astype(np.uint8), verbose=0)["frames"] for of in (scenes(2), dull))
    assert np.abs(dull - scenes(2)).mean() > 15
    assert np.abs(found - expected).mean() < 8


@pytest.mark.parametrize("parameters_weight", [0.0, 50.0])
def test_learns_to_undo_known_distortions(parameters_weight):
    keras.utils.set_random_seed(1)
    good = np.repeat(scenes(6), 8, axis=0)
    distort = RandomColorDistortion(seed=1)
    bad, parameters = (np.asarray(part) for part in distort(good))
    backbone = SoraBackbone(SPEC, filters=(8, 16), units=(16,), motion=None)
    model = SoraEnhancer(backbone, learning_rate=0.01, parameters_weight=parameters_weight)
    targets = {"frames": good, "parameters": parameters} if parameters_weight else {"frames": good}
    model.fit(bad, targets, batch_size=16, epochs=50, verbose=0)
    bad, parameters = (np.asarray(part) for part in distort(good))  # drawn anew
    outputs = model.predict(bad, verbose=0)
    errors = [np.square(of.astype(float) - good).mean() for of in (bad, outputs["frames"])]
    assert 10 * np.log10(errors[0] / errors[1]) > 8
    shares = np.abs(outputs["parameters"] - parameters).mean(axis=(0, 1)) / (2 * np.array(model.limits))
    assert shares.max() < 0.16  # 0.25 with parameters of zero


def test_config_is_kept(tmp_path):
    arguments = {"smoothing": 4, "limits": (40.0, 0.5, 0.6), "parameters_weight": 7.0, "learning_rate": 0.003}
    model = enhancer(**arguments)
    assert (model.mode, model.scale, model.clip_spec) == ("parameters", 1, SPEC)
    rebuilt = SoraEnhancer.from_config(model.get_config())
    assert rebuilt.get_config() == model.get_config()
    model.save_to_preset(tmp_path)
    loaded = SoraEnhancer.from_preset(tmp_path)
    assert {name: getattr(loaded, name) for name in arguments} == arguments
    np.testing.assert_array_equal(
        loaded.predict(scenes(1), verbose=0)["parameters"], model.predict(scenes(1), verbose=0)["parameters"]
    )
    model.trainable = False
    assert not SoraEnhancer.from_config(model.get_config()).trainable_variables


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "sharpen"}, "`mode` must be one of 'parameters'.*received 'sharpen'"),
        ({"backbone": None}, "needs a `backbone`.*received None"),
        ({"smoothing": 0}, "at least 1, or None, received 0"),
        ({"smoothing": 2.5}, "at least 1, or None, received 2.5"),
        ({"limits": (31.0, 0.5)}, r"three positive numbers, received \[31.0, 0.5\]"),
        ({"limits": (31.0, -0.5, 0.25)}, r"three positive numbers, received \[31.0, -0.5, 0.25\]"),
        ({"parameters_weight": -3.0}, "at least 0, received -3.0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    backbone = SoraBackbone(SPEC, filters=(2,), units=(3,))
    with pytest.raises(ValueError, match=message):
        SoraEnhancer(**{"backbone": backbone, **arguments})


def test_a_backbone_with_other_inputs_is_refused():
    backbone = SoraBackbone(SPEC, filters=(2,), units=(3,), has_padding=True, num_features=4)
    with pytest.raises(ValueError, match="frames alone, received one that reads features, frames, padding_mask"):
        SoraEnhancer(backbone)

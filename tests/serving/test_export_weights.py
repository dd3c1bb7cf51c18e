import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier, SoraEnhancer, export
from sora_keras.serving.signatures import signatures
from sora_keras.serving.small_weights import with_weights_in

SPEC = ClipSpec(num_frames=4, height=16, width=24)
FRAMES = np.random.default_rng(0).integers(0, 256, (5, 4, 16, 24, 3), dtype=np.uint8)
BITS = {"bfloat16": 8, "int8": 7}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return SoraClassifier(SoraBackbone(SPEC, filters=(32, 48), units=(64,)), ["still", "moving", "falling"])


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    base = tmp_path_factory.mktemp("weights")
    return {weights: export(model, base / weights, weights=weights) for weights in BITS}


def in_bfloat16(value):
    """Round to nearest, ties to even, by hand: what is left are the upper 16 of the 32 bits."""
    bits = np.asarray(value, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(np.float32)


def in_int8(value):
    rounded = np.empty_like(value)
    for channel in range(value.shape[-1]):
        step = np.abs(value[..., channel]).max() / np.float32(127)
        rounded[..., channel] = np.round(value[..., channel] / step).astype(np.int8) * step
    return rounded


def rounded_like(model, weights):
    """A model of its own whose kernels NumPy has rounded."""
    other = type(model).from_config(model.get_config())
    rounded = {"bfloat16": in_bfloat16, "int8": in_int8}[weights]
    other.set_weights([rounded(value) if value.ndim > 1 else value for value in model.get_weights()])
    return other


def run_in_session(version, frames):
    """As TensorFlow Serving does: a version 1 Session, no eager execution."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], os.fspath(version)).signature_def[
            "serving_default"
        ]
        return session.run(signature.outputs["probabilities"].name, {signature.inputs["frames"].name: frames})


def probabilities(model):
    return keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(FRAMES, verbose=0)))


@pytest.mark.filterwarnings("ignore:.*saved_model.load.*:DeprecationWarning")
@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_a_session_answers_as_the_model_with_rounded_weights(model, exported, weights):
    before = [value.copy() for value in model.get_weights()]
    answers = run_in_session(exported[weights], FRAMES)
    np.testing.assert_allclose(answers, probabilities(rounded_like(model, weights)), atol=1e-5)
    change = np.abs(answers - probabilities(model)).max()
    # Far above what float32 itself is off by, and within what rounding each weight by half a step can do.
    assert 1e-6 < change < 2.0 ** -BITS[weights]
    assert all((value == now).all() for value, now in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(("weights", "times"), [("bfloat16", 1.8), ("int8", 3.0)])
def test_the_file_of_weights_is_smaller(model, exported, weights, times):
    size = (exported[weights] / "variables" / "variables.data-00000-of-00001").stat().st_size
    assert sum(value.nbytes for value in model.get_weights()) / size > times


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_kernels_are_stored_once_and_in_that_type(model, exported, weights):
    file = os.fspath(exported[weights] / "variables" / "variables")
    arrays = [tf.train.load_variable(file, name) for name, shape in tf.train.list_variables(file) if len(shape) > 1]
    kernels = [array for array in arrays if array.dtype.name == weights]
    assert sorted(map(np.shape, kernels)) == sorted(value.shape for value in model.get_weights() if value.ndim > 1)
    steps = [array for array in arrays if array.dtype.name != weights]
    assert all(set(step.shape[:-1]) == {1} for step in steps)
    assert len(steps) == (len(kernels) if weights == "int8" else 0)


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_every_signature_reads_what_is_stored(model, weights):
    functions = with_weights_in(weights, model, signatures(model))
    assert set(functions) == {"clip_spec", "embed", "embed_encoded", "encoded", "serving_default", "step"}
    kernels = {id(variable.value) for variable in model.weights if len(variable.shape) > 1}
    for function in functions.values():
        [concrete] = function._list_all_concrete_functions()
        assert not kernels & {id(variable) for variable in concrete.graph.variables}


def test_depthwise_kernels_have_a_step_for_each_channel():
    encoder = keras.Sequential(
        [keras.Input((16, 24, 3)), keras.layers.DepthwiseConv2D(3), keras.layers.GlobalAveragePooling2D()]
    )
    scales = np.array([1, 1e-3, 1e-6], np.float32)  # one step for all would make zeros of the second and the third
    kernel = encoder.weights[0]
    kernel.assign(np.ones((3, 3, 3, 1), np.float32) * scales[:, None])
    backbone = SoraBackbone(SPEC, filters=(), units=(4,), motion=None, frame_encoder=encoder)
    function = with_weights_in("int8", backbone, signatures(backbone))["serving_default"]
    np.testing.assert_allclose(
        function(frames=FRAMES)["frame_features"], backbone.predict(FRAMES, verbose=0)["frame_features"], rtol=1e-4
    )


def test_a_channel_of_zeros_stays_zero(model):
    silent = SoraClassifier.from_config(model.get_config())
    silent.set_weights([np.zeros_like(value) for value in model.get_weights()])
    answers = with_weights_in("int8", silent, signatures(silent))["serving_default"](frames=FRAMES)
    np.testing.assert_allclose(answers["probabilities"], np.full((5, 3), 1 / 3), atol=1e-6)


@pytest.mark.slow
def test_a_restorer_reads_what_is_stored_too():
    keras.utils.set_random_seed(0)
    enhancer = SoraEnhancer(mode="restore", clip_spec=ClipSpec(num_frames=3, height=16, width=16), filters=8)
    rng = np.random.default_rng(0)  # a new one holds zeros, and gives back what it gets
    enhancer.set_weights([rng.normal(0, 0.05, value.shape).astype(np.float32) for value in enhancer.get_weights()])
    expected = rounded_like(enhancer, "int8").predict(FRAMES[:, :3, :, :16], verbose=0)["frames"]
    functions = with_weights_in("int8", enhancer, signatures(enhancer))
    answers = functions["serving_default"](frames=FRAMES[:, :3, :, :16])["frames"].numpy()
    assert np.abs(answers.astype(np.float32) - expected.clip(0, 255)).max() < 0.501  # what is shown is rounded
    assert "step" in functions


@pytest.mark.parametrize("weights", ["float16", "int4", None])
def test_other_types_are_refused(model, tmp_path, weights):
    with pytest.raises(ValueError, match=rf"one of 'float32', 'bfloat16', 'int8', received {weights!r}"):
        export(model, tmp_path / "x", weights=weights)
    assert not (tmp_path / "x").exists()
    with pytest.raises(ValueError, match=rf"received {weights!r}"):
        with_weights_in(weights, model, {})

import base64
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier, export, load_bundle
from sora_keras.serving.bundle import versions_in

SPEC = ClipSpec(num_frames=4, height=16, width=24)
NAMES = ["ruhig", "bewegt", "Läufer"]
FRAMES = np.random.default_rng(0).integers(0, 256, (5, 4, 16, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return SoraClassifier(SoraBackbone(SPEC, filters=(4, 6), units=(5, 5)), NAMES)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    return export(model, tmp_path_factory.mktemp("exports") / "mit Leerzeichen ü")


@pytest.fixture(scope="module")
def expected(model):
    return keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(FRAMES, verbose=0)))


def run_in_session(version, frames, outputs=("probabilities", "class_names", "label")):
    """As TensorFlow Serving does: a version 1 Session, no eager execution."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], os.fspath(version))
        signature = meta_graph.signature_def["serving_default"]
        fetches = {name: signature.outputs[name].name for name in outputs}
        return session.run(fetches, {signature.inputs["frames"].name: frames})


@pytest.mark.filterwarnings("ignore:.*saved_model.load.*:DeprecationWarning")
@pytest.mark.parametrize("batch_size", [1, 5])
def test_session_gives_what_predict_gives(exported, expected, batch_size):
    outputs = run_in_session(exported, FRAMES[:batch_size])
    np.testing.assert_allclose(outputs["probabilities"], expected[:batch_size], atol=1e-5)
    names = [[name.decode() for name in row] for row in outputs["class_names"]]
    assert names == [NAMES] * batch_size
    assert [name.decode() for name in outputs["label"]] == [NAMES[row.argmax()] for row in expected[:batch_size]]


def test_other_lengths_are_served_too(exported, model):
    frames = np.concatenate([FRAMES[:1], FRAMES[1:2]], axis=1)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(frames, verbose=0)))
    np.testing.assert_allclose(run_in_session(exported, frames)["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 24), (4, 16, 24, 3), (1, 4, 16, 25, 3), (1, 4, 16, 24, 1)])
def test_wrong_shapes_are_refused_not_crashed_on(exported, shape):
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        run_in_session(exported, np.zeros(shape, np.uint8))


def test_signature_is_named_and_typed(exported):
    signature = tf.saved_model.load(os.fspath(exported)).signatures["serving_default"]
    [frames] = signature.structured_input_signature[1].values()
    assert (frames.name, frames.dtype, frames.shape.as_list()) == ("frames", tf.uint8, [None, None, 16, 24, 3])
    outputs = {name: (spec.dtype, spec.shape.as_list()) for name, spec in signature.structured_outputs.items()}
    assert outputs == {
        "probabilities": (tf.float32, [None, 3]),
        "class_names": (tf.string, [None, 3]),
        "label": (tf.string, [None]),
    }


@pytest.mark.slow
def test_saved_model_cli_runs_it(exported, expected, tmp_path):
    np.save(tmp_path / "clips.npy", FRAMES)
    command = [
        Path(sys.executable).parent / "saved_model_cli", "run", "--dir", exported, "--tag_set", "serve",
        "--signature_def", "serving_default", "--inputs", f"frames={tmp_path / 'clips.npy'}",
        "--outdir", tmp_path, "--overwrite",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy"), expected, atol=1e-5)


def test_description_stands_beside_the_model(exported):
    description = json.loads((exported / "assets.extra" / "clip_spec.json").read_text(encoding="utf-8"))
    assert description == {"clip_spec": SPEC.get_config(), "class_names": NAMES}


def test_bundle_predicts(exported, expected):
    for path in (exported, exported.parent):
        bundle = load_bundle(path)
        assert (bundle.path, bundle.clip_spec, bundle.class_names) == (exported, SPEC, NAMES)
        np.testing.assert_allclose(bundle.predict(FRAMES), expected, atol=1e-5)


@pytest.mark.parametrize("damage", ["description", "empty description", "graph", "variables"])
def test_a_damaged_bundle_is_named(exported, tmp_path, damage):
    version = tmp_path / "1"
    shutil.copytree(exported, version)
    if damage.endswith("description"):
        text = "{}" if damage.startswith("empty") else '{"clip_spec": {"num_fra'
        (version / "assets.extra" / "clip_spec.json").write_text(text)
    else:
        file = version / ("saved_model.pb" if damage == "graph" else "variables/variables.data-00000-of-00001")
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"(?s)1 is damaged \(\w+: .*export the model again"):
        load_bundle(tmp_path)


def test_versions_count_up_and_none_is_overwritten(model, tmp_path):
    shutil.copytree(export(model, tmp_path / "once"), tmp_path / "00004")
    shutil.rmtree(tmp_path / "once")
    assert load_bundle(tmp_path).path.name == "00004"
    (tmp_path / "notes").mkdir()
    assert export(model, tmp_path).name == "5"
    assert export(model, tmp_path, version=9).name == "9"
    assert versions_in(tmp_path) == [4, 5, 9]
    with pytest.raises(FileExistsError, match=r"9 is there already"):
        export(model, tmp_path, version=9)
    files = {"batching.config", "compose.yaml", "kubernetes.yaml", "models.config", "monitoring.config"}
    assert sorted(set(os.listdir(tmp_path)) - files) == ["00004", "5", "9", "notes"]


@pytest.mark.parametrize("version", [0, -7, True, 1.5, "2"])
def test_versions_are_positive_whole_numbers(model, tmp_path, version):
    with pytest.raises(ValueError, match=rf"at least 1, received {version!r}"):
        export(model, tmp_path, version)


def test_other_models_are_refused(tmp_path):
    symbolic = keras.Input((3,))
    with pytest.raises(TypeError, match=r"received a Functional; for any other model"):
        export(keras.Model(symbolic, keras.layers.Dense(2)(symbolic)), tmp_path / "x")
    assert not (tmp_path / "x").exists()


@keras.saving.register_keras_serializable(package="tests")
class PythonInside(keras.layers.Layer):
    def call(self, inputs):
        return tf.ensure_shape(tf.numpy_function(np.sqrt, [inputs], tf.float32), inputs.shape)

    def compute_output_shape(self, input_shape):
        return input_shape


def test_python_functions_are_refused_before_anything_is_written(tmp_path):
    encoder = keras.Sequential([keras.Input(SPEC.shape[1:]), keras.layers.GlobalAveragePooling2D(), PythonInside()])
    model = SoraClassifier(SoraBackbone(SPEC, filters=(), units=(5,), motion=None, frame_encoder=encoder), NAMES)
    with pytest.raises(ValueError, match=r"cannot run: \['PyFunc'\]"):
        export(model, tmp_path)
    assert os.listdir(tmp_path) == []


def test_beside_a_gpu_no_kernels_of_its_own_are_exported(model, tmp_path, monkeypatch, expected):
    monkeypatch.setattr(sys.modules["keras.src.backend.tensorflow.rnn"], "_is_gpu_available", lambda: True)
    version = export(model, tmp_path)
    np.testing.assert_allclose(run_in_session(version, FRAMES)["probabilities"], expected, atol=1e-5)
    recurrent = [layer for layer in model.layers if isinstance(layer, keras.layers.LSTM)]
    assert [layer.use_cudnn for layer in recurrent] == ["auto", "auto"]


FULL_DISK = """
import resource, sys
from sora_keras import export, SoraClassifier
model = SoraClassifier.from_preset(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    export(model, sys.argv[2])
except OSError as error:
    print("refused:", error)
"""


def test_a_full_disk_leaves_nothing_behind(model, tmp_path):
    model.save_to_preset(tmp_path / "model")
    command = [sys.executable, "-c", FULL_DISK, tmp_path / "model", tmp_path / "exports"]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    assert "refused:" in result.stdout, result.stderr
    assert "nothing is left of it" in result.stdout
    assert os.listdir(tmp_path / "exports") == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20_000


def test_a_folder_that_cannot_be_written_is_named(model, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        export(model, tmp_path / "file" / "name")


def test_folders_without_a_model_are_named(tmp_path):
    with pytest.raises(ValueError, match=rf"{tmp_path.name} holds no exported model"):
        load_bundle(tmp_path)
    (tmp_path / "3").mkdir()
    with pytest.raises(ValueError, match="expected a folder with numbered versions"):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"num_features": 17}, "features"),
        ({"num_features": 17, "filters": ()}, "features"),
        ({"sound_samples": 640, "has_padding": True}, "padding_mask, sound"),
    ],
)
def test_models_of_further_inputs_are_refused(tmp_path, arguments, names):
    model = SoraClassifier(SoraBackbone(SPEC, **{"filters": (4,), "units": (5,), **arguments}), NAMES)
    with pytest.raises(ValueError, match=f"A server gets frames only, and the model reads {names}, too"):
        export(model, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_what_stands_beside_the_model(exported, model):
    extra = exported / "assets.extra"
    assert json.loads((extra / "labels.json").read_text(encoding="utf-8")) == {"classes": NAMES}
    assert json.loads((extra / "export_report.json").read_text())["encoded"]["batch_5"] < 1e-5
    request = json.loads((extra / "request.json").read_text())
    assert request["signature_name"] == "encoded"
    [frames] = request["instances"]
    sizes = [tf.io.decode_image(base64.b64decode(frame["b64"])).shape.as_list() for frame in frames]
    assert sizes == [[16, 24, 3]] * 4
    assert not (extra / "model_card.md").exists()
    config = (exported.parent / "models.config").read_text(encoding="utf-8")
    assert f"value: {exported.name}" in config


def test_the_model_card_goes_along(model, tmp_path, capsys):
    (tmp_path / "card.md").write_text("What it is for")
    first = export(model, tmp_path / "a", model_card=tmp_path / "card.md")
    assert (first / "assets.extra" / "model_card.md").read_text() == "What it is for"
    assert "largest difference from the model" in capsys.readouterr().err
    (tmp_path / "a" / "model_card.md").write_text("What it is for now")
    second = export(model, tmp_path / "a")
    assert (second / "assets.extra" / "model_card.md").read_text() == "What it is for now"
    with pytest.raises(FileNotFoundError, match=r"There is no model card '.*missing\.md'"):
        export(model, tmp_path / "b", model_card=tmp_path / "missing.md")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("clips", [FRAMES[:, :, :8], FRAMES[0], FRAMES.astype("float32"), FRAMES[..., :1], FRAMES[:0]])
def test_clips_that_the_model_does_not_read_are_refused(model, tmp_path, clips):
    received = rf"must be uint8 \(N, T, 16, 24, 3\), received {clips.dtype} {re.escape(str(clips.shape))}"
    with pytest.raises(ValueError, match=received):
        export(model, tmp_path / "a", clips=clips)
    assert not (tmp_path / "a").exists()

"""The same weights give the same outputs on TensorFlow, JAX and PyTorch, and the same training on the first two.

A backend runs in a process of its own: with this Python where it has JAX or PyTorch, else with the one that
SORA_KERAS_JAX_PYTHON or SORA_KERAS_TORCH_PYTHON names.
"""

import importlib.util
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import sora_keras
from sora_keras import ClipSpec, SoraBackbone, SoraClassifier, SoraEnhancer, SoraGenerator

SPEC = ClipSpec(num_frames=6, height=32, width=32)


def classifier(**arguments):
    return SoraClassifier(SoraBackbone(SPEC, filters=(8, 16), units=(8, 8), **arguments), ["a", "b"], dropout=0)


def rematerialized():
    model = classifier()
    each = model.backbone.get_layer("each_frame_encoder")
    each.frames_at_once, each.rematerialize = 5, True
    return model


FORMS = {
    "default": classifier,
    "rematerialized": rematerialized,
    "shift": lambda: classifier(motion="shift", sequence="bidirectional_lstm"),
    "flow": lambda: classifier(motion="flow", sequence="attention"),
    "gru": lambda: classifier(motion=None, sequence="gru"),
    "next frames": lambda: SoraGenerator(SPEC, filters=(4, 6, 8)),
    "restored": lambda: SoraEnhancer(mode="restore", clip_spec=SPEC, filters=8),
}


def use(model, clips, labels):
    is_classifier = hasattr(model, "class_names")
    outputs = (model.backbone if is_classifier else model).predict(clips, verbose=0)
    # Losses of gray levels are large, and so are their gradients.
    model.compile(keras.optimizers.SGD(1e-2 if is_classifier else 1e-5), model.loss)
    targets = labels if is_classifier else keras.tree.map_structure(lambda _: clips[:, ::-1] / 1.0, model.output)
    losses = model.fit(clips, targets, batch_size=2, epochs=2, shuffle=False, verbose=0).history["loss"]
    return outputs if isinstance(outputs, dict) else {"frames": outputs}, losses


SCRIPT = f"""
import json, sys
from pathlib import Path
import sora_keras.models
assert "tensorflow" not in sys.modules, "the models imported TensorFlow"
import keras, numpy as np
{inspect.getsource(use)}
folder = Path(sys.argv[1])
data, losses = np.load(folder / "data.npz"), {{}}
for path in sorted(folder.glob("*.keras")):
    outputs, losses[path.stem] = use(keras.saving.load_model(path), **data)
    np.savez(path.with_suffix("." + keras.backend.backend() + ".npz"), **outputs)
print(json.dumps(losses))
"""


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """A folder of saved models and clips, TensorFlow's outputs, and its losses."""
    folder, rng = tmp_path_factory.mktemp("backends"), np.random.default_rng(0)
    clips = rng.integers(0, 256, (4, *SPEC.shape), dtype=np.uint8)
    clips[1] = np.linspace(clips[1, 0], clips[1, 1], len(clips[1]))  # one whose frames resemble each other
    data = {"clips": clips, "labels": np.array([0, 1, 1, 0])}
    np.savez(folder / "data.npz", **data)
    outputs, losses = {}, {}
    for name, build in FORMS.items():
        keras.utils.set_random_seed(1)
        model = build()
        model.save(folder / f"{name}.keras")
        outputs[name], losses[name] = use(model, **data)
        assert losses[name][1] < losses[name][0]
    return folder, outputs, losses


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_backends_agree_with_tensorflow(expected, backend):
    python = os.environ.get(f"SORA_KERAS_{backend.upper()}_PYTHON", sys.executable)
    if python == sys.executable and importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    folder, outputs, losses = expected
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(sora_keras.__file__).parents[1]),
    }
    done = subprocess.run(
        [python, "-c", SCRIPT, str(folder)], capture_output=True, text=True, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    got_losses = json.loads(done.stdout.splitlines()[-1])
    for name in FORMS:
        got = np.load(folder / f"{name}.{backend}.npz")
        assert sorted(got) == sorted(outputs[name])
        for part in got:
            assert np.ptp(outputs[name][part]) > 1e-3
            np.testing.assert_allclose(got[part], outputs[name][part], rtol=1e-4, atol=1e-4, err_msg=f"{name} {part}")
        if backend == "jax":
            np.testing.assert_allclose(got_losses[name], losses[name], rtol=1e-3, err_msg=name)
    assert losses["rematerialized"] == pytest.approx(losses["default"], rel=1e-4)

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, SoraGenerator
from sora_keras.models import ConvolutionMuon


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def orthogonalized(matrix: np.ndarray) -> np.ndarray:
    """Five rounds of Jordan's polynomial on singular values, by a decomposition in place of products of matrices."""
    left, values, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    values = values / np.linalg.norm(values)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left @ np.diag(values) @ right


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (1, 1, 5, 12), (3, 2, 2, 3, 4), (6, 10)])
def test_steps_of_kernels(shape, rng):
    start, *gradients = rng.normal(size=(4, *shape)).astype(np.float32)
    kernel = keras.Variable(start, name="kernel")
    optimizer = ConvolutionMuon(0.5, momentum=0.9)
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [kernel])

    expected, momentum = start.reshape(-1, shape[-1]).astype(np.float64), 0.0
    for gradient in gradients:
        gradient = gradient.reshape(expected.shape)
        momentum = 0.9 * momentum + gradient
        expected = expected - 0.5 * 0.2 * max(expected.shape) ** 0.5 * orthogonalized(gradient + 0.9 * momentum)
    np.testing.assert_allclose(np.array(kernel).reshape(expected.shape), expected, rtol=1e-3, atol=1e-3)


def test_step_is_nearly_orthogonal_and_as_large_as_adams(rng):
    kernel = keras.Variable(np.zeros((3, 3, 16, 32), np.float32))
    left, _, right = np.linalg.svd(rng.normal(size=(144, 32)), full_matrices=False)
    gradient = left @ np.diag(np.geomspace(1, 0.05, 32)) @ right  # some directions with a twentieth of the slope
    optimizer = ConvolutionMuon(0.25)
    optimizer.apply([keras.ops.convert_to_tensor(gradient.reshape(kernel.shape), "float32")], [kernel])
    step = np.array(kernel).reshape(144, 32) / 0.25
    spread = np.linalg.svd(step, compute_uv=False) / (0.2 * np.sqrt(144))
    assert spread.min() > 0.5
    assert spread.max() < 1.3
    assert np.sqrt((step**2).mean()) == pytest.approx(0.2, rel=0.25)


def test_biases_and_excluded_layers_get_adams_steps(rng):
    inputs = rng.normal(size=(4, 6, 6, 3)).astype(np.float32)
    targets = rng.normal(size=(4, 6, 6, 2)).astype(np.float32)

    def trained(optimizer):
        keras.utils.set_random_seed(0)
        hidden = keras.layers.Conv2D(5, 3, padding="same", name="hidden")
        model = keras.Sequential([keras.Input((6, 6, 3)), hidden, keras.layers.Conv2D(2, 1, name="paint")], name="both")
        model.compile(optimizer, "mse")
        model.train_on_batch(inputs, targets)
        return {variable.path: np.array(variable) for variable in model.trainable_variables}

    ours = trained(ConvolutionMuon(0.01, exclude_layers=["both/paint"]))
    adams = trained(keras.optimizers.Adam(0.01))
    differ = {path for path in ours if not np.allclose(ours[path], adams[path], atol=1e-6)}
    assert differ == {"both/hidden/kernel"}


def test_training_goes_on_after_saving(tmp_path, rng):
    inputs = rng.normal(size=(8, 6, 6, 3)).astype(np.float32)
    model = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(3, 3, padding="same")])
    model.compile(ConvolutionMuon(0.01, exclude_layers=["no_such"], weight_decay=0.1), "mse")
    model.train_on_batch(inputs, inputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, ConvolutionMuon)
    assert loaded.optimizer.exclude_layers == ["no_such"]
    for each in (model, loaded):
        each.train_on_batch(inputs, inputs)
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_preset_compiled_with_it_loads_in_another_process(tmp_path):
    model = SoraGenerator(ClipSpec(3, 16, 16), filters=(2, 2, 2), num_channels=1)
    model.compile(ConvolutionMuon(0.125, exclude_layers=["paint"]), "mse")
    model.save_to_preset(tmp_path)
    load = "import sys, sora_keras; print(sora_keras.SoraGenerator.from_preset(sys.argv[1]).optimizer.exclude_layers)"
    done = subprocess.run([sys.executable, "-c", load, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['paint']"


def test_older_keras(monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.12.7")
    with pytest.raises(RuntimeError, match=r"ConvolutionMuon needs Keras 3\.13 or later, found 3\.12\.7"):
        ConvolutionMuon()

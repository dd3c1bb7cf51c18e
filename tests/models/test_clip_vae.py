import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import sora_keras
from sora_keras import ClipSpec
from sora_keras.models.clip_vae import ClipVAE

SPEC = ClipSpec(num_frames=4, height=16, width=16)
SMALL = {"latent_size": 4, "units": 32, "filters": (8, 8), "num_channels": 1, "seed": 0}


def walking_squares(num_clips, seed):
    """A bright square of 5 pixels that walks 2 pixels a frame: right in class 0, left in class 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, num_clips)
    clips = np.zeros((num_clips, 4, 16, 16, 1), np.uint8)
    for clip, label in zip(clips, labels, strict=True):
        top, left = rng.integers(0, 12), rng.integers(0, 6)
        for index in range(4):
            column = left + 2 * (index if label == 0 else 3 - index)
            clip[index, top : top + 5, column : column + 5] = 230
    return clips, labels


def middles(clips):
    """Columns of the middles of what is bright, `(N, T)`."""
    weights = clips.astype(float).sum(axis=(2, 4)) + 1e-6
    return (weights * np.arange(clips.shape[3])).sum(-1) / weights.sum(-1)


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    vae = ClipVAE(SPEC, ["right", "left"], learning_rate=5e-3, **SMALL)
    clips, labels = walking_squares(1024, seed=0)
    history = vae.fit({"frames": clips, "labels": labels}, batch_size=32, epochs=12, verbose=0).history
    return vae, history


def test_learns_what_moves_where_in_each_class(trained):
    vae, history = trained
    labels = np.repeat([0, 1], 60)
    made = vae.generate(labels, seed=1)
    assert made.shape == (120, 4, 16, 16, 1)
    assert made.dtype == np.uint8
    steps = np.diff(middles(made), axis=1).mean(axis=1)
    assert (steps[labels == 0] > 0.5).mean() > 0.9
    assert (steps[labels == 1] < -0.5).mean() > 0.9
    real_brightness = walking_squares(64, seed=9)[0].mean()
    assert made.mean() == pytest.approx(real_brightness, rel=0.3)
    # Clips of a class differ, by where they begin, about as much as real ones.
    real, real_labels = walking_squares(400, seed=9)
    for label in (0, 1):
        spread = middles(made)[labels == label, 0].std()
        assert 0.4 < spread / middles(real)[real_labels == label, 0].std() < 1.6
    assert history["divergence"][-1] > 2


def test_loss_is_the_bound_written_out(trained):
    vae, _ = trained
    clips, labels = walking_squares(8, seed=3)
    x = {"frames": clips, "labels": labels}
    outputs = vae(x)
    logits, divergence = (keras.ops.convert_to_numpy(outputs[name]) for name in ("logits", "divergence"))
    probabilities, truth = 1 / (1 + np.exp(-logits.astype(float))), clips / 255
    nats = -(truth * np.log(probabilities) + (1 - truth) * np.log1p(-probabilities)).sum((1, 2, 3, 4))
    assert float(vae.compute_loss(x, None, outputs)) == pytest.approx((nats + divergence).mean(), rel=1e-4)
    uninformed = -(truth * np.log(truth.mean()) + (1 - truth) * np.log(1 - truth.mean())).sum((1, 2, 3, 4))
    assert nats.mean() < 0.6 * uninformed.mean()


def test_divergence_is_that_of_two_gaussians():
    """With the mixture set to one Gaussian: on average over draws, what the closed form says."""
    vae = ClipVAE(SPEC, ["a"], num_components=1, **SMALL)
    vae.prior.set_weights([np.zeros(1), np.full((1, 4), 0.3), np.full((1, 4), np.log(2.0))])
    clip = walking_squares(1, seed=0)[0]
    mean, log_variance = vae.encoder.predict([clip, np.ones((1, 1), "float32")], verbose=0)
    closed = 0.5 * np.sum((np.exp(log_variance) + (mean - 0.3) ** 2) / 2 - 1 + np.log(2) - log_variance)
    outputs = vae({"frames": np.repeat(clip, 4000, axis=0), "labels": np.zeros(4000, int)})
    drawn = keras.ops.convert_to_numpy(outputs["divergence"])
    assert drawn.mean() == pytest.approx(closed, abs=5 * drawn.std() / np.sqrt(4000))
    assert closed > 0.1


def test_generate_repeats_by_seed_and_follows_labels(trained):
    vae, _ = trained
    first, again, other = (vae.generate([0, 1, 1], seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (vae.generate([1, 1, 1], seed=3)[0] != first[0]).any()


def test_saves_and_loads(trained, tmp_path):
    vae, _ = trained
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert loaded.get_config() == vae.get_config()
    assert loaded.clip_spec == SPEC
    np.testing.assert_allclose(loaded.generate([0, 1], seed=2), vae.generate([0, 1], seed=2), atol=1)
    clips, labels = walking_squares(32, seed=5)
    loaded.fit({"frames": clips, "labels": labels}, verbose=0)  # it is compiled


def test_color_and_other_sizes():
    vae = ClipVAE(ClipSpec(num_frames=3, height=24, width=40), ["a", "b", "c"], **{**SMALL, "num_channels": 3})
    frames = np.random.default_rng(0).integers(0, 256, (4, 3, 24, 40, 3), dtype=np.uint8)
    vae.fit({"frames": frames, "labels": np.array([0, 1, 2, 0])}, verbose=0)
    assert vae.generate([2, 1]).shape == (2, 3, 24, 40, 3)


@pytest.mark.parametrize(
    ("spec", "class_names", "arguments", "received"),
    [
        (ClipSpec(4, 16, 20), ["a"], {}, "multiples of 8, received 16 x 20"),
        (SPEC, ["a", "b", "a"], {}, r"different names.*\['a', 'b', 'a'\]"),
        (SPEC, ["a"], {"latent_size": -3}, "`latent_size`.*-3"),
        (SPEC, ["a"], {"units": -5}, "`units`.*-5"),
        (SPEC, ["a"], {"num_components": -6}, "`num_components`.*-6"),
        (SPEC, ["a"], {"filters": (8, 16, 32)}, r"`filters`.*\(8, 16, 32\)"),
        (SPEC, ["a"], {"num_channels": 2}, "`num_channels`.*2"),
        (SPEC, ["a"], {"kl_weight": -0.5}, "`kl_weight`.*-0.5"),
    ],
)
def test_arguments_out_of_range(spec, class_names, arguments, received):
    with pytest.raises(ValueError, match=received):
        ClipVAE(spec, class_names, **{**SMALL, **arguments})


def test_labels_out_of_range(trained):
    vae, _ = trained
    with pytest.raises(ValueError, match=r"0\.\.1, the classes right, left, received -1 to 7"):
        vae.generate([0, 7, -1])


SCRIPT = """
import json, sys
import keras, numpy as np
import sora_keras.models.clip_vae
assert "tensorflow" not in sys.modules
vae = keras.saving.load_model(sys.argv[1] + "/vae.keras")
data = np.load(sys.argv[1] + "/data.npz")
np.save(sys.argv[1] + "/made.npy", vae.generate([0, 1], seed=2))
print(json.dumps(vae.fit({**data}, epochs=4, verbose=0).history["loss"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_runs_on_other_backends(trained, backend, tmp_path):
    python = os.environ.get(f"SORA_KERAS_{backend.upper()}_PYTHON", sys.executable)
    if python == sys.executable and importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    vae, history = trained
    vae.save(tmp_path / "vae.keras")
    clips, labels = walking_squares(64, seed=5)
    np.savez(tmp_path / "data.npz", frames=clips, labels=labels)
    root = str(Path(sora_keras.__file__).parents[1])
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "PYTHONPATH": root}
    command = [python, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_allclose(np.load(tmp_path / "made.npy"), vae.generate([0, 1], seed=2), atol=1)
    losses = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(losses, history["loss"][-1], rtol=0.5)

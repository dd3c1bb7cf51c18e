from __future__ import annotations

import keras
import numpy as np
import pytest

from sora_keras.models import SoraBackbone, SoraClassifier
from sora_keras.training import compile_for_training, layer_precision
from sora_keras.video import ClipSpec


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_layers_compute_in_half_and_weigh_in_full(policy):
    keras.utils.set_random_seed(0)
    labels = np.array([0, 1] * 3)
    frames = np.random.default_rng(0).integers(0, 100, (6, 4, 16, 16, 3)) + 150 * labels[:, None, None, None, None]
    frames = frames.astype(np.uint8)
    before = keras.config.dtype_policy().name
    with layer_precision(policy):
        model = SoraClassifier(SoraBackbone(ClipSpec(4, 16, 16), filters=(4, 8)), ["a", "b"])
    assert keras.config.dtype_policy().name == before
    assert {layer.compute_dtype for layer in model.backbone.layers if "lstm" in layer.name} == {policy[6:]}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    full = SoraClassifier(SoraBackbone(ClipSpec(4, 16, 16), filters=(4, 8)), ["a", "b"])
    full.set_weights(model.get_weights())
    np.testing.assert_allclose(model.predict(frames, verbose=0), full.predict(frames, verbose=0), atol=0.03)
    compile_for_training(model, 0.01, clip_norm=1.0)
    losses = model.fit(frames, labels, epochs=8, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]


def test_the_policy_returns_after_a_failure():
    before = keras.config.dtype_policy().name
    with pytest.raises(KeyError), layer_precision("mixed_bfloat16"):
        raise KeyError
    assert keras.config.dtype_policy().name == before


def test_unknown_policy():
    with (
        pytest.raises(ValueError, match=r"`policy` must be one of \('float32', .*received 'int4'"),
        layer_precision("int4"),
    ):
        pass

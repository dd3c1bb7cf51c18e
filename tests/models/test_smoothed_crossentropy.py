from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from sora_keras.models import SoraBackbone, SoraClassifier
from sora_keras.models.smoothed_crossentropy import SmoothedCrossentropy
from sora_keras.training import compile_for_training
from sora_keras.video import ClipSpec

LOGITS = np.random.default_rng(3).normal(size=(6, 4)).astype("float32")
LABELS = np.array([3, 0, 1, 2, 3, 3])


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None]])
def test_is_keras_s_own_of_one_hot_labels(labels):
    oracle = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    expected = float(oracle(np.eye(4, dtype="float32")[LABELS], LOGITS))
    assert float(SmoothedCrossentropy(0.2)(labels, LOGITS)) == pytest.approx(expected, rel=1e-6)


def test_without_smoothing_is_the_plain_one():
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(SmoothedCrossentropy(0.0)(LABELS, LOGITS)) == pytest.approx(float(plain(LABELS, LOGITS)), rel=1e-6)


def test_config_round_trip():
    loss = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(SmoothedCrossentropy(0.35)))
    assert (type(loss), loss.label_smoothing) == (SmoothedCrossentropy, 0.35)


def test_a_process_that_never_trains_loads_the_model(tmp_path):
    model = SoraClassifier(SoraBackbone(ClipSpec(4, 8, 8), filters=(4,)), ["a", "b"])
    compile_for_training(model, label_smoothing=0.15)
    model.save_to_preset(tmp_path)
    code = "from sora_keras.models import SoraClassifier; import sys; "
    code += "print(SoraClassifier.from_preset(sys.argv[1]).loss.label_smoothing)"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.stdout.strip() == "0.15", done.stderr


def test_share_out_of_range():
    with pytest.raises(ValueError, match=r"`label_smoothing` must be a share from 0 to below 1, received 1\.5"):
        SmoothedCrossentropy(1.5)

from __future__ import annotations

import subprocess
import sys

import pytest

from sora_keras.training import make_deterministic

STEP = """
import sys
import keras, numpy as np
from sora_keras.training import make_deterministic
make_deterministic(int(sys.argv[1]))
x = np.random.normal(size=(64, 8, 8, 3)).astype("float32")
layers = keras.layers
model = keras.Sequential([layers.Conv2D(8, 3), layers.Dropout(0.5), layers.Flatten(), layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, x.mean((1, 2, 3)), epochs=3, batch_size=16, verbose=0)
print(np.concatenate([weight.ravel() for weight in model.get_weights()]).tobytes().hex())
"""


@pytest.mark.slow
def test_two_processes_compute_the_same_bits_and_another_seed_others():
    command = [sys.executable, "-c", STEP]
    first, second, other = (
        subprocess.run([*command, seed], capture_output=True, text=True, check=True).stdout for seed in ("5", "5", "6")
    )
    assert first == second != other


def test_seed_out_of_range():
    with pytest.raises(ValueError, match=r"`seed` must be from 0 to 4294967295, received -8"):
        make_deterministic(-8)

"""A recurrent Keras model that blurs a little over space and time, with the methods of a restoring `SoraEnhancer`."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops


class SmallRestorer:
    """Each output is half of the blurred frame and half of the state, the output before; sees 2 pixels around."""

    mode = "restore"

    def __init__(self, scale: int = 1, seed: int = 0) -> None:
        self.scale = scale
        rng = np.random.default_rng(seed)
        kernel = rng.random((5, 5, 3, 1)).astype(np.float32)
        self._kernel = kernel / kernel.sum((0, 1), keepdims=True)

    def step_model(self, height: int, width: int) -> keras.Model:
        frame = keras.Input((height, width, 3), dtype="uint8", name="frame")
        state = keras.Input((height, width, 3), dtype="float32", name="state")
        blur = layers.DepthwiseConv2D(5, padding="same", use_bias=False, trainable=False)
        blurred = blur(ops.cast(frame, "float32"))
        blur.set_weights([self._kernel])
        shown = 0.5 * blurred + 0.5 * state
        large = layers.UpSampling2D(self.scale, interpolation="nearest")(shown) if self.scale > 1 else shown
        outputs = {"frame": large, "state": shown}
        return keras.Model({"frame": frame, "state": state}, outputs)

    def initial_state(self, batch_size: int, height: int, width: int) -> dict[str, np.ndarray]:
        return {"state": np.zeros((batch_size, height, width, 3), np.float32)}

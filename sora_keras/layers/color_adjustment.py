"""Frames in, the same frames with another brightness, contrast and saturation out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

MID_GRAY = 127.5
LUMA_WEIGHTS = (0.299, 0.587, 0.114)


@keras.saving.register_keras_serializable(package="sora_keras")
class ColorAdjustment(keras.layers.Layer):
    """Change brightness, contrast and saturation of frames by three numbers for each, differentiably.

    With luma `Y = 0.299 R + 0.587 G + 0.114 B` (Rec. 601), a pixel becomes

        127.5 + c (Y + s (RGB - Y) - 127.5) + sqrt(c) brightness,   c = 2 ** contrast, s = 2 ** saturation

    clipped to 0..255: colors are moved away from their gray, everything away from mid-gray, and brightness is added
    when half of the contrast is. So negative parameters undo positive ones, exactly but for what was clipped, and each
    number alone is what image libraries mean by its name.

    | parameter | unit | 0 | for example |
    |---|---|---|---|
    | brightness | levels of 0..255 | as it was | 25 adds 25 to all channels |
    | contrast | factors of two, around mid-gray | as it was | 1 doubles, -1 halves |
    | saturation | factors of two, around luma | as it was | 1 doubles, -1 halves, -inf leaves gray |

    Call arguments:
        frames: `(B, T, H, W, 3)`, RGB in 0..255, any dtype.
        parameters: `(B, T, 3)`, brightness, contrast and saturation of each frame; T may be 1, the same for all.

    Returns:
        `float32`, the shape of `frames`, in 0..255, not rounded.

    Example:
        >>> frames = np.full((1, 1, 2, 2, 3), 100, "uint8")
        >>> ColorAdjustment()(frames, [[[25.0, 0.0, 0.0]]])[0, 0, 0, 0]  # 125 in all channels

    Reference:
        Haeberli and Voorhies, Image Processing by Linear Interpolation and Extrapolation, 1994,
        http://www.graficaobscura.com/interp/index.html
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, frames: Any, parameters: Any) -> Any:
        """Saturation first: its order does not matter, since gray is left alone by it and kept gray by the others."""
        frames = ops.cast(frames, self.compute_dtype)
        brightness, contrast, saturation = ops.split(ops.cast(parameters, self.compute_dtype)[:, :, None, None], 3, -1)
        half_contrast = ops.power(2.0, contrast / 2)
        luma = ops.sum(frames * ops.convert_to_tensor(LUMA_WEIGHTS, frames.dtype), axis=-1, keepdims=True)
        frames = luma + ops.power(2.0, saturation) * (frames - luma)
        frames = half_contrast * (half_contrast * (frames - MID_GRAY) + brightness) + MID_GRAY
        return ops.clip(frames, 0.0, 255.0)

    def compute_output_spec(self, frames: Any, parameters: Any) -> Any:
        """The frames' shape."""
        return keras.KerasTensor(frames.shape, dtype=self.compute_dtype)

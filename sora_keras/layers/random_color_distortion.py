"""Good clips in, clips with their brightness, contrast and saturation spoiled out, with what would undo it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from sora_keras.layers.color_adjustment import ColorAdjustment


@keras.saving.register_keras_serializable(package="sora_keras")
class RandomColorDistortion(keras.layers.Layer):
    """Draw for each clip a brightness, a contrast and a saturation, the same for all its frames, and apply them.

    The clips come out as a camera would have stored them: rounded to 256 levels, and clipped to them.

    Args:
        brightness_levels: the most that is added or taken away, in levels of 0..255; drawn evenly between.
        contrast: the most by which contrast is raised or lowered, in factors of two: 0.75 is from 0.6 to 1.7 times.
        saturation: the most by which saturation is raised or lowered, likewise: 1 is from a half to double.
        seed: for the same draws at each run.

    Call arguments:
        frames: `(B, T, H, W, 3)`, RGB in 0..255, any dtype.
        training: whether to distort; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        Frames `uint8`, and the parameters `float32 (B, T, 3)` by which `ColorAdjustment` undoes the distortion: the
        negative of those drawn.

    Raises:
        ValueError: if a range is negative.

    Example:
        >>> distort = RandomColorDistortion()
        >>> def pair(good):
        ...     bad, parameters = distort(good)
        ...     return bad, {"frames": good, "parameters": parameters}
        >>> dataset = good_clips.batch(16).map(pair)
    """

    def __init__(
        self,
        brightness_levels: float = 48.0,
        contrast: float = 0.75,
        saturation: float = 1.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        ranges = {"brightness_levels": brightness_levels, "contrast": contrast, "saturation": saturation}
        for name, value in ranges.items():
            if not value >= 0:
                raise ValueError(f"`{name}` is how far it goes both ways, and must be at least 0, received {value!r}.")
        self.brightness_levels = brightness_levels
        self.contrast = contrast
        self.saturation = saturation
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._adjust = ColorAdjustment()

    def call(self, frames: Any, training: bool | None = True) -> tuple[Any, Any]:
        """Draw and apply."""
        num_clips, num_frames = ops.shape(frames)[:2]
        drawn = keras.random.uniform((num_clips, 1, 3), -1.0, 1.0, dtype="float32", seed=self.seed_generator)
        ranges = ops.convert_to_tensor([self.brightness_levels, self.contrast, self.saturation], "float32")
        parameters = drawn * ranges if training else ops.zeros_like(drawn)
        distorted = ops.cast(ops.round(self._adjust(frames, parameters)), "uint8")
        return distorted, ops.broadcast_to(-parameters, (num_clips, num_frames, 3))

    def compute_output_spec(self, frames: Any, training: bool | None = True) -> Any:
        """Frames as came in, and three numbers for each."""
        parameters = keras.KerasTensor((*frames.shape[:2], 3), dtype="float32")
        return keras.KerasTensor(frames.shape, dtype="uint8"), parameters

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "brightness_levels": self.brightness_levels,
            "contrast": self.contrast,
            "saturation": self.saturation,
            "seed": self.seed,
        }

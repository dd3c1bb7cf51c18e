"""Frames to the brightness, contrast and saturation that they lack, and to the frames that have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from sora_keras.layers.color_adjustment import MID_GRAY, ColorAdjustment
from sora_keras.layers.color_statistics import ColorStatistics, parameters_between
from sora_keras.layers.luma_quantiles import LumaQuantiles
from sora_keras.models.backbone import SoraBackbone

# Of frames that are well exposed: mid-gray on average, a deviation of 56 levels of luma and 14 of color. And how far
# good ones are from it.
USUAL_STATISTICS = (0.0, 5.8, -2.0)
STATISTICS_SPREADS = (32.0, 0.5, 1.0)
HEAD_UNITS = 128


def correct_colors(
    backbone: SoraBackbone, smoothing: int | None, limits: Sequence[float]
) -> tuple[keras.KerasTensor, dict[str, keras.KerasTensor]]:
    """Connect what tells how the scene should look, and the adjustment that makes it look so.

    The backbone is shown the frames with the statistics of usual ones. They look the same to it however they were
    spoiled, but for what was clipped, so that it learns scenes, not settings. A head of two Dense layers tells from
    them, and from how gray values are spread, what statistics the good frames have; the parameters follow.

    Args:
        backbone: reads frames alone.
        smoothing: frames T that a moving average of the parameters covers; `None` for one average of the whole clip.
        limits: the largest brightness, contrast and saturation, either way.

    Returns:
        The input, and the outputs `frames` and `parameters`.

    Example:
        >>> inputs, outputs = correct_colors(SoraBackbone(ClipSpec()), None, (48.0, 0.75, 1.0))
    """
    frames = keras.Input((None, *backbone.clip_spec.shape[1:]), dtype="uint8", name="frames")
    measured = ColorStatistics(name="color_statistics")(frames)
    usual = ops.zeros_like(measured) + ops.convert_to_tensor(USUAL_STATISTICS, "float32")
    spreads = ops.convert_to_tensor(STATISTICS_SPREADS, "float32")
    shown = ColorAdjustment(name="usual_frames")(frames, parameters_between(measured, usual))
    quantiles = LumaQuantiles(name="luma_quantiles")
    features = layers.Concatenate(name="scene_features")(
        [
            backbone(ops.cast(ops.round(shown), "uint8"))["sequence_features"],
            (quantiles(shown) - MID_GRAY) / MID_GRAY,
            (quantiles(frames) - MID_GRAY) / MID_GRAY,
            (measured - usual) / spreads,
        ]
    )
    hidden = layers.Dense(HEAD_UNITS, activation="relu", name="head")(features)
    # Zeros make all frames usual ones before any training.
    wanted = layers.Dense(3, kernel_initializer="zeros", name="wanted_statistics", dtype="float32")(hidden)
    parameters = parameters_between(measured, wanted * spreads + usual)
    parameters = _smooth(_bound(parameters, limits), smoothing)
    return frames, {"frames": ColorAdjustment(name="adjust")(frames, parameters), "parameters": parameters}


def _bound(parameters: keras.KerasTensor, limits: Sequence[float]) -> keras.KerasTensor:
    """Within the limits; the gradient passes, so that what is far beyond them learns to come back."""
    largest = ops.convert_to_tensor(limits, "float32")
    return parameters + ops.stop_gradient(ops.clip(parameters, -largest, largest) - parameters)


def _smooth(parameters: keras.KerasTensor, smoothing: int | None) -> keras.KerasTensor:
    """Averages over time, `(B, T, 3)` to the same."""
    if smoothing is None:
        return ops.zeros_like(parameters) + ops.mean(parameters, axis=1, keepdims=True)
    # At the ends, Keras averages over the frames that there are.
    return layers.AveragePooling1D(smoothing, strides=1, padding="same", name="smooth", dtype="float32")(parameters)


@keras.saving.register_keras_serializable(package="sora_keras")
class ParameterError(keras.losses.Loss):
    """The mean absolute error of brightness, contrast and saturation, each as a share of its limit.

    Args:
        limits: the largest of each.

    Call arguments:
        y_true, y_pred: `(B, T, 3)`.

    Example:
        >>> ParameterError((48.0, 0.75, 1.0))([[[12.0, 0.0, 0.0]]], [[[0.0, 0.0, 0.0]]])  # 0.25 / 3
    """

    def __init__(self, limits: Sequence[float], name: str = "parameter_error", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.limits = tuple(float(limit) for limit in limits)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """`(B, T)`."""
        difference = ops.cast(y_true, "float32") - ops.cast(y_pred, "float32")
        return ops.mean(ops.abs(difference) / ops.convert_to_tensor(self.limits, "float32"), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "limits": list(self.limits)}

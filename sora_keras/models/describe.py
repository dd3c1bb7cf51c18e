"""A model to what it costs: parameters, operations and milliseconds a clip."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from sora_keras.layers import AttentionPooling, TimeDistributed
from sora_keras.layers.frame_recurrence import FrameRecurrence

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """What a model costs.

    Args:
        parameters: numbers it holds.
        trainable_parameters: those that `fit` changes.
        flops_per_clip: floating-point operations for one clip, two to a multiplication with its addition, of
            convolution, Dense, LSTM, GRU and attention layers; the rest is small beside them.
        milliseconds_per_clip: median time of one prediction of one clip on this machine; `None` if not measured.
    """

    parameters: int
    trainable_parameters: int
    flops_per_clip: int
    milliseconds_per_clip: float | None


def describe_model(model: keras.Model, num_frames: int | None = None, repeats: int = 5) -> ModelDescription:
    """Count a model's parameters and operations, and measure its time.

    Args:
        model: a functional model of clips, such as `SoraBackbone` or `SoraClassifier`.
        num_frames: frames T of a clip; by default those of its `clip_spec`.
        repeats: predictions measured, after one to warm up; 0 for no measurement.

    Returns:
        The description.

    Raises:
        ValueError: if `num_frames` is not given and the model has no `clip_spec`.

    Example:
        >>> describe_model(SoraBackbone(ClipSpec(16, 64, 64))).parameters
        701248
    """
    if num_frames is None:
        if not hasattr(model, "clip_spec"):
            raise ValueError(f"{model.name!r} has no `clip_spec` that tells how long its clips are: give `num_frames`.")
        num_frames = int(model.clip_spec.num_frames)
    return ModelDescription(
        parameters=model.count_params(),
        trainable_parameters=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        flops_per_clip=sum(_flops(*one) for one in _calls(model, num_frames)),
        milliseconds_per_clip=_milliseconds(model, num_frames, repeats) if repeats else None,
    )


def _calls(model: keras.Model, num_frames: int) -> Iterator[tuple[keras.layers.Layer, Shape, Shape, int]]:
    """Each layer that the model calls for one clip, with shapes in and out, and how many times it does."""
    for layer in model.layers:
        if isinstance(layer, TimeDistributed):
            inner = layer.layer
            calls = _calls(inner, 1) if isinstance(inner, keras.Model) else [(inner, *_shapes(layer, 1), 1)]
            for one, entering, leaving, times in calls:
                yield one, entering, leaving, times * num_frames
        elif isinstance(layer, FrameRecurrence):
            for part in layer.cell._flatten_layers(include_self=False):
                if isinstance(part, layers.Conv2D):  # each is called once a frame, on maps of the size it was built for
                    entering = (1, *part.get_build_config()["input_shape"][1:])
                    yield part, entering, part.compute_output_shape(entering), num_frames
        elif isinstance(layer, keras.Model):
            yield from _calls(layer, num_frames)
        elif not isinstance(layer, layers.InputLayer):
            yield layer, *_shapes(layer, num_frames), 1


def _shapes(layer: keras.layers.Layer, num_frames: int) -> tuple[Shape, Shape]:
    """Of one clip: the batch is 1, and what else is unknown is time."""

    def known(tensor: Any) -> Shape:
        return (1, *(num_frames if side is None else side for side in keras.tree.flatten(tensor)[0].shape[1:]))

    return known(layer.input), known(layer.output)


def _flops(layer: keras.layers.Layer, entering: Shape, leaving: Shape, times: int) -> int:
    """Two for each multiplication with its addition."""
    if isinstance(layer, layers.Bidirectional):
        return 2 * _flops(layer.forward_layer, entering, leaving, times)
    if isinstance(layer, (layers.LSTM, layers.GRU)):
        _, num_frames, width = entering
        gates = 4 if isinstance(layer, layers.LSTM) else 3
        products = num_frames * gates * layer.units * (width + layer.units)
    elif isinstance(layer, layers.MultiHeadAttention):
        _, num_frames, width = entering
        inner = layer.num_heads * layer.key_dim
        products = num_frames * 4 * width * inner + 2 * num_frames * num_frames * inner
    elif isinstance(layer, AttentionPooling):
        _, num_frames, width = entering
        products = num_frames * (width * layer.units + layer.units + width)
    elif isinstance(layer, layers.DepthwiseConv2D):
        products = math.prod(leaving) * math.prod(layer.kernel_size)
    elif isinstance(layer, layers.SeparableConv2D):
        deep = entering[-1] * layer.depth_multiplier
        products = math.prod(leaving[:-1]) * deep * (math.prod(layer.kernel_size) + layer.filters)
    elif isinstance(layer, (layers.Conv1D, layers.Conv2D)):
        products = math.prod(leaving) * math.prod(layer.kernel_size) * entering[-1] // layer.groups
    elif isinstance(layer, layers.Dense):
        products = math.prod(leaving) * entering[-1]
    else:
        products = 0
    return 2 * products * times


def _milliseconds(model: keras.Model, num_frames: int, repeats: int) -> float:
    """Median of several predictions of one clip."""
    rng = np.random.default_rng(0)

    def example(tensor: keras.KerasTensor) -> np.ndarray:
        shape = (1, num_frames, *tensor.shape[2:])
        if tensor.dtype == "bool":
            return np.ones(shape, bool)
        return rng.integers(0, 256, shape).astype(tensor.dtype)

    inputs = keras.tree.map_structure(example, model.input)
    durations = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        model.predict_on_batch(inputs)
        durations.append(1000 * (time.perf_counter() - begin))
    return statistics.median(durations[1:])

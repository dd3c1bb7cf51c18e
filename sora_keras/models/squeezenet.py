"""SqueezeNet 1.1: one frame to 512 features, from weights in a file."""

from __future__ import annotations

import os
from pathlib import Path

import keras
from keras import layers, ops

IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)
FIRE_CHANNELS = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
POOL_BEFORE_FIRE = (0, 2, 4)


def SqueezeNet(height: int, width: int, weights: str | os.PathLike[str] | None = None) -> keras.Model:
    """Build SqueezeNet 1.1 without its classification layer, averaged over space, as a `frame_encoder`.

    Args:
        height: rows H of the frames.
        width: columns W of the frames.
        weights: Keras `.h5` file of the ImageNet weights without top, channels last, by layer order; `None` for
            random ones.

    Returns:
        Model of frames `(B, H, W, 3)`, RGB in 0..255, to features `(B, 512)`. It subtracts the ImageNet mean itself.

    Raises:
        FileNotFoundError: if there is no such file.

    Example:
        >>> encoder = SqueezeNet(112, 112, "squeezenet1.1_imagenet_notop.h5")
        >>> encoder.trainable = False
        >>> backbone = SoraBackbone(ClipSpec(16, 112, 112), frame_encoder=encoder)

    Reference:
        Iandola et al., SqueezeNet, 2016, https://arxiv.org/abs/1602.07360
    """
    image = keras.Input((height, width, 3), name="image")
    x = ops.flip(image, axis=-1)
    x = layers.Rescaling(1.0, offset=[-mean for mean in IMAGENET_MEAN_BGR], name="subtract_mean")(x)
    x = layers.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(x)
    for index, (squeeze_channels, expand_channels) in enumerate(FIRE_CHANNELS):
        if index in POOL_BEFORE_FIRE:
            x = layers.MaxPooling2D(3, strides=2, name=f"pool_before_fire{index + 2}")(x)
        x = _fire(x, squeeze_channels, expand_channels, f"fire{index + 2}")
    model = keras.Model(image, layers.GlobalAveragePooling2D(name="average")(x), name="squeezenet")
    if weights is not None:
        if not Path(weights).is_file():
            raise FileNotFoundError(f"There are no SqueezeNet weights at {os.fspath(weights)}: give their file's path.")
        model.load_weights(weights)
    return model


def _fire(x: keras.KerasTensor, squeeze_channels: int, expand_channels: int, name: str) -> keras.KerasTensor:
    """A fire module: 1x1 squeeze, then 1x1 and 3x3 expansion side by side."""
    squeezed = layers.Conv2D(squeeze_channels, 1, activation="relu", name=f"{name}_squeeze")(x)
    narrow = layers.Conv2D(expand_channels, 1, activation="relu", name=f"{name}_expand1x1")(squeezed)
    wide = layers.Conv2D(expand_channels, 3, padding="same", activation="relu", name=f"{name}_expand3x3")(squeezed)
    return layers.Concatenate(name=f"{name}_concat")([narrow, wide])

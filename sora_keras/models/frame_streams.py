"""Frames to the features of each: what they show, and how they move."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
from keras import layers, ops

from sora_keras.layers import OpticalFlow, TemporalDifference, TemporalShift, TimeDistributed
from sora_keras.models.column_normalization import normalize_columns

MOTIONS = (None, "difference", "shift", "flow")
POOLINGS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
FLOW_STRIDE = 2
GRAY = 127.0
CHANGE_GAIN = 3.0  # most changes are small beside what an image network was trained on
CACHED_ACTIVATION_BYTES = 8 * 2**20  # what a CPU's last-level cache holds beside the weights
FRAMES_ON_GPU_PER_FRAME_ON_CPU = 32  # small parts would leave it idle


def frame_features(
    frames: keras.KerasTensor,
    filters: Sequence[int],
    motion: str | None,
    l2: float,
    frame_encoder: keras.Model | None,
    motion_encoder: keras.Model | None,
    normalization: list[list[float]] | None,
    padding_mask: keras.KerasTensor | None = None,
    rematerialize: bool = False,
    pooling: str = "avg",
) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
    """Connect the streams of appearance and motion.

    | motion | without a frame encoder | beside a frame encoder |
    |---|---|---|
    | `None` | blocks read the frames | the encoder alone |
    | `"difference"` | blocks read frames and differences as channels | blocks read the differences |
    | `"shift"` | blocks read the frames, shifted between blocks | the same, as a second stream |
    | `"flow"` | blocks read the frames, others the flow | blocks read the flow |

    A motion encoder reads the differences in place of the blocks, which then read the frames, if anything.

    Args:
        frames: `uint8 (B, T, H, W, 3)`.
        filters: Conv2D filters, one block each.
        motion: one of `MOTIONS`.
        l2: L2 penalty on the kernels.
        frame_encoder: what reads the appearance in place of the blocks.
        motion_encoder: what reads the differences, as pictures, in place of the blocks.
        normalization: means and variances of the channels, or `None` for -1..1.
        padding_mask: bool `(B, T)`, true where a frame is real; `None` if all are.
        rematerialize: whether training keeps no activations of the encoders and computes them again.
        pooling: `"avg"` or `"max"`, what the blocks make of a picture.

    Returns:
        Features `(B, T, D)`, and those of each encoder as it gives them.

    Example:
        >>> frames = keras.Input((None, 64, 64, 3), dtype="uint8")
        >>> features, encoded = frame_features(frames, (8, 16), "flow", 0.0, None, None, None)
        >>> features.shape, len(encoded)
        ((None, None, 32), 0)
    """
    scaled = _scale(frames, normalization)
    streams, encoded = [], []
    blocks = functools.partial(_conv_blocks, filters=filters, l2=l2, rematerialize=rematerialize, pooling=pooling)
    if frame_encoder is not None:
        appearance = _distribute(frame_encoder, 64, rematerialize)
        encoded.append(appearance(frames))
        streams.append(normalize_columns(encoded[-1], padding_mask, "normalize"))
    elif filters:
        if motion == "difference" and motion_encoder is None:
            scaled = TemporalDifference(name="difference")(scaled)
        streams.append(blocks(scaled, "frame_encoder", shift=motion == "shift"))
    if motion_encoder is not None:
        # One encoder for both is one layer, called twice.
        change = (
            appearance
            if motion_encoder is frame_encoder
            else _distribute(motion_encoder, 64, rematerialize, "each_change")
        )
        encoded.append(change(_change_picture(frames)))
        streams.append(normalize_columns(encoded[-1], padding_mask, "normalize_change"))
    elif frame_encoder is not None and motion == "difference":
        difference = TemporalDifference(name="difference")(scaled)[..., 3:]
        streams.append(blocks(difference, "motion_encoder"))
    elif frame_encoder is not None and motion == "shift":
        streams.append(blocks(scaled, "motion_encoder", shift=True))
    if motion == "flow":
        streams.append(blocks(_flow_picture(frames), "motion_encoder"))
    features = streams[0] if len(streams) == 1 else layers.Concatenate(name="frame_features")(streams)
    return features, encoded


def smallest_side(filters: Sequence[int], motion: str | None) -> int:
    """Rows and columns that frames need for the blocks, each of which halves them."""
    return int(2 ** len(filters) * (FLOW_STRIDE if motion == "flow" else 1))


def _scale(frames: keras.KerasTensor, normalization: list[list[float]] | None) -> keras.KerasTensor:
    if normalization is None:
        return layers.Rescaling(1 / 127.5, offset=-1, name="scale")(frames)
    mean, variance = normalization
    return layers.Normalization(mean=mean, variance=variance, name="scale")(frames)


def _change_picture(frames: keras.KerasTensor) -> keras.KerasTensor:
    """The change since the frame before as a picture in 0..255, gray where nothing changed; the first one all gray."""
    change = TemporalDifference(name="change")(ops.cast(frames, "float32"))[..., 3:]
    return ops.clip(CHANGE_GAIN * change + GRAY, 0.0, 255.0)


def _flow_picture(frames: keras.KerasTensor) -> keras.KerasTensor:
    """Flow and its length as three channels `(B, T, h, w, 3)`; 1 is a thirty-second of the frame's height."""
    flow = OpticalFlow(stride=FLOW_STRIDE, name="flow")(frames)
    flow = layers.Rescaling(32 / frames.shape[2], name="scale_flow")(flow)
    length = ops.sqrt(ops.sum(flow * flow, axis=-1, keepdims=True) + keras.config.epsilon())
    return layers.Concatenate(name="flow_and_length")([flow, length])


def _conv_blocks(
    pictures: keras.KerasTensor,
    name: str,
    filters: Sequence[int],
    l2: float,
    rematerialize: bool,
    pooling: str,
    shift: bool = False,
) -> keras.KerasTensor:
    """Blocks of 3x3 convolution, ReLU and 2x2 max pooling, pooled over space: `(B, T, H, W, C)` -> `(B, T, D)`."""
    if not shift:
        encoder = _conv_encoder(pictures.shape[2:], filters, l2, name, pooling)
        return _distribute(encoder, filters[0], rematerialize)(pictures)
    for index in range(len(filters)):
        if index:
            pictures = TemporalShift(name=f"shift_{index}")(pictures)
        last = pooling if index == len(filters) - 1 else None
        block = _conv_encoder(pictures.shape[2:], filters[index : index + 1], l2, f"{name}_{index}", last)
        pictures = _distribute(block, filters[index], rematerialize)(pictures)
    return pictures


def _conv_encoder(
    shape: tuple[int, ...], filters: Sequence[int], l2: float, name: str, pooling: str | None
) -> keras.Model:
    """One picture `(H, W, C)` to `(D,)`, or to `(h, w, D)` without pooling over space."""
    image = x = keras.Input(shape, name="image")
    penalty = keras.regularizers.L2(l2) if l2 else None
    for index, channels in enumerate(filters):
        x = layers.Conv2D(
            channels, 3, padding="same", activation="relu", kernel_regularizer=penalty, name=f"conv_{index}"
        )(x)
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
    if pooling:
        x = POOLINGS[pooling](name="pooling")(x)
    return keras.Model(image, x, name=name)


def _distribute(
    encoder: keras.Model, widest_channels: int, rematerialize: bool, name: str | None = None
) -> TimeDistributed:
    """Over all frames; on a CPU, at inference, only as many at once as its cache holds."""
    height, width = encoder.input_shape[1:3]
    frames_at_once = max(1, CACHED_ACTIVATION_BYTES // (4 * height * width * widest_channels))
    on_cpu = keras.config.backend() == "tensorflow" and not keras.distribution.list_devices("gpu")
    if rematerialize and not on_cpu:
        frames_at_once *= FRAMES_ON_GPU_PER_FRAME_ON_CPU
    return TimeDistributed(
        encoder,
        frames_at_once=frames_at_once if on_cpu or rematerialize else None,
        rematerialize=rematerialize,
        name=name or f"each_{encoder.name}",
    )

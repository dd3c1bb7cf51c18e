"""Damaged frames to restored ones, for clips as they are trained on and for one frame of a long video at a time."""

from __future__ import annotations

import keras
from keras import layers

from sora_keras.layers.frame_recurrence import FrameRecurrence
from sora_keras.layers.restoration_cell import RestorationCell
from sora_keras.video.clip import ClipSpec

STATES = ("last_frame", "last_features")


def restore_frames(
    clip_spec: ClipSpec, cell: RestorationCell
) -> tuple[keras.KerasTensor, dict[str, keras.KerasTensor]]:
    """Connect the cell to the frames of a clip, one after the other.

    Args:
        clip_spec: height and width of the clips; T may differ at any call.
        cell: restores one frame.

    Returns:
        The input, and the output `frames`.

    Example:
        >>> inputs, outputs = restore_frames(ClipSpec(6, 64, 64), RestorationCell())
    """
    scale = layers.Rescaling(1 / 255, dtype="float32", name="scale")
    frames = keras.Input((None, *clip_spec.shape[1:]), dtype="uint8", name="frames")
    restored, *_ = FrameRecurrence(cell, dtype="float32", name="recurrence")(scale(frames))
    return frames, {"frames": layers.Rescaling(255.0, dtype="float32", name="unscale")(restored)}


def restore_frame(cell: RestorationCell, height: int, width: int) -> keras.Model:
    """Connect the cell to one frame of any size and the states, to be called for each frame of a video.

    Args:
        cell: restores one frame.
        height: H of the frames.
        width: W of the frames.

    Returns:
        A model from a dict of `frame`, `uint8 (B, H, W, 3)`, and the states to a dict of `frame`, `float32
        (B, s * H, s * W, 3)` in 0..255, and the new states under the same names.

    Raises:
        ValueError: if H or W is no multiple of 4.

    Example:
        >>> restore_frame(cell, 272, 480)({"frame": frame, **states})["frame"]
    """
    frame = keras.Input((height, width, 3), dtype="uint8", name="frame")
    states = [
        keras.Input(shape, name=name) for name, shape in zip(STATES, cell.state_shapes(height, width), strict=True)
    ]
    restored, new_states = cell(layers.Rescaling(1 / 255, dtype="float32", name="scale")(frame), states)
    outputs = {"frame": layers.Rescaling(255.0, dtype="float32", name="unscale")(restored)}
    inputs = {"frame": frame, **dict(zip(STATES, states, strict=True))}
    return keras.Model(inputs, {**outputs, **dict(zip(STATES, new_states, strict=True))}, name="restore_frame")

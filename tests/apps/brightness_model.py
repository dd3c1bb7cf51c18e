"""A model of known answers: how bright each frame is, and how loud it is around it."""

from __future__ import annotations

import types

import keras
import numpy as np
from keras import ops

VOCABULARIES = {"light": ["bright", "dark"]}
HEARING = {"sound": ["loud"]}


def bright_probability(levels):
    """What the model says of frames that show one gray level each."""
    return 1 / (1 + np.exp(-(np.asarray(levels, np.float64) - 128) / 16))


def brightness_model(clip_spec, sound_samples=0, has_padding=False, threshold=0.5):
    """Frame scores are those of each frame alone; a clip's score is that of its last real frame."""
    frames = keras.Input((None, *clip_spec.shape[1:]), dtype="uint8", name="frames")
    inputs = {"frames": frames}
    light = (ops.mean(ops.cast(frames, "float32"), axis=(2, 3, 4)) - 128) / 16
    outputs = {"light_frames": ops.stack([light, -light], axis=-1)}
    outputs["light"] = outputs["light_frames"][:, -1]
    if has_padding:
        inputs["padding_mask"] = mask = keras.Input((None,), dtype="bool", name="padding_mask")
        last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
        outputs["light"] = ops.take_along_axis(outputs["light_frames"], last[:, None, None], axis=1)[:, 0]
    if sound_samples:
        inputs["sound"] = sound = keras.Input((None, sound_samples), dtype="float32", name="sound")
        outputs["sound_frames"] = 40 * ops.mean(ops.abs(sound), axis=-1, keepdims=True) - 4
        outputs["sound"] = ops.max(outputs["sound_frames"], axis=1)
    model = keras.Model(inputs if len(inputs) > 1 else frames, outputs)
    model.clip_spec = clip_spec
    model.vocabularies = VOCABULARIES | (HEARING if sound_samples else {})
    model.thresholds = {name: [threshold] * len(labels) for name, labels in model.vocabularies.items()}
    model.backbone = types.SimpleNamespace(num_features=0, sound_samples=sound_samples, has_padding=has_padding)
    return model

"""Features of each second of a video, as YouTube-8M publishes them, to a logit for each of its labels."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from sora_keras.layers.context_gating import ContextGating
from sora_keras.layers.mixture_of_experts import MixtureOfExperts
from sora_keras.models.backbone import SoraBackbone
from sora_keras.video.clip import ClipSpec

NUM_LABELS, MAX_FRAMES = 3862, 300
RGB_FEATURES, AUDIO_FEATURES = 1024, 128


@keras.saving.register_keras_serializable(package="sora_keras")
def summed_crossentropy(y_true: Any, y_pred: Any) -> Any:
    """Binary cross-entropy of labels and logits `(B, K)`, added up over the labels: `(B,)`.

    Keras's own is the mean, which for thousands of labels makes gradients as small as the epsilon of Adam.
    """
    return ops.sum(ops.binary_crossentropy(y_true, y_pred, from_logits=True), axis=-1)


def youtube8m_model(
    num_labels: int = NUM_LABELS,
    units: tuple[int, ...] = (1024, 1024),
    sequence: str = "lstm",
    num_experts: int = 2,
    dropout: float = 0.0,
    l2: float = 1e-8,
    learning_rate: float = 1e-3,
) -> keras.Model:
    """Build a model of what `youtube8m_dataset` yields: a backbone over seconds, experts, context gating.

    Args:
        num_labels: labels K.
        units: units of the layers that read the seconds in order, one layer each.
        sequence: what reads them, as `SoraBackbone` has it: `"lstm"`, `"lstm_attention"`, `"attention"`, ...
        num_experts: experts of each label.
        dropout: share of the features dropped before each layer that reads them while training.
        l2: L2 penalty on the kernels of experts, gates and context gating.
        learning_rate: Adam's.

    Returns:
        A compiled `keras.Model` from `{"rgb": (B, T, 1024), "audio": (B, T, 128), "num_frames": (B,)}` to logits
        `(B, K)`; frames from `num_frames` on are padding and change nothing. A video without frames counts as one frame
        of zeros.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> model = youtube8m_model(sequence="lstm_attention", units=(512,))
        >>> model.fit(youtube8m_dataset("yt8m/train*.tfrecord"))  # doctest: +SKIP

    Reference:
        Abu-El-Haija et al., YouTube-8M, 2016, https://arxiv.org/abs/1609.08675 (LSTM, mixture of experts);
        Miech, Laptev, Sivic, 2017, https://arxiv.org/abs/1706.06905 (context gating).
    """
    rgb = keras.Input((None, RGB_FEATURES), name="rgb")
    audio = keras.Input((None, AUDIO_FEATURES), name="audio")
    num_frames = keras.Input((), dtype="int32", name="num_frames")
    features = layers.Concatenate(name="rgb_and_audio")([rgb, audio])
    backbone = SoraBackbone(
        ClipSpec(num_frames=MAX_FRAMES, frames_per_second=1.0),
        filters=(),
        units=units,
        sequence=sequence,
        dropout=dropout,
        num_features=RGB_FEATURES + AUDIO_FEATURES,
        has_padding=True,
    )
    number = ops.cumsum(ops.ones_like(rgb[..., 0], dtype="int32"), axis=1)
    padding_mask = number <= ops.expand_dims(ops.maximum(num_frames, 1), -1)
    embedding = backbone({"features": features, "padding_mask": padding_mask})["embedding"]
    logits = MixtureOfExperts(num_labels, num_experts, l2, name="experts")(embedding)
    logits = ContextGating(from_logits=True, l2=l2, name="context_gating")(logits)
    model = keras.Model({"rgb": rgb, "audio": audio, "num_frames": num_frames}, logits, name="youtube8m")
    model.compile(keras.optimizers.Adam(learning_rate), summed_crossentropy)
    return model

"""Features of each frame to features of the clip up to there, or around it, and one summary of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops

from sora_keras.layers import AttentionPooling, PositionEmbedding

SEQUENCES = ("lstm", "bidirectional_lstm", "gru", "attention", "lstm_attention")
HEAD_UNITS = 32


def read_sequence(
    frame_features: keras.KerasTensor,
    sequence: str,
    units: Sequence[int],
    dropout: float,
    l2: float,
    padding_mask: keras.KerasTensor | None,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Connect the layers that read the frames in order.

    | sequence | each frame's features tell of | summary of the clip |
    |---|---|---|
    | `"lstm"`, `"gru"` | the frames up to it (causal) | the last frame's |
    | `"bidirectional_lstm"` | all frames | the last frame's forwards beside the first one's backwards |
    | `"attention"` | all frames | the average |
    | `"lstm_attention"` | the frames up to it (causal) | an average with learned weights |

    Args:
        frame_features: `(B, T, D)`.
        sequence: one of `SEQUENCES`.
        units: units of the layers, one layer each.
        dropout: share of the features dropped before each layer while training.
        l2: L2 penalty on the kernels of the layers.
        padding_mask: bool `(B, T)`, true where a frame is real; `None` if all are.

    Returns:
        Sequence features `(B, T, E)`, E the last of `units`, twice that if bidirectional, and summary `(B, E)`.

    Example:
        >>> features, summary = read_sequence(keras.Input((None, 256)), "gru", (128, 64), 0.0, 0.0, None)
        >>> features.shape, summary.shape
        ((None, None, 64), (None, 64))
    """
    x = frame_features
    for index, size in enumerate(units):
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
        if sequence == "attention":
            x = _attention(x, size, dropout, l2, padding_mask, index)
        else:
            x = _recurrent(sequence, size, l2, index)(x, mask=padding_mask)
    if sequence == "attention":
        x = layers.LayerNormalization(name="normalize_sequence")(x)
        return x, average_frame(x, padding_mask, "average_sequence")
    if sequence == "lstm_attention":
        return x, AttentionPooling(units[-1], name="attention_pooling")(x, mask=padding_mask)
    last = last_frame(x, padding_mask)
    if sequence == "bidirectional_lstm":
        last = layers.Concatenate(name="both_ends")([last[:, : units[-1]], x[:, 0, units[-1] :]])
    return x, last


def average_frame(features: keras.KerasTensor, padding_mask: keras.KerasTensor | None, name: str) -> keras.KerasTensor:
    """Features `(B, T, D)` to their mean over the real frames `(B, D)`."""
    return layers.GlobalAveragePooling1D(name=name)(features, mask=padding_mask)


def spread_over_frames(
    features: keras.KerasTensor, average: keras.KerasTensor, padding_mask: keras.KerasTensor | None, name: str
) -> keras.KerasTensor:
    """Features `(B, T, D)` to their standard deviation over the real frames `(B, D)`."""
    squares = average_frame(ops.square(features - ops.expand_dims(average, 1)), padding_mask, name)
    return ops.sqrt(squares + keras.config.epsilon())


def last_frame(features: keras.KerasTensor, padding_mask: keras.KerasTensor | None) -> keras.KerasTensor:
    """Features `(B, T, D)` to those of the last real frame `(B, D)`."""
    if padding_mask is None:
        return features[:, -1]
    last = ops.sum(ops.cast(padding_mask, "int32"), axis=1) - 1
    return ops.squeeze(ops.take_along_axis(features, ops.expand_dims(last, (1, 2)), axis=1), axis=1)


def _recurrent(sequence: str, size: int, l2: float, index: int) -> keras.layers.Layer:
    """A layer that a GPU runs with cuDNN."""
    penalty = _penalty(l2)
    if sequence == "gru":
        return layers.GRU(size, return_sequences=True, kernel_regularizer=penalty, name=f"gru_{index}")
    lstm = layers.LSTM(size, return_sequences=True, kernel_regularizer=penalty, name=f"lstm_{index}")
    return layers.Bidirectional(lstm, name=f"bidirectional_{index}") if sequence == "bidirectional_lstm" else lstm


def _attention(
    x: keras.KerasTensor,
    size: int,
    dropout: float,
    l2: float,
    padding_mask: keras.KerasTensor | None,
    index: int,
) -> keras.KerasTensor:
    """A transformer block that normalizes before it reads (Xiong et al. 2020, https://arxiv.org/abs/2002.04745)."""
    penalty = _penalty(l2)
    if x.shape[-1] != size or index == 0:
        x = layers.Dense(size, kernel_regularizer=penalty, name=f"width_{index}")(x)
    if index == 0:
        x = PositionEmbedding(name="positions")(x)
    num_heads = max(1, size // HEAD_UNITS)
    attention = layers.MultiHeadAttention(
        num_heads, max(1, size // num_heads), dropout=dropout, kernel_regularizer=penalty, name=f"attention_{index}"
    )
    normalized = layers.LayerNormalization(name=f"normalize_before_attention_{index}")(x)
    mask = None if padding_mask is None else ops.expand_dims(padding_mask, 1)
    x = layers.Add(name=f"add_attention_{index}")([x, attention(normalized, normalized, attention_mask=mask)])
    hidden = layers.LayerNormalization(name=f"normalize_before_dense_{index}")(x)
    hidden = layers.Dense(4 * size, activation="gelu", kernel_regularizer=penalty, name=f"expand_{index}")(hidden)
    hidden = layers.Dense(size, kernel_regularizer=penalty, name=f"contract_{index}")(hidden)
    return layers.Add(name=f"add_dense_{index}")([x, hidden])


def _penalty(l2: float) -> keras.regularizers.Regularizer | None:
    return keras.regularizers.L2(l2) if l2 else None

"""Scores of frames in, the mean of the highest of them out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sora_keras")
class TopPooling(keras.layers.Layer):
    """Average the highest scores over time, of each label by itself.

    What a clip is labeled with need not last: the mean of its highest frames says whether it occurs, and training on
    clip labels alone then raises those frames only, which says when.

    Args:
        share: of the frames to average, above 0 and at most 1, at least one frame.

    Call arguments:
        scores: `(B, T, K)`.
        mask: bool `(B, T)`, true where a frame is real, at least one a clip; `None` if all are.

    Returns:
        `(B, K)`.

    Raises:
        ValueError: if `share` is out of its range.

    Example:
        >>> TopPooling(share=0.5)(np.array([[[1.0], [4.0], [2.0], [3.0]]]))
        [[3.5]]

    Reference:
        Paul et al., W-TALC: Weakly-supervised Temporal Activity Localization and Classification, ECCV 2018,
        https://arxiv.org/abs/1807.10418
    """

    def __init__(self, share: float = 0.125, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < share <= 1:
            raise ValueError(f"`share` of the frames must be above 0 and at most 1, received {share!r}.")
        self.share = share
        self.supports_masking = True

    def call(self, scores: Any, mask: Any = None) -> Any:
        """Pool over time."""
        if mask is None:
            mask = ops.ones_like(scores[:, :, 0], dtype="bool")
        lengths = ops.sum(ops.cast(mask, scores.dtype), axis=1)[:, None, None]
        scores = ops.where(mask[:, :, None], scores, ops.min(scores, axis=1, keepdims=True) - 1)
        descending = -ops.sort(-scores, axis=1)
        num_highest = ops.maximum(ops.floor(self.share * lengths), 1)
        positions = ops.cast(ops.arange(ops.shape(scores)[1]), scores.dtype)[None, :, None]
        is_high = ops.cast(positions < num_highest, scores.dtype)
        return ops.sum(descending * is_high, axis=1) / num_highest[:, 0]

    def compute_mask(self, scores: Any, mask: Any = None) -> None:
        """There are no frames any more."""

    def compute_output_shape(self, scores_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """`(B, K)`."""
        return (scores_shape[0], scores_shape[2])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "share": self.share}

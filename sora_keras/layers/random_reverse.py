"""Clips in, some of them played backwards out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from sora_keras.layers.class_guards import check_classes, label_order, swap_labels
from sora_keras.layers.frame_selection import clip_sizes, take_frames


@keras.saving.register_keras_serializable(package="sora_keras")
class RandomReverse(keras.layers.Layer):
    """Play some clips backwards, drawn for each clip.

    Args:
        rate: share of the clips to reverse, 0 to 1.
        class_names: names of the classes in the order of the labels. With them the layer refuses to be made where a
            reversed clip would show another class: opening and closing, entering and leaving, left and right. See
            `classes_changed`.
        reverse_labels: classes that become one another, such as `{"open": "close"}`: then they are no obstacle, the
            layer wants labels, and swaps those of the clips it reverses.
        seed: for the same draws at each run.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype.
        labels: passed on, but for `reverse_labels`: whole numbers `(B,)` or one-hot `(B, K)`, without B for one clip.
        training: whether to reverse any; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        Frames of the same shape and dtype, and labels if they came in.

    Raises:
        ValueError: if `rate` is not in 0..1, or classes would be changed.

    Example:
        >>> dataset = dataset.map(RandomReverse(class_names=["walk", "run"]))
    """

    def __init__(
        self,
        rate: float = 0.5,
        class_names: Sequence[str] | None = None,
        reverse_labels: Mapping[str, str] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if not 0 <= rate <= 1:
            raise ValueError(f"`rate` must be a share in 0..1, received {rate!r}.")
        self._label_order = label_order(class_names, reverse_labels, "reverse_labels")
        check_classes(class_names, reverse_labels, "reversed", "RandomReverse", "reverse_labels")
        self.rate = rate
        self.class_names = None if class_names is None else list(class_names)
        self.reverse_labels = None if reverse_labels is None else dict(reverse_labels)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames: Any, labels: Any = None, training: bool | None = True) -> Any:
        """Draw which clips to reverse."""
        if not training:
            return frames if labels is None else (frames, labels)
        if self._label_order is not None and labels is None:
            raise ValueError(
                "`reverse_labels` swaps the labels of reversed clips, but received frames only: call with (frames, "
                "labels)."
            )
        num_clips, length = clip_sizes(frames)
        is_reversed = keras.random.uniform((num_clips, 1), dtype="float32", seed=self.seed_generator) < self.rate
        numbers = ops.arange(length, dtype="int32")
        outputs = take_frames(frames, ops.where(is_reversed, length - 1 - numbers, numbers))
        if labels is None:
            return outputs
        if self._label_order is None:
            return outputs, labels
        if len(frames.shape) == 5:
            return outputs, swap_labels(labels, is_reversed[:, 0], self._label_order)
        return outputs, swap_labels(ops.expand_dims(labels, 0), is_reversed[:, 0], self._label_order)[0]

    def compute_output_spec(self, frames: Any, labels: Any = None, training: bool | None = True) -> Any:
        """As came in."""
        outputs = keras.KerasTensor(frames.shape, dtype=frames.dtype)
        return outputs if labels is None else (outputs, keras.KerasTensor(labels.shape, dtype=labels.dtype))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "rate": self.rate,
            "class_names": self.class_names,
            "reverse_labels": self.reverse_labels,
            "seed": self.seed,
        }

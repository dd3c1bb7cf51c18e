"""Batches of clips and one-hot labels in, mixtures of two clips each and of their labels out: MixUp and CutMix."""

from __future__ import annotations

from typing import Any, Literal, get_args

import keras
from keras import ops

Along = Literal["space", "time"]


@keras.saving.register_keras_serializable(package="sora_keras")
class ClipMixUp(keras.layers.Layer):
    """Blend each clip with another one of the batch, with one weight for all of its frames; the labels likewise.

    `keras.layers.MixUp` on clips.

    Args:
        alpha: of the Beta distribution the weights are drawn from; small values leave most clips nearly as they were.
        seed: for the same draws at each run.

    Call arguments:
        frames: `(B, T, H, W, C)`, any dtype.
        labels: one-hot `(B, K)`, floating point.
        training: whether to mix; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        Frames of the same shape and dtype (whole numbers rounded), and labels.

    Raises:
        ValueError: if `alpha` is not positive, the clips are no batch, or the labels are not one-hot.

    Example:
        >>> dataset = dataset.batch(8).map(ClipMixUp(0.2))

    Reference:
        Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018, https://arxiv.org/abs/1710.09412
    """

    def __init__(self, alpha: float = 0.2, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if not alpha > 0:
            raise ValueError(f"`alpha` must be positive, received {alpha!r}.")
        self.alpha = alpha
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._mix_up = keras.layers.MixUp(alpha)

    def build(self, *_: Any) -> None:
        """Nothing depends on the shapes."""
        self._mix_up.build(None)

    def call(self, frames: Any, labels: Any, training: bool | None = True) -> Any:
        """Keras mixes a clip as one tall image: its frames, one below the other."""
        _check_batch(frames, labels, "ClipMixUp")
        if not training:
            return frames, labels
        num_clips, num_frames, height, width, channels = ops.shape(frames)
        tall = ops.reshape(frames, (num_clips, num_frames * height, width, channels))
        drawn = self._mix_up.get_random_transformation(tall, training=True, seed=self.seed_generator)
        mixed = self._mix_up.transform_images(tall, drawn, training=True)
        if "int" in keras.backend.standardize_dtype(frames.dtype):
            mixed = ops.round(mixed)
        mixed = ops.reshape(ops.cast(mixed, frames.dtype), ops.shape(frames))
        return mixed, self._mix_up.transform_labels(labels, drawn, training=True)

    def compute_output_spec(self, frames: Any, labels: Any, training: bool | None = True) -> Any:
        """As came in."""
        return tuple(keras.KerasTensor(part.shape, dtype=part.dtype) for part in (frames, labels))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "alpha": self.alpha, "seed": self.seed}


@keras.saving.register_keras_serializable(package="sora_keras")
class ClipCutMix(keras.layers.Layer):
    """Replace a part of each clip by that part of another one of the batch; the labels by its share.

    Args:
        along: `"space"` replaces a box, the same in all frames, drawn by `keras.layers.CutMix`; `"time"` replaces a run
            of whole frames.
        factor: of the Beta distribution the sizes are drawn from, above 0 to 1: 1 makes all equally likely, small
            values leave most clips nearly as they were or replace them nearly whole.
        seed: for the same draws at each run.

    Call arguments:
        frames: `(B, T, H, W, C)`, any dtype.
        labels: one-hot `(B, K)`, floating point.
        training: whether to mix; true unless the call says otherwise, as in Keras's image layers.

    Returns:
        Frames of the same shape and dtype, and labels, weighted by the pixels that were left and replaced.

    Raises:
        ValueError: if `along` is unknown, `factor` is not in 0..1, the clips are no batch, or the labels are not
            one-hot.

    Example:
        >>> dataset = dataset.batch(8).map(ClipCutMix())

    Reference:
        Yun et al., CutMix, ICCV 2019, https://arxiv.org/abs/1905.04899; for video: Yun et al., VideoMix, 2020,
        https://arxiv.org/abs/2012.03457, where boxes did better than runs of frames.
    """

    def __init__(self, along: Along = "space", factor: float = 1.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if along not in get_args(Along):
            raise ValueError(f"`along` must be one of {get_args(Along)}, received {along!r}.")
        if not 0 < factor <= 1:
            raise ValueError(f"`factor` must be above 0 and at most 1, received {factor!r}.")
        self.along = along
        self.factor = factor
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._cut_mix = keras.layers.CutMix((factor, factor))

    def build(self, *_: Any) -> None:
        """Nothing depends on the shapes."""
        self._cut_mix.build(None)

    def call(self, frames: Any, labels: Any, training: bool | None = True) -> Any:
        """Draw a place and a partner for each clip."""
        _check_batch(frames, labels, "ClipCutMix")
        if not training:
            return frames, labels
        is_replaced, partners = self._draw_box(frames) if self.along == "space" else self._draw_run(frames)
        kept_share = 1 - ops.mean(ops.cast(is_replaced, labels.dtype), axis=(1, 2, 3, 4))
        mixed = ops.where(is_replaced, ops.take(frames, partners, axis=0), frames)
        drawn = {"permutation_order": partners, "mix_weight": kept_share}
        return mixed, self._cut_mix.transform_labels(labels, drawn, training=True)

    def _draw_box(self, frames: Any) -> tuple[Any, Any]:
        """What is replaced, `bool (B, 1, H, W, C)`, and by whose, `(B,)`."""
        drawn = self._cut_mix.get_random_transformation(frames[:, 0], training=True, seed=self.seed_generator)
        return ops.expand_dims(drawn["batch_masks"], 1), drawn["permutation_order"]

    def _draw_run(self, frames: Any) -> tuple[Any, Any]:
        """What is replaced, `bool (B, T, 1, 1, 1)`, and by whose, `(B,)`."""
        num_clips, num_frames = ops.shape(frames)[:2]
        length = ops.cast(num_frames, "float32")
        share = keras.random.beta((num_clips, 1), self.factor, self.factor, dtype="float32", seed=self.seed_generator)
        num_replaced = ops.round(share * length)
        place = keras.random.uniform((num_clips, 1), dtype="float32", seed=self.seed_generator)
        start = ops.floor(place * (length - num_replaced + 1))
        numbers = ops.cast(ops.arange(num_frames), "float32")
        is_replaced = ops.logical_and(numbers >= start, numbers < start + num_replaced)
        partners = keras.random.shuffle(ops.arange(num_clips, dtype="int32"), seed=self.seed_generator)
        return ops.reshape(is_replaced, (num_clips, num_frames, 1, 1, 1)), partners

    def compute_output_spec(self, frames: Any, labels: Any, training: bool | None = True) -> Any:
        """As came in."""
        return tuple(keras.KerasTensor(part.shape, dtype=part.dtype) for part in (frames, labels))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "along": self.along, "factor": self.factor, "seed": self.seed}


def _check_batch(frames: Any, labels: Any, name: str) -> None:
    if len(frames.shape) != 5:
        raise ValueError(
            f"{name} mixes the clips of a batch, shape (B, T, H, W, C), received {tuple(frames.shape)}: batch first."
        )
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if len(labels.shape) != 2 or "float" not in dtype:
        raise ValueError(
            f"{name} mixes one-hot labels, floating point of shape (B, K), received {dtype} of shape "
            f'{tuple(labels.shape)}: make the dataset with label_mode="categorical", or use keras.ops.one_hot.'
        )

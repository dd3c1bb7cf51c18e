"""Clips without labels in, windows at drawn speeds and the numbers of the speeds out: labels that cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from sora_keras.layers.frame_selection import clip_sizes, take_frames


@keras.saving.register_keras_serializable(package="sora_keras")
class SpeedPretext(keras.layers.Layer):
    """Cut a window out of each clip, at a place and a speed drawn for it, and say which speed it was.

    A network that learns to name the speed has to learn how things move. Its backbone is then a better start than
    random weights where few clips have labels and many have none.

    Args:
        num_frames: frames N of a window.
        speeds: the speeds to draw from, each as often: 4 keeps every fourth frame. A clip needs
            `(N - 1) * max(speeds) + 1` frames.
        seed: for the same draws at each run.

    Call arguments:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`, any dtype.
        labels: ignored, so that a dataset with labels will do.

    Returns:
        Windows `(B, N, H, W, C)` or `(N, H, W, C)`, and numbers of the speeds `int32 (B,)` or `()`.

    Raises:
        ValueError: if an argument is out of its range, or a clip is too short.

    Example:
        >>> pretext = SpeedPretext(num_frames=8)
        >>> backbone = SoraBackbone(ClipSpec(num_frames=8))
        >>> SoraClassifier(backbone, pretext.class_names).fit(unlabelled.map(pretext), epochs=40)
        >>> SoraClassifier(backbone, ["fight", "no_fight"]).fit(few, epochs=30)

    Reference:
        Benaim et al., SpeedNet: Learning the Speediness in Videos, 2020, https://arxiv.org/abs/2004.06130
    """

    def __init__(
        self, num_frames: int, speeds: Sequence[int] = (1, 2, 4), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if num_frames < 2:
            raise ValueError(f"`num_frames` must be at least 2 for a speed to show, received {num_frames!r}.")
        if len(speeds) < 2 or len(set(speeds)) < len(speeds) or any(s != int(s) or s < 1 for s in speeds):
            raise ValueError(
                f"`speeds` must be at least two different whole numbers from 1 up, received {tuple(speeds)!r}."
            )
        self.num_frames = num_frames
        self.speeds = tuple(int(speed) for speed in speeds)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def class_names(self) -> list[str]:
        """Names of the speeds, in the order of their numbers."""
        return [f"{speed}x" for speed in self.speeds]

    def call(self, frames: Any, labels: Any = None) -> Any:
        """Draw a speed and a start for each clip."""
        num_clips, length = clip_sizes(frames)
        needed = (self.num_frames - 1) * max(self.speeds) + 1
        if isinstance(length, int) and length < needed:
            raise ValueError(
                f"{self.num_frames} frames at speed {max(self.speeds)} need clips of at least {needed} frames, "
                f"received {length}: give longer clips, fewer `num_frames` or lower `speeds`."
            )
        numbers = keras.random.randint((num_clips,), 0, len(self.speeds), seed=self.seed_generator)
        speed = ops.expand_dims(ops.take(ops.convert_to_tensor(self.speeds, "int32"), numbers), -1)
        num_starts = ops.cast(length - (self.num_frames - 1) * speed, "float32")
        place = keras.random.uniform((num_clips, 1), dtype="float32", seed=self.seed_generator)
        start = ops.cast(ops.minimum(ops.floor(place * num_starts), num_starts - 1), "int32")
        windows = take_frames(frames, start + speed * ops.arange(self.num_frames, dtype="int32"))
        return windows, numbers if len(frames.shape) == 5 else numbers[0]

    def compute_output_spec(self, frames: Any, labels: Any = None) -> Any:
        """N frames in place of T, and a number for each clip."""
        windows = keras.KerasTensor((*frames.shape[:-4], self.num_frames, *frames.shape[-3:]), dtype=frames.dtype)
        return windows, keras.KerasTensor(frames.shape[:-4], dtype="int32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "num_frames": self.num_frames, "speeds": list(self.speeds), "seed": self.seed}

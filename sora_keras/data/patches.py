"""Whole videos in memory in, small clips cut out of them at random out, at their full resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sora_keras.video.clip import ClipSpec


def patch_dataset(
    videos: Sequence[np.ndarray],
    clip_spec: ClipSpec,
    batch_size: int = 8,
    spoiled: Sequence[np.ndarray] | None = None,
    seed: int = 0,
) -> Any:
    """Cut clips of `clip_spec`'s size out of videos, without end, at a random place and time, turned and mirrored.

    What a network that restores needs: many small windows on true pixels, never resized. Each video is as likely as any
    other. A clip runs forwards or backwards, at the video's rate or twice that where it is long enough.

    Args:
        videos: `uint8 (T, H, W, 3)`, or memory maps of that.
        clip_spec: number of frames, height and width of a clip; its rate is not looked at.
        batch_size: clips B in a batch.
        spoiled: the same videos, frame by frame, as they came out of what spoiled them.
        seed: the same seed makes the same clips.

    Returns:
        A `tf.data.Dataset` of good clips `uint8 (B, T, H, W, 3)`; with `spoiled`, of pairs
        `(spoiled clips, {"frames": good clips})`, as `SoraEnhancer` trains on.

    Raises:
        ValueError: if there is no video, one is smaller or shorter than a clip, or a spoiled one has another shape.

    Example:
        >>> noise = FrameNoise(30.0)
        >>> clips = patch_dataset(videos, ClipSpec(num_frames=4, height=64, width=64))
        >>> model.fit(clips.map(lambda good: (noise(good), {"frames": good})), steps_per_epoch=500, epochs=10)
    """
    pairs = _checked(videos, clip_spec, spoiled)
    shape = (batch_size, clip_spec.num_frames, clip_spec.height, clip_spec.width, 3)

    def batches() -> Iterator[tuple[np.ndarray, ...]]:
        generator = np.random.default_rng(seed)
        while True:
            clips = [_cut(pairs[generator.integers(len(pairs))], clip_spec, generator) for _ in range(batch_size)]
            yield tuple(np.stack(parts) for parts in zip(*clips, strict=True))

    signature = tuple(tf.TensorSpec(shape, tf.uint8) for _ in pairs[0])
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    if spoiled is None:
        dataset = dataset.map(lambda good: good)
    else:
        dataset = dataset.map(lambda good, bad: (bad, {"frames": good}))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _checked(
    videos: Sequence[np.ndarray], clip_spec: ClipSpec, spoiled: Sequence[np.ndarray] | None
) -> list[tuple[np.ndarray, ...]]:
    if not len(videos):
        raise ValueError("`videos` must hold at least one video, received none.")
    if spoiled is not None and [video.shape for video in spoiled] != [video.shape for video in videos]:
        raise ValueError(
            f"`spoiled` must hold videos of the shapes of `videos`, {[video.shape for video in videos]}, received "
            f"{[video.shape for video in spoiled]}."
        )
    shortest = (clip_spec.num_frames, clip_spec.height, clip_spec.width)
    for index, video in enumerate(videos):
        if any(side < least for side, least in zip(video.shape, shortest, strict=False)):
            raise ValueError(
                f"Videos must hold at least {shortest[0]} frames of {shortest[1]} x {shortest[2]} pixels, received "
                f"{video.shape} as video {index}: use a smaller `clip_spec`, or leave it out."
            )
    return [(video,) for video in videos] if spoiled is None else list(zip(videos, spoiled, strict=True))


def _cut(videos: tuple[np.ndarray, ...], clip_spec: ClipSpec, generator: np.random.Generator) -> list[np.ndarray]:
    """The same clip of a video and, if there is one, of its spoiled twin, each `uint8 (T, H, W, 3)`."""
    num_frames, height, width, _ = videos[0].shape
    fits_twice = num_frames >= 2 * clip_spec.num_frames
    every = 2 if fits_twice and generator.random() < 0.3 else 1
    length = (clip_spec.num_frames - 1) * every + 1
    start = generator.integers(num_frames - length + 1)
    top = generator.integers(height - clip_spec.height + 1)
    left = generator.integers(width - clip_spec.width + 1)
    is_mirrored, is_upside_down, is_backwards, is_turned = generator.random(4) < 0.5
    is_turned &= clip_spec.height == clip_spec.width
    clips = []
    for video in videos:
        clip = video[start : start + length : every, top : top + clip_spec.height, left : left + clip_spec.width]
        clip = clip[:: -1 if is_backwards else 1, :: -1 if is_upside_down else 1, :: -1 if is_mirrored else 1]
        clips.append(np.ascontiguousarray(clip.transpose(0, 2, 1, 3) if is_turned else clip))
    return clips

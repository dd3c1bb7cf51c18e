"""Clips and one row of frame numbers a clip in, clips of those frames out: what every temporal augmentation ends in."""

from __future__ import annotations

from typing import Any

from keras import ops


def clip_sizes(frames: Any) -> tuple[Any, Any]:
    """How many clips there are, 1 for a single one, and how many frames T each has.

    Args:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`.

    Returns:
        B and T, as numbers where they are known and as tensors where they are not.

    Raises:
        ValueError: if the shape is another.

    Example:
        >>> clip_sizes(np.zeros((16, 64, 64, 3)))
        (1, 16)
    """
    shape = ops.shape(frames)
    if len(shape) not in (4, 5):
        raise ValueError(f"Clips must have the shape (B, T, H, W, C) or (T, H, W, C), received {tuple(frames.shape)}.")
    return (shape[0], shape[1]) if len(shape) == 5 else (1, shape[0])


def take_frames(frames: Any, numbers: Any) -> Any:
    """Pick frames by their numbers.

    Args:
        frames: `(B, T, H, W, C)` or `(T, H, W, C)`.
        numbers: `int32 (B, N)`, in `0..T - 1`; `(1, N)` for a single clip.

    Returns:
        `(B, N, H, W, C)` or `(N, H, W, C)`, the frames' dtype.

    Example:
        >>> take_frames(frames, [[3, 2, 1, 0]])
    """
    if len(frames.shape) == 4:
        return ops.take(frames, numbers[0], axis=0)
    num_clips, num_frames, *size = ops.shape(frames)
    first = ops.expand_dims(ops.arange(num_clips, dtype="int32") * num_frames, -1)
    chosen = ops.take(ops.reshape(frames, (-1, *size)), ops.reshape(first + numbers, (-1,)), axis=0)
    return ops.reshape(chosen, (num_clips, ops.shape(numbers)[1], *size))

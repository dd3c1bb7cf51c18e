"""MNIST's files in, Moving MNIST out: two digits that bounce in a box of 64x64, ten frames seen and ten to predict.

Data: sequences of 20 frames made from MNIST's 28x28 digits; the test set is a file of 10,000 sequences, 819 MB, the
digits 12 MB.
Where: https://www.cs.toronto.edu/~nitish/unsupervised_video/ (`mnist_test_seq.npy`) and
https://storage.googleapis.com/cvdf-datasets/mnist/ (the digits), or `sora-keras download moving_mnist`.
License: unknown.
Citation: N. Srivastava, E. Mansimov and R. Salakhutdinov, "Unsupervised Learning of Video Representations using LSTMs",
ICML 2015, https://arxiv.org/abs/1502.04681; MNIST: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-Based
Learning Applied to Document Recognition", Proc. IEEE 86(11), 1998.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_keras.data.idx import read_idx

SIZE, DIGIT_SIZE, STEP = 64, 28, 0.1
NUM_FRAMES, NUM_INPUT_FRAMES = 20, 10
TEST_FILE = "mnist_test_seq.npy"
TRAIN_IMAGES, TEST_IMAGES = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"
FIRST_TEST_DIGIT = 8000  # of MNIST's test images, where they are all there is


def moving_mnist_sequences(
    images: np.ndarray,
    num_sequences: int,
    seed: int,
    num_frames: int = NUM_FRAMES,
    num_digits: int = 2,
) -> np.ndarray:
    """Make sequences as the published generator does.

    Digits are drawn independently. Each one starts anywhere in the 36x36 box in which its corner may be, and goes a
    tenth of the box's side a frame in a direction of its own. At a side of the box it stops for the rest of that frame
    and then goes on mirrored. Positions are cut to whole pixels; where digits overlap the brighter one is seen.

    Args:
        images: digits to draw from, `uint8 (N, 28, 28)`.
        num_sequences: how many to make.
        seed: the same seed makes the same bytes, sequence by sequence, however many are made.
        num_frames: frames T of a sequence.
        num_digits: digits in it.

    Returns:
        `uint8 (num_sequences, T, 64, 64)`.

    Raises:
        ValueError: if the images are of another shape or type, or there are none.

    Example:
        >>> digits = read_idx("train-images-idx3-ubyte.gz")  # doctest: +SKIP
        >>> moving_mnist_sequences(digits, 16, seed=0).shape  # doctest: +SKIP
        (16, 20, 64, 64)

    Reference:
        Srivastava et al. 2015, section 3.1, and the code published with it: x += 0.1 cos(theta),
        y += 0.1 sin(theta) in [0, 1] x [0, 1], corner = int(36 x), int(36 y).
    """
    _check_images(images)
    sequences = np.zeros((num_sequences, num_frames, SIZE, SIZE), np.uint8)
    for index in range(num_sequences):
        _draw(sequences[index], images, num_digits, np.random.default_rng([seed, index]))
    return sequences


def moving_mnist_dataset(
    directory: str | os.PathLike[str],
    subset: str,
    batch_size: int | None = 16,
    num_sequences: int = 10_000,
    seed: int = 0,
    dtype: str = "float32",
) -> Any:
    """Make the standard benchmark of prediction: ten frames in, the next ten out.

    Training sequences are made as they are needed, new ones at each epoch, from `train-images-idx3-ubyte(.gz)`. Test
    sequences are those of `mnist_test_seq.npy`, and the same at each epoch. Results that are compared with published
    ones need both files. Without the second one, test sequences are made from `t10k-images-idx3-ubyte(.gz)`; without
    the first one, training sequences are made from the digits 0 to 7999 of that file and test sequences from the digits
    8000 to 9999. No digit is in both subsets that are made; which digits `mnist_test_seq.npy` has is not published.
    `dataset.source` says what was taken.

    Args:
        directory: the folder with these files.
        subset: `"training"` or `"test"`.
        batch_size: sequences in a batch; `None` yields single ones.
        num_sequences: sequences in an epoch, at most those of `mnist_test_seq.npy`.
        seed: makes the sequences the same at each run.
        dtype: `"float32"` for values from 0 to 1, `"uint8"` for 0 to 255.

    Returns:
        A `tf.data.Dataset` of pairs `(B, 10, 64, 64, 1)`, with the attribute `source`.

    Raises:
        ValueError: if an argument is out of its range, or a file is not as published.
        FileNotFoundError: if no digits are there.

    Example:
        >>> train = moving_mnist_dataset("datasets/moving_mnist", "training", batch_size=16)  # doctest: +SKIP
        >>> test = moving_mnist_dataset("datasets/moving_mnist", "test", batch_size=16)  # doctest: +SKIP
    """
    if subset not in ("training", "test"):
        raise ValueError(f'`subset` must be "training" or "test", received {subset!r}.')
    if dtype not in ("float32", "uint8"):
        raise ValueError(f'`dtype` must be "float32" or "uint8", received {dtype!r}.')
    directory = Path(directory)
    published = directory / TEST_FILE
    if subset == "test" and published.is_file():
        sequences, source = _open_test_file(published, num_sequences), TEST_FILE

        def make(index: np.int64) -> np.ndarray:
            return np.ascontiguousarray(sequences[:, index])

    else:
        images, source = _read_digits(directory, subset)

        def make(index: np.int64) -> np.ndarray:
            sequence = np.zeros((NUM_FRAMES, SIZE, SIZE), np.uint8)
            _draw(sequence, images, 2, np.random.default_rng([seed, int(index)]))
            return sequence

    dataset = _indices(subset, num_sequences, seed).map(lambda index: _pair(make, index, dtype), tf.data.AUTOTUNE)
    dataset = dataset if batch_size is None else dataset.batch(batch_size)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    dataset.source = source
    return dataset


def _indices(subset: str, num_sequences: int, seed: int) -> Any:
    """Numbers of the sequences of an epoch: 0, 1, ... to test, random ones, others at each epoch, to train."""
    if subset == "test":
        return tf.data.Dataset.range(num_sequences)
    numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    return numbers.take(num_sequences).apply(tf.data.experimental.assert_cardinality(num_sequences))


def _pair(make: Any, index: Any, dtype: str) -> tuple[Any, Any]:
    frames = tf.numpy_function(make, (index,), tf.uint8)
    frames.set_shape((NUM_FRAMES, SIZE, SIZE))
    frames = frames[..., tf.newaxis]
    if dtype == "float32":
        frames = tf.cast(frames, tf.float32) / 255.0
    return frames[:NUM_INPUT_FRAMES], frames[NUM_INPUT_FRAMES:]


def _draw(frames: np.ndarray, images: np.ndarray, num_digits: int, rng: np.random.Generator) -> None:
    """Draw one sequence into `frames (T, 64, 64)`, which are black."""
    for image in images[rng.integers(len(images), size=num_digits)]:
        y, x, turn = rng.random(3)
        tops = _bounce(y, math.sin(2 * math.pi * turn), len(frames))
        lefts = _bounce(x, math.cos(2 * math.pi * turn), len(frames))
        for frame, top, left in zip(frames, tops, lefts, strict=True):
            part = frame[top : top + DIGIT_SIZE, left : left + DIGIT_SIZE]
            np.maximum(part, image, out=part)


def _bounce(position: float, velocity: float, num_frames: int) -> list[int]:
    """One coordinate of a digit's corner at each frame, in pixels, from a position and a velocity in box sides."""
    pixels = []
    for _ in range(num_frames):
        position += velocity * STEP
        if not 0 < position < 1:
            position = min(max(position, 0.0), 1.0)
            velocity = -velocity
        pixels.append(int(position * (SIZE - DIGIT_SIZE)))
    return pixels


def _read_digits(directory: Path, subset: str) -> tuple[np.ndarray, str]:
    """The digits of a subset, and where they are from."""
    train, test = (
        next((path for path in (directory / name, directory / f"{name}.gz") if path.is_file()), None)
        for name in (TRAIN_IMAGES, TEST_IMAGES)
    )
    if train is not None and (subset == "training" or test is not None):
        path, part = (train, slice(None)) if subset == "training" else (test, slice(None))
    else:
        path = test
        part = slice(FIRST_TEST_DIGIT) if subset == "training" else slice(FIRST_TEST_DIGIT, None)
    if path is None:
        raise FileNotFoundError(
            f"{directory} holds neither {TRAIN_IMAGES}.gz nor {TEST_IMAGES}.gz: `sora-keras download moving_mnist` "
            "fetches them."
        )
    images = read_idx(path)
    digits = range(len(images))[part]
    _check_images(images[part])
    return images[part], f"digits {digits.start} to {digits.stop - 1} of {path.name}"


def _check_images(images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (DIGIT_SIZE, DIGIT_SIZE) or not len(images):
        raise ValueError(
            f"`images` must be uint8 of shape (N, {DIGIT_SIZE}, {DIGIT_SIZE}) with at least one digit, received "
            f"{images.dtype} of shape {images.shape}."
        )


def _open_test_file(path: Path, num_sequences: int) -> np.ndarray:
    try:
        sequences = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}): download it again.") from error
    shape = sequences.shape
    if sequences.dtype != np.uint8 or len(shape) != 4 or (shape[0], *shape[2:]) != (NUM_FRAMES, SIZE, SIZE):
        raise ValueError(
            f"{path} must hold uint8 of shape ({NUM_FRAMES}, N, {SIZE}, {SIZE}), received {sequences.dtype} of shape "
            f"{shape}."
        )
    if not 1 <= num_sequences <= shape[1]:
        raise ValueError(f"`num_sequences` must be from 1 to {shape[1]}, those of {path}, received {num_sequences}.")
    return sequences

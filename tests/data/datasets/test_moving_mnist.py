from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sora_keras.data.datasets.moving_mnist import moving_mnist_dataset, moving_mnist_sequences
from sora_keras.data.idx import read_idx

BOX = 64 - 28


def write_digits(path: Path, images: np.ndarray) -> None:
    content = b"\0\0\x08\x03" + struct.pack(">3I", *images.shape) + images.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def flat_digits(num: int, first_level: int = 1) -> np.ndarray:
    """Digits that are squares, each of its own gray level."""
    return np.full((num, 28, 28), np.arange(first_level, first_level + num)[:, None, None], np.uint8)


def corners_of(sequence: np.ndarray) -> np.ndarray:
    """Row and column of the upper left corner of the one square in each frame."""
    return np.array([np.argwhere(frame).min(axis=0) for frame in sequence])


def published_generator(digits: np.ndarray, seed: int, index: int, num_digits: int) -> np.ndarray:
    """The published algorithm, written down once more frame by frame in floating point."""
    rng = np.random.default_rng([seed, index])
    frames = np.zeros((20, 64, 64))
    for digit in rng.integers(len(digits), size=num_digits):
        y, x, turn = rng.random(), rng.random(), rng.random()
        theta = turn * 2 * np.pi
        v_y, v_x = np.sin(theta), np.cos(theta)
        for frame in frames:
            y, x = y + v_y * 0.1, x + v_x * 0.1
            if x <= 0:
                x, v_x = 0, -v_x
            if x >= 1:
                x, v_x = 1, -v_x
            if y <= 0:
                y, v_y = 0, -v_y
            if y >= 1:
                y, v_y = 1, -v_y
            top, left = int(BOX * y), int(BOX * x)
            for row in range(28):
                for column in range(28):
                    value = digits[digit, row, column]
                    frame[top + row, left + column] = max(frame[top + row, left + column], value)
    return frames.astype(np.uint8)


class TestSequences:
    def test_are_those_of_the_published_algorithm(self):
        digits = np.random.default_rng(5).integers(0, 256, (50, 28, 28), np.uint8)
        sequences = moving_mnist_sequences(digits, 12, seed=3)
        assert (sequences.shape, sequences.dtype) == ((12, 20, 64, 64), np.uint8)
        for index in range(12):
            np.testing.assert_array_equal(sequences[index], published_generator(digits, 3, index, 2))

    def test_ways_are_straight_between_bounces_and_stay_inside(self):
        sequences = moving_mnist_sequences(flat_digits(1), 300, seed=0, num_digits=1)
        num_straight = 0
        for sequence in sequences:
            corners = corners_of(sequence)
            assert corners.min() >= 0
            assert corners.max() <= BOX
            steps = np.diff(corners, axis=0)
            assert (np.hypot(*steps.T) <= 0.1 * BOX + np.sqrt(2)).all()
            away = ((corners[:-2] > 4) & (corners[:-2] < BOX - 4) & (corners[2:] > 4) & (corners[2:] < BOX - 4)).all(1)
            change = np.abs(np.diff(steps, axis=0)).max(axis=1)
            assert (change[away] <= 1).all()  # whole pixels of a constant velocity
            num_straight += away.sum()
        assert num_straight > 1000

    def test_every_side_is_reached_and_every_direction_taken(self):
        corners = np.stack([corners_of(s) for s in moving_mnist_sequences(flat_digits(1), 300, seed=1, num_digits=1)])
        assert corners.min(axis=(0, 1)).tolist() == [0, 0]
        assert corners.max(axis=(0, 1)).tolist() == [BOX, BOX]
        first = np.diff(corners[:, :2], axis=1)[:, 0]
        quadrants = {(row > 0, column > 0) for row, column in first.tolist() if row and column}
        assert len(quadrants) == 4

    def test_same_seed_same_bytes_however_many(self):
        digits = flat_digits(200)
        sequences = moving_mnist_sequences(digits, 30, seed=7)
        np.testing.assert_array_equal(moving_mnist_sequences(digits, 30, seed=7), sequences)
        np.testing.assert_array_equal(moving_mnist_sequences(digits, 11, seed=7), sequences[:11])
        assert (moving_mnist_sequences(digits, 30, seed=8) != sequences).any(axis=(1, 2, 3)).all()
        assert len({sequence.tobytes() for sequence in sequences}) == 30

    def test_two_digits_of_full_brightness(self):
        sequences = moving_mnist_sequences(flat_digits(200), 50, seed=0)
        for sequence in sequences:
            levels = set(np.unique(sequence)) - {0}
            assert 1 <= len(levels) <= 2
            largest = max(levels)
            assert (np.count_nonzero(sequence == largest, axis=(1, 2)) >= 28 * 28).all()

    def test_other_numbers(self):
        assert moving_mnist_sequences(flat_digits(9), 2, 0, num_frames=35, num_digits=3).shape == (2, 35, 64, 64)

    @pytest.mark.parametrize(
        "images", [np.zeros((5, 32, 32), np.uint8), np.zeros((5, 28, 28)), np.zeros((0, 28, 28), "u1")]
    )
    def test_images_of_another_form(self, images):
        with pytest.raises(ValueError, match=r"uint8 of shape \(N, 28, 28\) .* received .* of shape \((5|0), "):
            moving_mnist_sequences(images, 1, 0)


class TestDataset:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        """Training digits of gray levels 1 to 100, test digits of 101 to 200."""
        write_digits(tmp_path / "train-images-idx3-ubyte.gz", flat_digits(100, 1))
        write_digits(tmp_path / "t10k-images-idx3-ubyte", flat_digits(100, 101))
        return tmp_path

    def test_ten_frames_and_the_next_ten(self, folder):
        dataset = moving_mnist_dataset(folder, "test", batch_size=4, num_sequences=10, seed=5, dtype="uint8")
        sequences = moving_mnist_sequences(flat_digits(100, 101), 10, seed=5)
        batches = list(dataset.as_numpy_iterator())
        assert [frames.shape for frames, _ in batches] == [(4, 10, 64, 64, 1), (4, 10, 64, 64, 1), (2, 10, 64, 64, 1)]
        np.testing.assert_array_equal(np.concatenate([seen for seen, _ in batches])[..., 0], sequences[:, :10])
        np.testing.assert_array_equal(np.concatenate([future for _, future in batches])[..., 0], sequences[:, 10:])
        assert dataset.source == "digits 0 to 99 of t10k-images-idx3-ubyte"
        assert int(dataset.cardinality()) == 3

    def test_floats_from_zero_to_one(self, folder):
        floats = next(iter(moving_mnist_dataset(folder, "test", num_sequences=8)))
        bytes_ = next(iter(moving_mnist_dataset(folder, "test", num_sequences=8, dtype="uint8")))
        for values, levels in zip(floats, bytes_, strict=True):
            assert values.dtype == tf.float32
            np.testing.assert_allclose(values, np.asarray(levels) / 255, rtol=1e-6)

    def test_training_sequences_are_new_at_each_epoch_and_the_same_at_each_run(self, folder):
        first = moving_mnist_dataset(folder, "training", batch_size=None, num_sequences=20, seed=2, dtype="uint8")
        epochs = [[seen.tobytes() for seen, _ in first.as_numpy_iterator()] for _ in range(2)]
        assert [len(set(epoch)) for epoch in epochs] == [20, 20]
        assert not set(epochs[0]) & set(epochs[1])
        again = moving_mnist_dataset(folder, "training", batch_size=None, num_sequences=20, seed=2, dtype="uint8")
        assert [[seen.tobytes() for seen, _ in again.as_numpy_iterator()] for _ in range(2)] == epochs
        test = moving_mnist_dataset(folder, "test", batch_size=None, num_sequences=20, seed=2, dtype="uint8")
        assert len({tuple(seen.tobytes() for seen, _ in test.as_numpy_iterator()) for _ in range(2)}) == 1

    def test_no_digit_on_both_sides(self, folder):
        def levels(subset: str) -> set[int]:
            dataset = moving_mnist_dataset(folder, subset, batch_size=None, num_sequences=300, dtype="uint8")
            return set(np.unique([seen for seen, _ in dataset.as_numpy_iterator()])) - {0}

        assert levels("training") <= set(range(1, 101))
        assert levels("test") <= set(range(101, 201))
        assert len(levels("training")) == 100

    def test_the_published_test_file_comes_first(self, folder):
        rng = np.random.default_rng(0)
        published = rng.integers(0, 256, (20, 30, 64, 64), np.uint8)
        np.save(folder / "mnist_test_seq.npy", published)
        dataset = moving_mnist_dataset(folder, "test", batch_size=7, num_sequences=30, dtype="uint8")
        seen, future = (np.concatenate(parts) for parts in zip(*dataset.as_numpy_iterator(), strict=True))
        np.testing.assert_array_equal(seen[..., 0], published[:10].swapaxes(0, 1))
        np.testing.assert_array_equal(future[..., 0], published[10:].swapaxes(0, 1))
        assert dataset.source == "mnist_test_seq.npy"
        assert moving_mnist_dataset(folder, "training").source.startswith("digits 0 to 99 of train-images")
        with pytest.raises(ValueError, match=r"`num_sequences` must be from 1 to 30, .* received 31"):
            moving_mnist_dataset(folder, "test", num_sequences=31)

    def test_a_test_file_of_another_form(self, folder):
        np.save(folder / "mnist_test_seq.npy", np.zeros((10, 20, 64, 64), np.uint8))
        with pytest.raises(ValueError, match=r"uint8 of shape \(20, N, 64, 64\), received uint8 of shape \(10, 20, 64"):
            moving_mnist_dataset(folder, "test")
        np.save(folder / "mnist_test_seq.npy", np.zeros((20, 30, 64, 64), np.uint8))
        content = (folder / "mnist_test_seq.npy").read_bytes()
        (folder / "mnist_test_seq.npy").write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=r"mnist_test_seq\.npy cannot be read \(.*download it again"):
            moving_mnist_dataset(folder, "test")

    def test_wrong_arguments_and_an_empty_folder(self, folder, tmp_path):
        with pytest.raises(ValueError, match=r'`subset` must be "training" or "test", received \'both\''):
            moving_mnist_dataset(folder, "both")
        with pytest.raises(ValueError, match=r"`dtype` must be .* received 'float16'"):
            moving_mnist_dataset(folder, "test", dtype="float16")
        (folder / "t10k-images-idx3-ubyte").unlink()
        with pytest.raises(
            FileNotFoundError, match=r"neither train-images-idx3-ubyte\.gz nor t10k-images-idx3-ubyte\.gz"
        ):
            moving_mnist_dataset(folder, "test")


@pytest.mark.real_data
def test_real_digits(real_data, tmp_path):
    """Digits 0 to 7999 of MNIST's test images make training sequences, digits 8000 to 9999 test sequences."""
    shutil.copy(real_data / "mnist" / "t10k-images-idx3-ubyte.gz", tmp_path)
    digits = read_idx(tmp_path / "t10k-images-idx3-ubyte.gz")
    train = moving_mnist_dataset(tmp_path, "training", num_sequences=32)
    test = moving_mnist_dataset(tmp_path, "test", num_sequences=32, seed=4, dtype="uint8", batch_size=None)
    assert train.source == "digits 0 to 7999 of t10k-images-idx3-ubyte.gz"
    assert test.source == "digits 8000 to 9999 of t10k-images-idx3-ubyte.gz"
    expected = moving_mnist_sequences(digits[8000:], 32, seed=4)
    for (seen, future), sequence in zip(test.as_numpy_iterator(), expected, strict=True):
        np.testing.assert_array_equal(np.concatenate([seen, future])[..., 0], sequence)
    seen, _ = next(iter(train))
    # The brightness of two digits of about 0.13 x 28 x 28 pixels, of which some overlap.
    assert 0.03 < float(tf.reduce_mean(seen)) < 0.06

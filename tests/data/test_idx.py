from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from sora_keras.data.idx import read_idx


def idx_bytes(array: np.ndarray, code: int) -> bytes:
    big_endian = array.astype(array.dtype.newbyteorder(">"))
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + big_endian.tobytes()


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, "uint8"), (9, "int8"), (11, "int16"), (12, "int32"), (13, "float32"), (14, "float64")]
)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_every_type(tmp_path, code, dtype, is_compressed):
    array = np.random.default_rng(0).integers(-100, 100, (5, 3, 4)).astype(dtype)
    content = idx_bytes(array, code)
    (tmp_path / "a").write_bytes(gzip.compress(content) if is_compressed else content)
    read = read_idx(tmp_path / "a")
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"must begin with 00 00 and a type, received ''"),
        (b"\x89PNG\r\n", r"must begin with 00 00 and a type, received '89 50 4e 47'"),
        (b"\0\0\x07\x01\0\0\0\1x", r"received '00 00 07 01'"),
        (b"\0\0\x08\x03\0\0\0\1", r"ends within its header"),
        (b"\0\0\x08\x02\0\0\0\2\0\0\0\3abcde", r"must hold 6 bytes of an array of shape \(2, 3\), received 5"),
        (b"\0\0\x08\x02\0\0\0\2\0\0\0\3abcdefg", r"must hold 6 bytes of an array of shape \(2, 3\), received more"),
        (b"\0\0\x0c\x01\0\0\0\2abcdefg", r"must hold 8 bytes of an array of shape \(2,\), received 7"),
    ],
)
def test_what_is_no_idx_file(tmp_path, content, message):
    (tmp_path / "digits").write_bytes(content)
    with pytest.raises(ValueError, match=rf"digits .*{message}|digits {message}"):
        read_idx(tmp_path / "digits")


def test_a_damaged_gzip_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, 50_000, np.uint8)
    content = gzip.compress(idx_bytes(noise, 8))
    for number, damaged in enumerate([content[:30_000], content[:20_000] + b"?" + content[20_001:], content[:-9]]):
        path = tmp_path / f"{number}.gz"
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{number}\.gz (is a damaged gzip file|must hold 50,000 bytes)"):
            read_idx(path)


@pytest.mark.real_data
def test_the_real_test_digits(real_data):
    images = read_idx(real_data / "mnist" / "t10k-images-idx3-ubyte.gz")
    labels = read_idx(str(real_data / "mnist" / "t10k-labels-idx1-ubyte.gz"))
    assert (images.shape, images.dtype, labels.shape) == ((10_000, 28, 28), np.uint8, (10_000,))
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    with gzip.open(real_data / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        assert file.read()[16:] == images.tobytes()

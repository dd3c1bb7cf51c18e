"""A file of PyTorch weights to arrays by name, without PyTorch, and without running what the file says."""

from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
STORAGE_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read_torch_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict that PyTorch before 1.6 wrote (its "legacy" format).

    A pickle may name any function of Python for its reader to call. This one knows four names, of which tensors and
    their dict are made, and refuses every other.

    Args:
        path: the `.pth` file.

    Returns:
        Arrays by name, in the file's order.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no such file, is cut off, or names what no tensor is made of.

    Example:
        >>> read_torch_weights("efficientnet-lite0-57934424.pth")["_conv_stem.weight"].shape
        (32, 3, 3, 3)
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There are no PyTorch weights at {os.fspath(path)}: give their file's path.")
    with open(path, "rb") as file:
        try:
            return _read(file)
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"{os.fspath(path)} is no legacy file of PyTorch weights, or damaged: {error}") from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    """Three pickles of formalities, one of tensors without numbers, one of storage names, then the numbers."""
    if _TensorUnpickler(file).load() != MAGIC_NUMBER:
        raise pickle.UnpicklingError("its first number is not PyTorch's")
    _TensorUnpickler(file).load()
    _TensorUnpickler(file).load()
    unpickler = _TensorUnpickler(file)
    tensors = unpickler.load()
    for key in _TensorUnpickler(file).load():
        storage = unpickler.storages[key]
        (count,) = _numbers(file, np.dtype("<i8"), 1)
        if count != storage.size:
            raise pickle.UnpicklingError(f"storage {key} holds {count} numbers, expected {storage.size}")
        storage[:] = _numbers(file, storage.dtype, storage.size)
    return {str(name): np.array(tensor) for name, tensor in tensors.items()}


def _numbers(file: BinaryIO, dtype: np.dtype[Any], count: int) -> np.ndarray:
    """So many of the file's next numbers."""
    content = file.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise EOFError(f"it ends {count * dtype.itemsize - len(content)} bytes early")
    return np.frombuffer(content, dtype)


class _TensorUnpickler(pickle.Unpickler):
    """Makes dicts and tensors, and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for that name here."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if module == "torch" and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no tensor is made of")

    def persistent_load(self, pid: Any) -> np.ndarray:
        """A storage, to be filled once its numbers are reached."""
        kind, dtype, key, _, count, part = pid
        if kind != "storage" or part is not None:
            raise pickle.UnpicklingError(f"it holds a {kind} in parts, expected a whole storage")
        if key not in self.storages:
            self.storages[key] = np.zeros(count, dtype)
        return self.storages[key]


def _view(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    """A tensor as a view of its storage, which gets its numbers later."""
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if offset < 0 or min(stride, default=0) < 0 or last >= storage.size:
        raise pickle.UnpicklingError(f"a tensor reaches number {last} of {storage.size}")
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides)

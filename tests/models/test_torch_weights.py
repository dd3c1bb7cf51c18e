import collections
import os
import pickle
import struct

import numpy as np
import pytest

from sora_keras.models.torch_weights import MAGIC_NUMBER, read_torch_weights


class Global:
    """A name that the file asks its reader for, and the arguments to call it with, if any."""

    def __init__(self, module, name, arguments=None):
        self.module, self.name, self.arguments = module, name, arguments


class Storage:
    def __init__(self, kind, key, count):
        self.pid = ("storage", Global("torch", kind), key, "cpu", count, None)


def encode(value):
    """Protocol 2 opcodes by hand, so that names of a PyTorch that is not here can be written."""
    if isinstance(value, Global):
        code = b"c" + f"{value.module}\n{value.name}\n".encode()
        return code if value.arguments is None else code + encode(value.arguments) + b"R"
    if isinstance(value, Storage):
        return encode(value.pid) + b"Q"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(encode, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(encode, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(encode(part) for item in value.items() for part in item) + b"u"
    return pickle.dumps(value, 2)[2:-1]


def write(path, tensors, storages, magic=MAGIC_NUMBER):
    parts = [magic, 1001, {"little_endian": True}, tensors, list(storages)]
    content = b"".join(b"\x80\x02" + encode(part) + b"." for part in parts)
    for numbers in storages.values():
        content += struct.pack("<q", numbers.size) + numbers.tobytes()
    path.write_bytes(content)
    return path


def tensor(storage, offset, size, stride):
    arguments = (storage, offset, size, stride, False, Global("collections", "OrderedDict", ()))
    return Global("torch._utils", "_rebuild_tensor_v2", arguments)


NUMBERS = np.arange(12, dtype="<f4") / 3
COUNTS = np.array([7], "<i8")


def good_tensors():
    shared = Storage("FloatStorage", "a", 12)
    return {
        "whole": tensor(shared, 0, (3, 4), (4, 1)),
        "turned": tensor(shared, 4, (2, 4), (1, 2)),
        "count": tensor(Storage("LongStorage", "b", 1), 0, (), ()),
    }


def test_tensors_are_views_of_their_storages(tmp_path):
    path = write(tmp_path / "w.pth", good_tensors(), {"a": NUMBERS, "b": COUNTS})
    tensors = read_torch_weights(path)
    assert list(tensors) == ["whole", "turned", "count"]
    np.testing.assert_array_equal(tensors["whole"], NUMBERS.reshape(3, 4))
    np.testing.assert_array_equal(tensors["turned"], NUMBERS[4:12].reshape(4, 2).T)
    assert tensors["count"] == 7
    assert tensors["whole"].dtype == np.float32


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("numpy", "load")]
)
def test_a_file_that_would_run_something_is_refused(tmp_path, module, name):
    mark = tmp_path / "was_here"
    path = write(tmp_path / "w.pth", {"a": Global(module, name, (f"touch {mark}",))}, {})
    with pytest.raises(ValueError, match=rf"it asks for {module}\.{name}, which no tensor is made of"):
        read_torch_weights(path)
    assert not mark.exists()


def test_the_same_file_would_run_it_in_a_plain_unpickler(tmp_path):
    """Otherwise the test above would prove nothing."""
    mark = tmp_path / "was_here"
    pickle.loads(b"\x80\x02" + encode(Global("os", "system", (f"touch {mark}",))) + b".")
    assert mark.exists()


@pytest.mark.parametrize(
    ("tensors", "storages", "message"),
    [
        ({"x": tensor(Storage("FloatStorage", "a", 12), 5, (2, 4), (4, 1))}, {"a": NUMBERS}, "reaches number 12 of 12"),
        ({"x": tensor(Storage("FloatStorage", "a", 12), 0, (2,), (-1,))}, {"a": NUMBERS}, "reaches number -1 of 12"),
        ({"x": tensor(Storage("FloatStorage", "a", 9), 0, (9,), (1,))}, {"a": NUMBERS}, "holds 12 numbers, expected 9"),
        ({"x": tensor(Storage("HalfStorage", "a", 12), 0, (2,), (1,))}, {"a": NUMBERS}, r"asks for torch\.HalfStorage"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, tensors, storages, message):
    with pytest.raises(ValueError, match=message):
        read_torch_weights(write(tmp_path / "w.pth", tensors, storages))


def test_damaged_and_foreign_files_are_named(tmp_path):
    whole = write(tmp_path / "w.pth", good_tensors(), {"a": NUMBERS, "b": COUNTS}).read_bytes()
    for content in (b"", b"PK\x03\x04 a zip", whole[:40], whole[:-3], whole[:-20]):
        (tmp_path / "cut.pth").write_bytes(content)
        with pytest.raises(ValueError, match=r"cut\.pth is no legacy file of PyTorch weights, or damaged"):
            read_torch_weights(tmp_path / "cut.pth")
    with pytest.raises(ValueError, match="its first number is not PyTorch's"):
        read_torch_weights(write(tmp_path / "w.pth", {}, {}, magic=41))
    with pytest.raises(FileNotFoundError, match=r"no PyTorch weights at .*absent\.pth"):
        read_torch_weights(tmp_path / "absent.pth")


def test_an_ordered_dict_as_pytorch_writes_it(tmp_path):
    path = write(tmp_path / "w.pth", Global("collections", "OrderedDict", ()), {})
    assert read_torch_weights(os.fspath(path)) == collections.OrderedDict()

import json

import numpy as np
import pytest

from sora_keras.serving import number_lists
from sora_keras.serving.number_lists import read_json


@pytest.fixture(autouse=True)
def short_lists_too(monkeypatch):
    monkeypatch.setattr(number_lists, "LONG_BYTES", 3)


def as_lists(value):
    if isinstance(value, dict):
        return {key: as_lists(element) for key, element in value.items()}
    if isinstance(value, list):
        return [as_lists(element) for element in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def outcome(read, text):
    try:
        return "document", as_lists(read(text))
    except ValueError as error:
        return "error", str(error)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("largest", [2, 10, 256, 10**9])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 1), (1, 3), (2, 3, 4), (1, 2, 1, 3, 1), (2, 2, 2, 2, 2, 2)])
def test_regular_lists_become_arrays(shape, largest, separators):
    expected = np.random.default_rng(0).integers(0, largest, shape)
    text = json.dumps({"instances": expected.tolist(), "signature_name": "embed"}, separators=separators)
    document = read_json(text.encode())
    assert isinstance(document["instances"], np.ndarray) or len(text) > 8 * text.count(",")
    np.testing.assert_array_equal(document["instances"], expected)
    assert document["signature_name"] == "embed"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [[1, 2], [3]]}',
        '{"a": [[1, 2], 3]}',
        '{"a": [[1, 2], [3, [4]]]}',
        '{"a": [[], []], "b": [1, 2, 3, 4]}',
        '{"a": [-1, 2], "b": [1.5, 2], "c": [1, 2e3], "d": [1, null, true]}',
        '{"a": [1,2,3,4,5], "b": "[1,2,3,4,5]", "c": "\\\\": [1,2,3,4,5,6,7]"}',
        '{"a": "x\\": [1,2,3,4,5,6,7,8,9]"}',
        '[["x", 1], [1, 2, 3, 4, 5]]',
        '[{"x": [[1, 2], [3, 4]]}, {"x": [[5, 6], [7, 8]]}, [9, 9, 9]]',
        '{"a": [1234567890123, 2], "b": [9007199254740993, 1, 2]}',
        "[1,2,3]",
        "  [ 1 , 2 , 3 ]  ",
        "[1,\n2,3]",
        "12",
        "{}",
    ],
)
def test_everything_else_is_read_as_json_reads_it(text):
    assert outcome(read_json, text.encode()) == outcome(json.loads, text)


def test_changed_lists_are_read_as_json_reads_them():
    source = np.random.default_rng(3)
    alphabet = np.frombuffer(b'0123456789[], \n-.e"{}:', np.uint8)
    counts = {"document": 0, "error": 0}
    for _ in range(3000):
        shape = source.integers(1, 4, source.integers(1, 5))
        text = bytearray(json.dumps({"a": source.integers(0, 300, shape).tolist(), "b": [1, 2, 3]}).encode())
        for _ in range(source.integers(0, 3)):
            place = source.integers(len(text))
            change = bytes(source.choice(alphabet, source.integers(0, 3)))
            text[place : place + source.integers(0, 3)] = change
        expected = outcome(json.loads, text)
        assert outcome(read_json, text) == expected
        counts[expected[0]] += 1
    assert min(counts.values()) > 500

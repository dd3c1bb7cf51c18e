import json

import numpy as np
import pytest
import tensorflow as tf

from sora_keras.serving.development import json_tensors
from sora_keras.serving.development.json_tensors import JsonRequest, json_from_tensors


def tensor(value, dtype):
    return JsonRequest(json.dumps({"inputs": value}).encode()).tensors({"x": tf.as_dtype(dtype)})["x"]


def refusal(body, inputs):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(tf.errors.OpError) as raised:
        JsonRequest(body).tensors({name: tf.as_dtype(dtype) for name, dtype in inputs.items()})
    return raised.value.message


INTEGERS = ["uint8", "int8", "int16", "int32", "int64", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", ["float32", "float64", *INTEGERS])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 2, 3), (0,), (2, 0)])
def test_numbers_are_read_as_numpy_holds_them(dtype, shape):
    expected = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    received = tensor(expected.tolist(), dtype)
    assert received.dtype == dtype
    np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_every_integer_type_is_read_to_its_ends_and_no_further(dtype):
    info = np.iinfo(dtype)
    np.testing.assert_array_equal(tensor([info.min, info.max], dtype), np.array([info.min, info.max], dtype))
    for value in (int(info.min) - 1, int(info.max) + 1):
        message = refusal({"inputs": [0, value]}, {"x": dtype})
        assert message == f"JSON Value: {value} Type: Number is not of expected type: {dtype}"


@pytest.mark.parametrize(
    ("dtype", "name", "largest"), [("float32", "float", 2**24 - 1), ("float64", "double", 2**53 - 1)]
)
def test_whole_numbers_that_lose_digits_are_refused(dtype, name, largest):
    for value in (largest, -largest, float(largest + 3)):
        assert tensor([0.5, value], dtype)[1] == value
    for value in (largest + 1, -largest - 1, largest + 2):
        message = refusal({"inputs": [0.5, value]}, {"x": dtype})
        assert message == f"Cannot convert JSON value: {value} to {name} without loss of precision."


def test_floats_past_the_largest_are_refused():
    assert tensor([3.4e38], "float32")[0] == np.float32(3.4e38)
    assert refusal({"inputs": [3.5e38]}, {"x": "float32"}).startswith("Cannot convert JSON value: 3.5e+38 to float")


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"1" + b"0" * 400 + b".0"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_past_every_float_are_refused(number, dtype):
    message = refusal(b'{"inputs": [1, ' + number + b"]}", {"x": dtype})
    assert message == "JSON Parse error: Number too big to be stored in double."


def test_numbers_that_are_none():
    received = JsonRequest(b'{"inputs": [NaN, Infinity, -Infinity, 1]}').tensors({"x": tf.float32})["x"]
    np.testing.assert_array_equal(received, np.float32([np.nan, np.inf, -np.inf, 1]))


@pytest.mark.parametrize("value", [[True, 1], [1, False], [[1, 2], [3, True]]])
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
def test_truth_is_no_number(value, dtype):
    assert "Type: True is not" in refusal({"inputs": value}, {"x": dtype}) or "Type: False is not" in refusal(
        {"inputs": value}, {"x": dtype}
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1, 2], [3]], "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ([1, [2]], "Encountered list at unexpected level: 1 expected < 1"),
        ([[1], 2], "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    ],
)
def test_ragged_lists_are_located(value, message):
    assert refusal({"inputs": value}, {"x": "int32"}) == message


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ([[1, 2], [3]], "Expecting tensor size: 2 but got: 1"),
        ([[1], 2], "Expecting shape [1] but got: []"),
        ([[[1, 2]], [[3], [4]]], "Expecting shape [1,2] but got: [2,1]"),
        ([{"x": 1}, {"z": 2}], "JSON object: does not have named input: z"),
    ],
)
def test_uneven_instances_are_located(instances, message):
    place = "1 key: z" if "named" in message else "1"
    expected = f"Failed to process element: {place} of 'instances' list. Error: INVALID_ARGUMENT: {message}"
    assert refusal({"instances": instances}, {"x": "int32"}) == expected


def test_instances_of_several_inputs_are_stacked_by_name():
    rows = [{"a": [1, 2], "b": "x"}, {"b": {"b64": "eQ"}, "a": [3, 4]}]
    received = JsonRequest(json.dumps({"instances": rows}).encode()).tensors({"a": tf.int32, "b": tf.string})
    np.testing.assert_array_equal(received["a"], np.int32([[1, 2], [3, 4]]))
    assert received["b"].tolist() == [b"x", b"y"]
    assert "expecting list of objects as multiple input tensors" in refusal(
        {"instances": [1]}, {"a": "int32", "b": "int32"}
    )
    rows = [{"a": 1, "b": 2}, {"a": 3}]
    assert refusal({"instances": rows}, {"a": "int32", "b": "int32"}).endswith("} keys must be equal to: a,b")


def test_strings_pass_whatever_their_bytes_are():
    request = JsonRequest(b'\xef\xbb\xbf{"inputs": ["\xff\xfe", "\xc3\xa4", "\\u00e4"]}')
    received = request.tensors({"x": tf.string})["x"]
    assert received.tolist() == [b"\xff\xfe", "ä".encode(), "ä".encode()]
    answer = json_from_tensors({"y": received}, is_row_form=True)
    assert answer == b'{"predictions": ["\xff\xfe", "\xc3\xa4", "\xc3\xa4"]}'
    assert "surrogate pair" in refusal(b'{"inputs": ["\\ud800"]}', {"x": "string"})


def test_large_values_are_not_shown_whole():
    message = refusal({"instances": {"x": [0] * 100_000}}, {"x": "int32"})
    assert 1000 < len(message) < 1200


def test_too_many_lists_are_refused(monkeypatch):
    monkeypatch.setattr(json_tensors, "MOST_LISTS", 7)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="holds 8 lists and objects, more than the 7"):
        JsonRequest(b'{"inputs": [[],[],[],[],[],[]]}')


def test_floats_are_written_as_short_as_they_can_be():
    values = np.concatenate(
        [np.float32([0.1, 0.2, 1 / 3, 1e-45, 3.4e38, -0.0, 16777216]), np.random.default_rng(2).normal(size=500)]
    ).astype(np.float32)
    text = json_from_tensors({"y": values}, is_row_form=True).decode()
    assert text.startswith('{"predictions": [0.1, 0.2, ')
    np.testing.assert_array_equal(np.float32(json.loads(text)["predictions"]), values)
    doubles = values.astype(np.float64) / 3
    np.testing.assert_array_equal(json.loads(json_from_tensors({"y": doubles}, False))["outputs"], doubles)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64"])
def test_types_without_json(dtype):
    message = "half" if dtype == "float16" else dtype
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"Failed to write JSON value for tensor type: {message}$"):
        json_from_tensors({"y": np.zeros(2, tf.as_dtype(dtype).as_numpy_dtype)}, is_row_form=True)
    with pytest.raises(tf.errors.UnimplementedError, match=rf"Conversion of JSON Value: 1\.0 to type: {message}$"):
        tensor([1.0], dtype)

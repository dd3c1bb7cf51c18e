"""The JSON of TensorFlow Serving's REST interface to tensors, and tensors back to JSON."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf

CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
TYPE_NAMES = {"float16": "half", "float32": "float", "float64": "double"}
LARGEST_WHOLE_NUMBER = {"float32": 2**24 - 1, "float64": 2**53 - 1}
MOST_SHOWN_CHARACTERS = 1000
MOST_LISTS = 2**24  # an empty one is two bytes long and takes sixty-four


def invalid_argument(message: str) -> tf.errors.InvalidArgumentError:
    """The error that answers 400 over REST and INVALID_ARGUMENT over gRPC."""
    return tf.errors.InvalidArgumentError(None, None, message)


class JsonRequest:
    """A parsed body.

    Args:
        body: what was sent; bytes that are no UTF-8 pass through strings unchanged.

    Raises:
        tf.errors.InvalidArgumentError: if it is no JSON object, or its `signature_name` no string.
        tf.errors.ResourceExhaustedError: if it would take too much memory.
    """

    def __init__(self, body: bytes | bytearray) -> None:
        self.content = _parse(body)
        # NumPy takes True for 1 without a word, and looking at every number would cost more than parsing them.
        self._may_hold_booleans = b"true" in body or b"false" in body
        self._may_hold_infinity = b"Infinity" in body
        self.is_row_form = "instances" in self.content
        self.signature_name: str = self.content.get("signature_name", "")
        if not isinstance(self.signature_name, str):
            raise invalid_argument(
                f"JSON Value: {_shown(self.content)} not formatted correctly. 'signature_name' key must be a string "
                "value."
            )

    def tensors(self, inputs: Mapping[str, tf.DType]) -> dict[str, np.ndarray]:
        """The tensors that a signature takes.

        Args:
            inputs: name and type of each.

        Returns:
            One array for each name.

        Raises:
            tf.errors.InvalidArgumentError: with TensorFlow Serving's words for what is wrong.
        """
        if not self.is_row_form and "inputs" not in self.content:
            raise invalid_argument("Missing 'inputs' or 'instances' key")
        try:
            tensors = self._from_instances(inputs) if self.is_row_form else self._from_inputs(inputs)
        except RecursionError:
            raise invalid_argument("JSON Parse error: lists are nested too deep") from None
        # Python reads 1e400 as infinite.
        if not self._may_hold_infinity and any(t.dtype.kind == "f" and np.isinf(t).any() for t in tensors.values()):
            raise invalid_argument("JSON Parse error: Number too big to be stored in double.")
        return tensors

    def _from_inputs(self, inputs: Mapping[str, tf.DType]) -> dict[str, np.ndarray]:
        value = self.content["inputs"]
        if not isinstance(value, dict) or _is_base64(value):
            if len(inputs) > 1:
                raise invalid_argument(
                    "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                    "tensorinfo_map"
                )
            value = {name: value for name in inputs}
        for name in sorted(inputs):
            if name not in value:
                raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        return {name: self._tensor(value[name], dtype) for name, dtype in inputs.items()}

    def _from_instances(self, inputs: Mapping[str, tf.DType]) -> dict[str, np.ndarray]:
        if "inputs" in self.content:
            raise self._malformed(
                "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
            )
        instances = self.content["instances"]
        if not isinstance(instances, list):
            raise self._malformed("Excepting 'instances' to be an list/array")
        if not instances:
            raise self._malformed("No values in 'instances' array")
        if not isinstance(instances[0], dict) and len(inputs) > 1:
            raise invalid_argument(
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                "tensorinfo_map"
            )
        objects = isinstance(instances[0], dict) and not _is_base64(instances[0])
        for i, element in enumerate(instances):
            if objects != (isinstance(element, dict) and not _is_base64(element)):
                kinds = "object but got list" if objects else "value/list but got object"
                raise invalid_argument(f"Expecting {kinds} at item {i} of input list")
            if objects:
                _check_names(i, element, inputs)
        if not objects:
            return {name: self._stack(instances, dtype, "") for name, dtype in inputs.items()}
        return {
            name: self._stack([element[name] for element in instances], dtype, f" key: {name}")
            for name, dtype in inputs.items()
        }

    def _stack(self, elements: list[Any], dtype: tf.DType, key: str) -> np.ndarray:
        """One tensor of all elements; where they do not make one, the error of the first that is wrong."""
        whole = _numbers(elements, dtype, self._may_hold_booleans)
        if whole is not None:
            return whole
        tensors: list[np.ndarray] = []
        for i, element in enumerate(elements):
            try:
                tensors.append(self._tensor(element, dtype))
                _check_same_shape(tensors[0].shape, tensors[-1].shape)
            except tf.errors.OpError as error:
                raise invalid_argument(
                    f"Failed to process element: {i}{key} of 'instances' list. Error: {CODE_NAMES[error.error_code]}: "
                    f"{error.message}"
                ) from None
        return np.stack(tensors)

    def _tensor(self, value: Any, dtype: tf.DType) -> np.ndarray:
        numbers = _numbers(value, dtype, self._may_hold_booleans)
        return _exact(value, dtype) if numbers is None else numbers

    def _malformed(self, what: str) -> tf.errors.InvalidArgumentError:
        return invalid_argument(f"JSON Value: {_shown(self.content)} {what}")


def json_from_tensors(tensors: Mapping[str, np.ndarray], is_row_form: bool) -> bytes:
    """The answer to a prediction.

    Args:
        tensors: the outputs by name.
        is_row_form: whether `instances` were sent, which `predictions` answer; otherwise `outputs`.

    Returns:
        JSON; strings that are no UTF-8 pass unchanged.

    Raises:
        tf.errors.InvalidArgumentError: if outputs have no common dimension 0 in row form, or a type has no JSON.
    """
    if is_row_form:
        sizes: list[int] = []
        for name in sorted(tensors):
            if tensors[name].ndim == 0:
                raise invalid_argument(f"Tensor name: {name} has no shape information ")
            sizes.append(len(tensors[name]))
            if sizes[-1] != sizes[0]:
                raise invalid_argument(
                    f"Tensor name: {name} has inconsistent batch size: {sizes[-1]} expecting: {sizes[0]}"
                )
    values = {name: _values(name, tensors[name]) for name in sorted(tensors)}
    answer: Any = values
    if len(values) == 1:
        [answer] = values.values()
    elif is_row_form:
        answer = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    text = json.dumps({"predictions" if is_row_form else "outputs": answer}, ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape")


def _parse(body: bytes | bytearray) -> dict[str, Any]:
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    lists = body.count(b"[") + body.count(b"{")
    if lists > MOST_LISTS:
        raise tf.errors.ResourceExhaustedError(
            None, None, f"The request holds {lists} lists and objects, more than the {MOST_LISTS} that are read"
        )
    try:
        document = json.loads(body.decode("utf-8", "surrogateescape").removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise invalid_argument(f"JSON Parse error: {error.msg}. at offset: {error.pos}") from None
    except RecursionError:
        raise invalid_argument("JSON Parse error: lists are nested too deep") from None
    except ValueError as error:
        raise invalid_argument(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {_shown(document)} Is not object")
    return document


def _numbers(value: Any, dtype: tf.DType, may_hold_booleans: bool) -> np.ndarray | None:
    """Nested lists of numbers as NumPy reads them, or None where that may differ from reading them one by one."""
    if may_hold_booleans or not (dtype.is_integer or dtype in (tf.float32, tf.float64)):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    if array.size == 0:
        return array.astype(dtype.as_numpy_dtype)
    if dtype.is_integer:
        fits = array.dtype.kind in "iu" and dtype.min <= array.min() and array.max() <= dtype.max
    else:
        # Not a number is never smaller, so it is asked last; the rest may be a whole number that loses digits.
        fits = array.dtype.kind in "if" and not np.abs(array).max() > LARGEST_WHOLE_NUMBER[dtype.name]
    return array.astype(dtype.as_numpy_dtype) if fits else None


def _exact(value: Any, dtype: tf.DType) -> np.ndarray:
    """Nested lists read value by value, with an error for the first that is wrong."""
    shape = tuple(_dense_shape(value))
    values: list[Any] = []
    _fill(value, 0, shape, dtype, values)
    if dtype == tf.string:
        array = np.empty(len(values), object)
        array[:] = values
    else:
        array = np.array(values, dtype.as_numpy_dtype)
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise invalid_argument(f"JSON Value has a shape that no tensor has: {error}") from None


def _dense_shape(value: Any) -> Iterator[int]:
    while isinstance(value, list):
        yield len(value)
        value = value[0] if value else None


def _fill(value: Any, level: int, shape: tuple[int, ...], dtype: tf.DType, values: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid_argument(
                f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        values.append(_scalar(value, dtype))
        return
    if level >= len(shape):
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for element in value:
        _fill(element, level + 1, shape, dtype, values)


def _scalar(value: Any, dtype: tf.DType) -> Any:
    if dtype == tf.string and isinstance(value, dict):
        return _decoded(value)
    if dtype == tf.string and isinstance(value, str):
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise invalid_argument("JSON Parse error: The surrogate pair in string is invalid.") from None
    if dtype == tf.bool and isinstance(value, bool):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if dtype in (tf.float32, tf.float64) and is_number:
        return _lossless(value, dtype)
    if dtype.is_integer and is_number and isinstance(value, int) and dtype.min <= value <= dtype.max:
        return value
    if dtype in (tf.string, tf.bool, tf.float32, tf.float64) or dtype.is_integer:
        raise invalid_argument(
            f"JSON Value: {_shown(value)} Type: {_json_type(value)} is not of expected type: {_type_name(dtype)}"
        )
    raise tf.errors.UnimplementedError(
        None, None, f"Conversion of JSON Value: {_shown(value)} to type: {_type_name(dtype)}"
    )


def _lossless(value: float, dtype: tf.DType) -> float:
    is_lossy = abs(value) > LARGEST_WHOLE_NUMBER[dtype.name] if isinstance(value, int) else False
    if not is_lossy and np.isfinite(value):
        is_lossy = abs(value) > float(dtype.max)
    if is_lossy:
        raise invalid_argument(
            f"Cannot convert JSON value: {_shown(value)} to {_type_name(dtype)} without loss of precision."
        )
    return value


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _decoded(value: dict[str, Any]) -> bytes:
    if not _is_base64(value):
        raise invalid_argument(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
    text = value["b64"].rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid_argument("Unable to base64 decode") from None


def _check_names(i: int, element: dict[str, Any], inputs: Mapping[str, tf.DType]) -> None:
    for name in element:
        if name not in inputs:
            raise invalid_argument(
                f"Failed to process element: {i} key: {name} of 'instances' list. Error: INVALID_ARGUMENT: JSON "
                f"object: does not have named input: {name}"
            )
    if len(element) != len(inputs):
        raise invalid_argument(
            f"Failed to process element: {i} of 'instances' list. JSON object: {_shown(element)} keys must be equal "
            f"to: {','.join(sorted(inputs))}"
        )


def _check_same_shape(expected: tuple[int, ...], received: tuple[int, ...]) -> None:
    expected_size, received_size = int(np.prod(expected)), int(np.prod(received))
    if expected_size != received_size:
        raise invalid_argument(f"Expecting tensor size: {expected_size} but got: {received_size}")
    if expected != received:
        shapes = ["[" + ",".join(map(str, shape)) + "]" for shape in (expected, received)]
        raise invalid_argument(f"Expecting shape {shapes[0]} but got: {shapes[1]}")


def _values(name: str, tensor: np.ndarray) -> Any:
    dtype = tf.as_dtype(tensor.dtype)
    if dtype == tf.string:
        return _strings(tensor.tolist(), is_bytes=name.endswith("_bytes"))
    if dtype == tf.float32:
        # Through the shortest text that is this float32: 0.2, where its value as a double reads 0.20000000298.
        return tensor.astype("U32").astype(np.float64).tolist()
    if dtype == tf.bool or dtype == tf.float64 or dtype.is_integer:
        return tensor.tolist()
    raise invalid_argument(f"Failed to write JSON value for tensor type: {_type_name(dtype)}")


def _strings(value: Any, is_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_strings(element, is_bytes) for element in value]
    content = value if isinstance(value, bytes) else str(value).encode()
    return {"b64": base64.b64encode(content).decode()} if is_bytes else content.decode("utf-8", "surrogateescape")


def _type_name(dtype: tf.DType) -> str:
    return TYPE_NAMES.get(dtype.name, dtype.name)


def _json_type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "Null" if value is None else str(value)
    names: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def _shown(value: Any) -> str:
    """The value as the server prints it, cut where it would be longer than anyone reads."""
    text = ""
    for part in json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value):
        text += part[:MOST_SHOWN_CHARACTERS]
        if len(text) > MOST_SHOWN_CHARACTERS:
            return text[:MOST_SHOWN_CHARACTERS] + "..."
    return text

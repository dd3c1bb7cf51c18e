"""What TensorFlow Serving answers with batching, asked of whichever server runs."""

from concurrent.futures import ThreadPoolExecutor

import pytest


def test_each_request_gets_its_own_rows(batching_server):
    def ask(i):
        rows = [[float(i), float(j)] for j in range(1 + i % 3)]
        return rows, batching_server.predict("scale", {"instances": rows})

    with ThreadPoolExecutor(16) as pool:
        for rows, answer in pool.map(ask, range(64)):
            assert answer == (200, {"predictions": [[2 * a, 2 * b] for a, b in rows]})


def test_the_largest_request_is_a_batch(batching_server):
    rows = [[float(i)] for i in range(8)]
    assert batching_server.predict("scale", {"instances": rows}) == (200, {"predictions": [[2 * x] for [x] in rows]})
    message = batching_server.error("scale", {"instances": [*rows, [8.0]]})
    assert message == "Task size 9 is larger than maximum input batch size 8"


def test_inputs_share_dimension_0(batching_server):
    message = batching_server.error("types", {"inputs": {"a": [1, 2], "b": ["x"]}})
    assert "input tensors must have equal 0th-dimension size" in message


@pytest.mark.parametrize(("signature", "value"), [("float32", 1.0), ("string", "alone")])
def test_inputs_have_a_dimension(batching_server, signature, value):
    message = batching_server.error("types", {"signature_name": signature, "inputs": value})
    assert "input tensors must have at least one dimension" in message

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from sora_keras.serving.development.batching_queue import BatchingQueue, batching_options


class Doubling:
    """Doubles, refuses what holds a 13, and keeps the shapes it was asked with."""

    def __init__(self, seconds=0.0):
        self.shapes = []
        self.seconds = seconds

    def __call__(self, tensors, timeout_seconds):
        time.sleep(self.seconds)
        self.shapes.append(tensors["x"].shape)
        if (tensors["x"] == 13).any():
            raise tf.errors.InvalidArgumentError(None, None, "13 is refused")
        return {"y": 2 * tensors["x"], "n": np.arange(len(tensors["x"]))}


def ask_together(queue, requests):
    barrier = threading.Barrier(len(requests))

    def ask(x):
        barrier.wait()
        try:
            return queue.run({"x": x}, timeout_seconds=20.0)["y"]
        except tf.errors.OpError as error:
            return error.message

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(ask, requests))


def test_requests_that_arrive_together_run_together():
    model = Doubling()
    queue = BatchingQueue(model, max_batch_size=16, batch_timeout_micros=2_000_000)
    requests = [np.full((2, 3), i) for i in range(8)]
    for request, answer in zip(requests, ask_together(queue, requests), strict=True):
        np.testing.assert_array_equal(answer, 2 * request)
    assert model.shapes == [(16, 3)]


def test_a_batch_is_run_when_its_time_is_up_and_padded_to_an_allowed_size():
    model = Doubling()
    queue = BatchingQueue(model, max_batch_size=8, batch_timeout_micros=1000, allowed_batch_sizes=[4, 8])
    np.testing.assert_array_equal(queue.run({"x": np.float32([[1], [2], [3]])}, 20.0)["y"], [[2], [4], [6]])
    assert queue.run({"x": np.float32([[1]] * 5)}, 20.0)["n"].tolist() == [0, 1, 2, 3, 4]
    assert model.shapes == [(4, 1), (8, 1)]


def test_requests_of_other_shapes_and_types_run_apart():
    model = Doubling()
    queue = BatchingQueue(model, max_batch_size=4, batch_timeout_micros=300_000)
    requests = [np.ones((2, 3)), np.ones((2, 5)), np.ones((2, 3)), np.ones((2, 5)), np.ones((4, 3), np.float32)]
    answers = ask_together(queue, requests)
    assert [(answer.shape, answer.dtype) for answer in answers] == [(x.shape, x.dtype) for x in requests]
    assert sorted(model.shapes) == [(4, 3), (4, 3), (4, 5)]


def test_one_refused_request_fails_no_other():
    queue = BatchingQueue(Doubling(), max_batch_size=4, batch_timeout_micros=2_000_000)
    answers = ask_together(queue, [np.array([1.0]), np.array([13.0]), np.array([3.0]), np.array([4.0])])
    assert answers == [[2.0], "13 is refused", [6.0], [8.0]]


def test_requests_without_common_rows_are_refused():
    queue = BatchingQueue(Doubling(), max_batch_size=8)
    for tensors, message in [
        ({"x": np.ones(9)}, "Task size 9 is larger than maximum input batch size 8"),
        ({"x": np.ones(3), "z": np.ones(2)}, "input tensors must have equal 0th-dimension size"),
        ({"x": np.array(1.0)}, "input tensors must have at least one dimension"),
    ]:
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            queue.run(tensors, 20.0)


@pytest.mark.parametrize(
    ("output", "message"), [(np.array(1.0), "has 0 dimensions"), (np.ones(2), "does not equal the sum")]
)
def test_outputs_without_a_row_for_each_are_refused(output, message):
    queue = BatchingQueue(lambda tensors, seconds: {"y": output}, max_batch_size=8)
    with pytest.raises(tf.errors.FailedPreconditionError, match=message):
        queue.run({"x": np.ones(3)}, 20.0)


def test_waiting_has_an_end():
    queue = BatchingQueue(Doubling(seconds=1.0), max_batch_size=1, num_batch_threads=1, max_enqueued_batches=2)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(queue.run, {"x": np.array([1.0])}, 20.0)
        time.sleep(0.3)
        late = pool.submit(queue.run, {"x": np.array([2.0])}, 0.2)
        time.sleep(0.05)
        last = pool.submit(queue.run, {"x": np.array([3.0])}, 20.0)
        time.sleep(0.05)
        with pytest.raises(tf.errors.UnavailableError, match="The batch scheduling queue"):
            queue.run({"x": np.array([4.0])}, 20.0)
        with pytest.raises(tf.errors.DeadlineExceededError):
            late.result()
        assert (first.result()["y"], last.result()["y"]) == ([2.0], [6.0])


def test_a_hurried_request_does_not_hurry_those_beside_it():
    limits = []

    def run(tensors, timeout_seconds):
        limits.append(timeout_seconds)
        return tensors

    queue = BatchingQueue(run, max_batch_size=2, batch_timeout_micros=2_000_000)
    with ThreadPoolExecutor(2) as pool:
        hurried = pool.submit(queue.run, {"x": np.array([1.0])}, 1.0)
        time.sleep(0.1)
        patient = pool.submit(queue.run, {"x": np.array([2.0])}, 60.0)
        assert (hurried.result()["x"], patient.result()["x"]) == ([1.0], [2.0])
    assert limits == [pytest.approx(60.0, abs=5.0)]


def test_a_file_and_its_fields_say_the_same(tmp_path):
    file = tmp_path / "batching.config"
    file.write_text(
        "# sizes\nmax_batch_size { value: 32 }\nbatch_timeout_micros{value:1000}\nnum_batch_threads: { value: 2 }\n"
        "max_enqueued_batches { value: 100 }\nallowed_batch_sizes: 8  # or\nallowed_batch_sizes: 32\n"
    )
    fields = {
        "max_batch_size": 32, "batch_timeout_micros": 1000, "num_batch_threads": 2, "max_enqueued_batches": 100,
        "allowed_batch_sizes": [8, 32],
    }  # fmt: skip
    assert batching_options(file) == fields == batching_options(fields)
    file.write_text("max_batch_size { value: 32 }\nallowed_batch_sizes: [8, 32]\n")
    assert batching_options(file) == {"max_batch_size": 32, "allowed_batch_sizes": [8, 32]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_batch_size": 0}, "`max_batch_size` must be a positive whole number, received 0"),
        ({"num_batch_threads": 1.5}, "`num_batch_threads` must be a positive whole number, received 1.5"),
        ({"max_batch_size": 16, "allowed_batch_sizes": [4, 8]}, r"end with `max_batch_size`, 16, received \[4, 8\]"),
        ({"max_batch_size": 8, "allowed_batch_sizes": [6, 4, 8]}, r"must rise .* received \[6, 4, 8\]"),
        ({"batch_size": 8}, r"no field `batch_size`"),
    ],
)
def test_wrong_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        batching_options(fields)

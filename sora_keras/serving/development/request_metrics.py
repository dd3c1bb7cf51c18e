"""Answered requests to the counts and latencies that Prometheus reads, under TensorFlow Serving's names."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import prometheus_client
import tensorflow as tf

from sora_keras.serving.development.json_tensors import CODE_NAMES
from sora_keras.serving.development.served_models import ServedModels


class RequestMetrics:
    """Counts of one server.

    Args:
        models: whose names label the counts; names that somebody invents are not counted, so they fill no memory.
    """

    def __init__(self, models: ServedModels) -> None:
        self._models = models
        self._registry = prometheus_client.CollectorRegistry()
        # A gauge, because prometheus_client appends `_total` to the name of a counter, and the server does not.
        self._count = prometheus_client.Gauge(
            ":tensorflow:serving:request_count",
            "The total number of requests.",
            ["model_name", "status"],
            registry=self._registry,
        )
        self._latency_microseconds = prometheus_client.Histogram(
            ":tensorflow:serving:request_latency",
            "Distribution of wall time (in microseconds) for Tensorflow Serving request.",
            ["model_name", "API", "entrypoint"],
            buckets=[10 * 1.8**i for i in range(33)],
            registry=self._registry,
        )

    @contextlib.contextmanager
    def count(self, model_name: str, entry_point: str) -> Iterator[None]:
        """Count and time one prediction, with the code of the error that leaves it, if any."""
        status = "UNKNOWN"
        start_seconds = time.perf_counter()
        try:
            yield
            status = "OK"
        except tf.errors.OpError as error:
            status = CODE_NAMES[error.error_code]
            raise
        finally:
            if model_name in self._models:
                microseconds = (time.perf_counter() - start_seconds) * 1e6
                self._count.labels(model_name, status).inc()
                self._latency_microseconds.labels(model_name, "Predict", entry_point).observe(microseconds)

    def page(self) -> bytes:
        """The text that Prometheus fetches."""
        return prometheus_client.generate_latest(self._registry)

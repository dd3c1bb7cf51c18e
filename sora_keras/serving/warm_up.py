"""Requests in, the file of them that TensorFlow Serving sends itself before a version is ready, out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"


def write_warm_up(version: str | os.PathLike[str], name: str, requests: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a request for each signature, so that no user waits for what TensorFlow does at the first one.

    Args:
        version: folder of the exported version.
        name: of the model, as it is served.
        requests: by signature, the inputs by name.

    Returns:
        The file, `assets.extra/tf_serving_warmup_requests`.

    Raises:
        ImportError: if `sora-keras[serving]` is not installed.

    Example:
        >>> write_warm_up("saved_models/fights/1", "fights", {"serving_default": {"frames": clip.frames[None]}})

    Reference:
        https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    file = Path(version) / WARM_UP_FILE
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(os.fspath(file)) as writer:
        for signature, inputs in requests.items():
            log = PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())
    return file

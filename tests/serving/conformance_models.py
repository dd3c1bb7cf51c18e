"""Writes the small SavedModels that the conformance suite asks, and a `models.config` that serves them.

The suite starts the development server on them by itself. To hold another server to it, for one TensorFlow Serving:

    python tests/serving/conformance_models.py /tmp/conformance
    tensorflow_model_server --port=8500 --rest_api_port=8501 --model_config_file=/tmp/conformance/models.config \
        --allow_version_labels_for_unavailable_models --monitoring_config_file=/tmp/conformance/monitoring.config
    export SORA_KERAS_SERVING_URL=http://localhost:8501 SORA_KERAS_SERVING_GRPC=localhost:8500
    pytest tests/serving/test_rest_conformance.py tests/serving/test_grpc_conformance.py

and, for the tests of batching, a second one with `--port=8510 --rest_api_port=8511 --enable_batching
--batching_parameters_file=/tmp/conformance/batching.config`, named by SORA_KERAS_SERVING_BATCHING_URL and
SORA_KERAS_SERVING_BATCHING_GRPC. In the `tensorflow/serving` image the folder must have the path it was written to.
"""

import sys
from pathlib import Path

import tensorflow as tf

MAX_BATCH_SIZE = 8
BATCHING_CONFIG = f"""max_batch_size {{ value: {MAX_BATCH_SIZE} }}
batch_timeout_micros {{ value: 20000 }}
num_batch_threads {{ value: 2 }}
max_enqueued_batches {{ value: 100 }}
allowed_batch_sizes: 4
allowed_batch_sizes: {MAX_BATCH_SIZE}
"""
MONITORING_CONFIG = 'prometheus_config { enable: true, path: "/monitoring/prometheus/metrics" }\n'
TYPES = ("float32", "float64", "int32", "int64", "uint8", "bool", "string")


def write_models(folder):
    """Write every model below `folder`, and `models.config`, `batching.config` and `monitoring.config` beside them."""
    models = {
        "scale": ("latest", write_scale),
        "labelled": ("labelled", write_scale),
        "with space": ("latest", write_scale),
    }
    for name, (_, write) in models.items():
        for version in (1, 2):
            write(folder / name / str(version), factor=version)
    write_types(folder / "types" / "00005")
    write_shapes(folder / "shapes" / "1")
    config = "".join(
        model_config(name, folder / name, labelled=name == "labelled") for name in [*models, "types", "shapes"]
    )
    (folder / "models.config").write_text(f"model_config_list {{\n{config}}}\n")
    (folder / "batching.config").write_text(BATCHING_CONFIG)
    (folder / "monitoring.config").write_text(MONITORING_CONFIG)


def model_config(name, path, labelled=False):
    labels = """    model_version_policy { specific { versions: 1 versions: 2 } }
    version_labels { key: "stable" value: 1 }
    version_labels { key: "canary" value: 2 }
"""
    return f"""  config {{
    name: "{name}"
    base_path: "{path}"
    model_platform: "tensorflow"
{labels if labelled else ""}  }}
"""


def write_scale(path, factor):
    """`y = factor * x` for `x` float32 (B, D); `count` takes a number of turns, to keep the server busy."""
    module = tf.Module()
    module.factor = tf.Variable(float(factor))

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="x")])
    def scale(x):
        return {"y": module.factor * tf.ensure_shape(x, (None, None))}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int64, name="turns")])
    def count(turns):
        def turn(i, total):
            matrix = tf.random.stateless_uniform((64, 64), [0, 0]) + tf.cast(i, tf.float32)
            return i + 1, total + 0.0 * tf.reduce_sum(tf.linalg.matmul(matrix, matrix)) + 1.0

        _, total = tf.while_loop(lambda i, _: i < turns[0], turn, (tf.constant(0, tf.int64), module.factor * 0.0))
        return {"total": tf.fill(tf.shape(turns), total), "factor": tf.fill(tf.shape(turns), module.factor)}

    tf.saved_model.save(module, str(path), {"serving_default": scale, "count": count})


def write_types(path):
    """One signature for each type, which returns its input, and one that takes several."""
    module = tf.Module()
    signatures = {}
    for name in TYPES:
        specification = tf.TensorSpec(None, name, name="x")
        signatures[name] = tf.function(lambda x: {"y": tf.identity(x)}, input_signature=[specification])
    specifications = [tf.TensorSpec((None,), kind, name=name) for name, kind in [("a", "int64"), ("b", "string")]]
    signatures["serving_default"] = tf.function(
        lambda a, b: {"a": tf.identity(a), "b": tf.identity(b)}, input_signature=specifications
    )
    specification = tf.TensorSpec((None,), "string", name="image")
    signatures["bytes"] = tf.function(
        lambda image: {"image_bytes": tf.identity(image)}, input_signature=[specification]
    )
    specification = tf.TensorSpec((None,), "float32", name="x")
    signatures["half"] = tf.function(lambda x: {"y": tf.cast(x, tf.float16)}, input_signature=[specification])
    tf.saved_model.save(module, str(path), signatures)


def write_shapes(path):
    """A convolution behind `ensure_shape`, outputs without a common dimension 0, and one without any."""
    module = tf.Module()
    module.kernel = tf.Variable(tf.ones((3, 3, 1, 1)))

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="image")])
    def convolve(image):
        image = tf.ensure_shape(image, (None, 4, 4, 1))
        return {"sums": tf.nn.conv2d(image, module.kernel, 1, "VALID")}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    def uneven(x):
        return {"a": tf.identity(x), "b": tf.reduce_sum(x, keepdims=True)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    def scalar(x):
        return {"total": tf.reduce_sum(x)}

    two = [tf.TensorSpec((None,), tf.float32, name=name) for name in ("a", "b")]
    joined = tf.function(lambda a, b: {"c": tf.identity(a), "d": tf.identity(b)}, input_signature=two)
    signatures = {"serving_default": convolve, "uneven": uneven, "scalar": scalar, "joined": joined}
    tf.saved_model.save(module, str(path), signatures)


if __name__ == "__main__":
    write_models(Path(sys.argv[1]).resolve())

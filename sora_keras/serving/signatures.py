"""A model in, what a server can be asked about it out: functions of tensors, each with its named inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from sora_keras.models import SoraBackbone, SoraClassifier, SoraEnhancer, SoraGenerator, SoraUnderstanding
from sora_keras.models.streaming import step_model

Answer = Callable[[Any], dict[str, Any]]
MOST_PIXELS = 2**24
PNG = b"\x89PNG\r\n\x1a\n"  # how such a file begins
CLASSES = (SoraClassifier, SoraUnderstanding, SoraBackbone, SoraEnhancer, SoraGenerator)


def signatures(model: keras.Model) -> dict[str, Any]:
    """What a server answers with a model.

    | signature | inputs | models |
    |---|---|---|
    | `serving_default` | `frames`, `uint8 (B, T, H, W, C)` | all |
    | `encoded` | `frames`, `string (B, T)`, JPEG or PNG, resized where they have another size | all |
    | `embed` | `frames` as of `serving_default` | those on a backbone |
    | `embed_encoded` | `frames` as of `encoded` | those on a backbone |
    | `step` | `frame`, `uint8 (B, H, W, C)`, and the state, each part by its name | causal ones |
    | `clip_spec` | `index`, `int32 (B,)`, any numbers | all |

    Outputs have the names that the model gives them, `float32`, or `uint8` for frames that are shown; a classifier's
    are `probabilities`, `class_names` and `label`, and each vocabulary `x` has the names `x_names`. A `step` answers
    with the new state, too, under the names of the old one. The `clip_spec` is JSON, once for each index: a client
    learns from it how to sample a video, and has no other way to ask a server. Inputs of another rank or size are
    refused: TensorFlow Serving does not look at shapes, and a wrong rank in a convolution can end its process.

    Args:
        model: a `SoraClassifier`, `SoraUnderstanding`, `SoraBackbone`, `SoraEnhancer` or `SoraGenerator`.

    Returns:
        By name, each a `tf.function` that was traced once.

    Raises:
        TypeError: if it is no such model.
        ValueError: if it reads more than frames.

    Example:
        >>> signatures(model)["serving_default"](frames)["label"]
        <tf.Tensor: shape=(1,), dtype=string, numpy=array([b'fight'], dtype=object)>
    """
    check_is_served(model)
    answer = _answer(model)
    found = {"serving_default": _of_frames(model, answer), "encoded": _of_encoded(model, answer)}
    backbone = model if isinstance(model, SoraBackbone) else getattr(model, "backbone", None)
    if backbone is not None:

        def embed(frames: Any) -> dict[str, Any]:
            return {"embedding": backbone(frames, training=False)["embedding"]}

        found |= {"embed": _of_frames(model, embed), "embed_encoded": _of_encoded(model, embed)}
    if (step := _step_model(model)) is not None:
        found["step"] = _of_a_frame(model, step)
    return {**found, "clip_spec": _of_an_index(model)}


def check_is_served(model: keras.Model) -> None:
    """Refuse a model that has no signatures here, with what to do instead.

    Args:
        model: any model.

    Raises:
        TypeError: if it is of none of the classes that are served.
        ValueError: if it reads more than frames.

    Example:
        >>> check_is_served(model)
    """
    if not isinstance(model, CLASSES):
        raise TypeError(
            f"Expected a {', '.join(of.__name__ for of in CLASSES[:-1])} or {CLASSES[-1].__name__}, received a "
            f"{type(model).__name__}; for any other model use Keras's `model.export(path)`."
        )
    if names := sorted(tensor.name for tensor in model.inputs if tensor.name != "frames"):
        raise ValueError(
            f"A server gets frames only, and the model reads {', '.join(names)}, too: train one without, or use "
            "Keras's `model.export(path)` and send all of it."
        )


def _answer(model: keras.Model) -> Answer:
    """What the model says of a clip, by name."""

    def answer(frames: Any) -> dict[str, Any]:
        outputs = model(frames, training=False)
        if isinstance(model, SoraClassifier):
            return _classes(model, outputs)
        if isinstance(model, SoraGenerator):
            return {"next_frames": outputs}
        if isinstance(model, SoraEnhancer):
            return {**outputs, "frames": _shown(outputs["frames"])}
        return {**outputs, **_names(model, tf.shape(frames)[0])}

    return answer


def _classes(model: SoraClassifier, logits: Any) -> dict[str, Any]:
    names = tf.constant(model.class_names)
    probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))
    return {
        "probabilities": tf.ensure_shape(probabilities, (None, len(model.class_names))),
        "class_names": tf.tile(names[None], (tf.shape(probabilities)[0], 1)),
        "label": tf.gather(names, tf.argmax(probabilities, axis=-1)),
    }


def _names(model: keras.Model, batch_size: Any) -> dict[str, Any]:
    """The names of each vocabulary's labels, once for each clip: what a server answers has the batch first."""
    vocabularies = getattr(model, "vocabularies", {})
    return {f"{name}_names": tf.tile(tf.constant(list(of))[None], (batch_size, 1)) for name, of in vocabularies.items()}


def _shown(frames: Any) -> Any:
    return tf.cast(tf.round(tf.clip_by_value(frames, 0.0, 255.0)), tf.uint8)


def _shape(model: keras.Model) -> tuple[int, int, int]:
    """Height, width and channels of a frame."""
    _, height, width, _ = model.clip_spec.shape
    return height, width, getattr(model, "num_channels", 3)


def _of_frames(model: keras.Model, answer: Answer) -> Any:
    shape = (None, None, *_shape(model))

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8, name="frames")])
    def signature(frames: Any) -> dict[str, Any]:
        return _bordered(answer(tf.ensure_shape(frames, shape)))

    signature.get_concrete_function()
    return signature


def _of_encoded(model: keras.Model, answer: Answer) -> Any:
    height, width, channels = _shape(model)

    def decode(encoded: Any) -> Any:
        frame = tf.io.decode_image(_of_bearable_size(encoded), channels, expand_animations=False)
        frame.set_shape((None, None, channels))
        is_of_that_size = tf.reduce_all(tf.equal(tf.shape(frame)[:2], (height, width)))
        frame = tf.cond(
            is_of_that_size,
            lambda: frame,
            lambda: _shown(tf.image.resize(frame, (height, width), tf.image.ResizeMethod.AREA)),
        )
        return tf.ensure_shape(frame, (height, width, channels))

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.string, name="frames")])
    def signature(frames: Any) -> dict[str, Any]:
        frames = tf.ensure_shape(frames, (None, None))
        decoded = tf.map_fn(decode, tf.reshape(frames, (-1,)), parallel_iterations=4, fn_output_signature=tf.uint8)
        decoded = tf.reshape(decoded, tf.concat([tf.shape(frames), (height, width, channels)], axis=0))
        return _bordered(answer(tf.ensure_shape(decoded, (None, None, height, width, channels))))

    signature.get_concrete_function()
    return signature


def _of_bearable_size(encoded: Any) -> Any:
    """The same picture, once its header has been read: a megabyte can unpack to gigabytes, and end a server."""

    def png_size() -> Any:
        bytes_ = tf.reshape(tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.uint8), (2, 4))
        return tf.reduce_sum(tf.cast(bytes_, tf.int64) * [2**24, 2**16, 2**8, 1], axis=-1)

    def size_of_others() -> Any:
        with tf.control_dependencies([tf.debugging.Assert(tf.io.is_jpeg(encoded), ["A frame is no JPEG and no PNG."])]):
            return tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64)

    size = tf.cond(tf.strings.substr(encoded, 0, len(PNG)) == PNG, png_size, size_of_others)
    is_bearable = tf.reduce_prod(size) <= MOST_PIXELS
    message = f"A frame has more pixels than the {MOST_PIXELS} that are decoded: height and width, or the reverse:"
    with tf.control_dependencies([tf.debugging.Assert(is_bearable, [message, size])]):
        return tf.identity(encoded)


def _of_an_index(model: keras.Model) -> Any:
    description = json.dumps(model.clip_spec.get_config())

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, name="index")])
    def signature(index: Any) -> dict[str, Any]:
        return {"clip_spec": tf.fill(tf.shape(tf.ensure_shape(index, (None,))), description)}

    signature.get_concrete_function()
    return signature


def _step_model(model: keras.Model) -> keras.Model | None:
    """The model for a frame and a state, if it can do without the frames to come."""
    if isinstance(model, SoraGenerator):
        return model.step_model
    if isinstance(model, SoraEnhancer):
        return model.step_model(*_shape(model)[:2]) if model.mode == "restore" else None
    try:
        return step_model(model)
    except ValueError:
        return None


def _of_a_frame(model: keras.Model, step: keras.Model) -> Any:
    dtypes = {name: tensor.dtype for name, tensor in step.input.items()}
    specs = {
        name: tf.TensorSpec(tensor.shape, tf.uint8 if tensor.dtype == "uint8" else tf.float32, name=name)
        for name, tensor in step.input.items()
    }

    @tf.function
    def signature(**inputs: Any) -> dict[str, Any]:
        inputs = {name: tf.cast(tf.ensure_shape(x, specs[name].shape), dtypes[name]) for name, x in inputs.items()}
        outputs = dict(step(inputs, training=False))
        if isinstance(model, SoraClassifier):
            outputs |= _classes(model, outputs.pop("logits"))
        if isinstance(model, SoraEnhancer):
            outputs["frame"] = _shown(outputs["frame"])
        return _bordered({**outputs, **_names(model, tf.shape(inputs["frame"])[0])})

    signature.get_concrete_function(**specs)
    return signature


def _bordered(outputs: dict[str, Any]) -> dict[str, Any]:
    """No half precision at the border: REST cannot say it."""
    return {
        name: tf.cast(tensor, tf.float32) if tensor.dtype.is_floating else tensor for name, tensor in outputs.items()
    }

"""A trained model to a versioned SavedModel that TensorFlow Serving loads."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from sora_keras.serving.bundle import CLIP_SPEC_FILE, versions_in

REFUSED_OPERATIONS = ("PyFunc", "EagerPyFunc", "Cudnn")


def export(model: Any, path: str | os.PathLike[str], version: int | None = None) -> Path:
    """Write `path/<version>/`: a SavedModel with what a client needs beside it.

    The signature `serving_default` takes `frames`, `uint8 (B, T, H, W, 3)`, and gives `probabilities`,
    `float32 (B, K)`, `class_names`, `string (B, K)`, and `label`, `string (B,)`, the most probable class. Everything is
    written under another name and renamed when it is whole, so a server that watches `path` never sees a part.

    Args:
        model: a `SoraClassifier`.
        path: the folder of this model's versions.
        version: a positive number; by default one more than the highest there.

    Returns:
        The folder of the new version.

    Raises:
        TypeError: if the model is no classifier with `class_names` and `clip_spec`.
        ValueError: if the version is not positive, or the graph holds what a server cannot run.
        FileExistsError: if that version is there already.
        OSError: if it cannot be written; nothing is left behind.

    Example:
        >>> sora_keras.export(model, "saved_models/fights")
        PosixPath('saved_models/fights/1')
    """
    if not hasattr(model, "class_names") or not hasattr(model, "clip_spec"):
        raise TypeError(
            f"`export` takes a SoraClassifier, with `class_names` and `clip_spec`, received a {type(model).__name__}; "
            "for any other model use Keras's `model.export(path)`."
        )
    if num_features := getattr(getattr(model, "backbone", None), "num_features", 0):
        raise ValueError(
            f"The model reads {num_features} classical features beside or in place of frames, and a server gets frames "
            "only: train one with `num_features=0`, or use Keras's `model.export(path)` and send the features."
        )
    for name, what in (("sound_samples", "sound"), ("has_padding", "a mask of padded frames")):
        if getattr(getattr(model, "backbone", None), name, 0):
            raise ValueError(
                f"The model reads {what} beside frames (`{name}`), and a server gets frames only: train one without, "
                "or use Keras's `model.export(path)` and send both."
            )
    if keras.config.backend() != "tensorflow":
        raise ValueError(
            f"Only Keras's TensorFlow backend writes SavedModels, and this one is {keras.config.backend()!r}: save the "
            "model with `save_to_preset`, and export it in a process with KERAS_BACKEND=tensorflow."
        )
    base = Path(path)
    version = max(versions_in(base), default=0) + 1 if version is None else version
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"`version` must be a whole number of at least 1, received {version!r}.")
    if (base / str(version)).exists():
        raise FileExistsError(f"{base / str(version)} is there already: leave `version` out to write the next one.")
    base.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=base))
    console = Console(stderr=True)
    try:
        with console.status(f"Exporting version {version}") if console.is_terminal else contextlib.nullcontext():
            _write(model, partial)
        partial.chmod(0o755)
        partial.rename(base / str(version))
    except tf.errors.OpError as error:
        raise OSError(f"{base / str(version)} cannot be written, and nothing is left of it: {error.message}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return base / str(version)


def _write(model: Any, directory: Path) -> None:
    """Write the SavedModel and what goes beside it into an empty folder."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    _, height, width, channels = model.clip_spec.shape
    frames = tf.TensorSpec((None, None, height, width, channels), tf.uint8, name="frames")
    serve = tf.function(_classify(model), input_signature=[frames])
    with _without_cudnn(model):
        _refuse_unservable(serve.get_concrete_function().graph)
        archive.add_endpoint("serving_default", serve)
        archive.write_out(os.fspath(directory), verbose=False)
    description = {"clip_spec": model.clip_spec.get_config(), "class_names": list(model.class_names)}
    file = directory / CLIP_SPEC_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _without_cudnn(model: Any) -> Iterator[None]:
    """A model traced beside a GPU would hold kernels that a server without one cannot run."""
    recurrent = [layer for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    kept = [layer.use_cudnn for layer in recurrent]
    try:
        for layer in recurrent:
            layer.use_cudnn = False
        yield
    finally:
        for layer, use_cudnn in zip(recurrent, kept, strict=True):
            layer.use_cudnn = use_cudnn


def _classify(model: Any) -> Callable[[Any], dict[str, Any]]:
    """The function behind `serving_default`."""
    _, height, width, channels = model.clip_spec.shape
    names = list(model.class_names)

    def serve(frames: Any) -> dict[str, Any]:
        # TensorFlow Serving checks no shapes, and a wrong rank in a convolution can end the server's process.
        frames = tf.ensure_shape(frames, (None, None, height, width, channels))
        probabilities = tf.nn.softmax(tf.cast(model(frames, training=False), tf.float32))
        batch_size = tf.shape(probabilities)[0]
        return {
            "probabilities": tf.ensure_shape(probabilities, (None, len(names))),
            "class_names": tf.tile(tf.constant(names)[None], (batch_size, 1)),
            "label": tf.gather(tf.constant(names), tf.argmax(probabilities, axis=-1)),
        }

    return serve


def _refuse_unservable(graph: Any) -> None:
    """Raise a `ValueError` that names the operations no CPU server can run."""
    nodes = graph.as_graph_def()
    operations = {node.op for node in nodes.node} | {node.op for f in nodes.library.function for node in f.node_def}
    if refused := sorted(name for name in operations if name.startswith(REFUSED_OPERATIONS)):
        raise ValueError(
            f"The model holds operations that a server cannot run: {refused}. Take Python "
            "functions out, and export with CUDA_VISIBLE_DEVICES=-1."
        )

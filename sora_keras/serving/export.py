"""A trained model to a versioned SavedModel that TensorFlow Serving loads."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from sora_keras.serving.bundle import CLIP_SPEC_FILE, versions_in
from sora_keras.serving.deployment import write_deployment
from sora_keras.serving.gate import check_in_session, example_inputs, refuse_unservable
from sora_keras.serving.signatures import check_is_served, signatures
from sora_keras.serving.small_weights import check_weights, with_weights_in
from sora_keras.serving.warm_up import write_warm_up

CARD_FILE = "model_card.md"
LABELS_FILE = "assets.extra/labels.json"
REPORT_FILE = "assets.extra/export_report.json"
REQUEST_FILE = "assets.extra/request.json"


def export(
    model: Any,
    path: str | os.PathLike[str],
    version: int | None = None,
    clips: np.ndarray | None = None,
    model_card: str | os.PathLike[str] | None = None,
    weights: str = "float32",
) -> Path:
    """Write `path/<version>/`: a SavedModel with what a server and its clients need beside it.

    What it can be asked is said at `sora_keras.serving.signatures`. Before anything stands under its final name, a
    fresh process loads it as a server does and answers clips, whole and encoded, one at a time and five: each answer
    must be the model's to 1e-5, and inputs of a wrong rank must be refused. The report is printed, and kept. A server
    that watches `path` never sees a part.

    Under `assets.extra/` of the version are `clip_spec.json`, `labels.json`, `model_card.md`, `export_report.json`,
    `request.json` (a body to ask with) and the warm-up requests. In `path` are `models.config`, `batching.config`,
    `monitoring.config`, `compose.yaml` and `kubernetes.yaml`; of these only the first is written anew each time.

    Args:
        model: a `SoraClassifier`, `SoraUnderstanding`, `SoraBackbone`, `SoraEnhancer` or `SoraGenerator`.
        path: the folder of this model's versions.
        version: a positive number; by default one more than the highest there.
        clips: `uint8 (N, T, H, W, C)`, real ones to check the answers on, which are not kept; by default patterns that
            move.
        model_card: file to put beside the model; by default `path/model_card.md`, if there is one.
        weights: the type that kernels are stored in: `"float32"`, `"bfloat16"`, half the size, or `"int8"`, a quarter.
            They become `float32` at each call, so it saves space and not time; the answers are then checked against
            those of the model with its weights so rounded.

    Returns:
        The folder of the new version.

    Raises:
        TypeError: if it is another model.
        ValueError: if the version is not positive, `weights` is no such type, `clips` are not what the model reads, it
            reads more than frames, or a server could not run it.
        FileExistsError: if that version is there already.
        FileNotFoundError: if there is no such `model_card`.
        OSError: if it cannot be written; nothing is left behind.

    Example:
        >>> sora_keras.export(model, "saved_models/fights")
        PosixPath('saved_models/fights/1')
    """
    check_is_served(model)
    check_weights(weights)
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
    if clips is not None:
        _check_clips(clips, model)
    if model_card is None and (base / CARD_FILE).exists():
        model_card = base / CARD_FILE
    if model_card is not None and not Path(model_card).is_file():
        raise FileNotFoundError(
            f"There is no model card {os.fspath(model_card)!r}: leave `model_card` out, or write it."
        )
    base.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=base))
    console = Console(stderr=True)
    try:
        with console.status(f"Exporting version {version}") if console.is_terminal else contextlib.nullcontext():
            report = _write(model, clips, partial, weights)
        if model_card is not None:
            shutil.copyfile(model_card, partial / "assets.extra" / CARD_FILE)
        partial.chmod(0o755)
        partial.rename(base / str(version))
    except tf.errors.OpError as error:
        raise OSError(f"{base / str(version)} cannot be written, and nothing is left of it: {error.message}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    write_deployment(base)
    console.print(_table(f"{base.name}, version {version}", report))
    return base / str(version)


def _check_clips(clips: np.ndarray, model: Any) -> None:
    *_, height, width, _ = model.clip_spec.shape
    expected = (height, width, getattr(model, "num_channels", 3))
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[2:] != expected or not clips.size:
        raise ValueError(
            f"`clips` must be uint8 (N, T, {', '.join(map(str, expected))}), received {clips.dtype} {clips.shape}."
        )


def _write(model: Any, clips: np.ndarray | None, directory: Path, weights: str) -> dict[str, dict[str, Any]]:
    """Write the SavedModel and what goes beside it into an empty folder, and check it there."""
    archive = keras.export.ExportArchive()
    with _without_cudnn(model):
        functions = with_weights_in(weights, model, signatures(model))
    for name, function in functions.items():
        refuse_unservable(name, function)
        archive.add_endpoint(name, function)
    archive.write_out(os.fspath(directory), verbose=False)
    class_names = list(getattr(model, "class_names", []))
    _write_json(directory / CLIP_SPEC_FILE, {"clip_spec": model.clip_spec.get_config(), "class_names": class_names})
    vocabularies = {name: list(labels) for name, labels in getattr(model, "vocabularies", {}).items()}
    _write_json(directory / LABELS_FILE, vocabularies or {"classes": class_names})
    patterns = moving_patterns(model)  # what is written down shows nobody
    _write_json(directory / REQUEST_FILE, _request(patterns[0]))
    report = check_in_session(directory, functions, patterns if clips is None else clips)
    _write_json(directory / REPORT_FILE, report)
    try:
        requests = {name: example_inputs(name, function, patterns[:1]) for name, function in functions.items()}
        write_warm_up(directory, directory.parent.name, requests)
    except ImportError:
        logging.getLogger(__name__).warning(
            "Without the package tensorflow-serving-api no warm-up requests are written, and a server's first answer "
            "takes long: pip install 'sora-keras[serving]'."
        )
    return report


def _request(clip: np.ndarray) -> dict[str, Any]:
    """A body for REST that asks about a clip `(T, H, W, C)`."""
    frames = [base64.b64encode(tf.io.encode_jpeg(frame).numpy()).decode() for frame in clip]
    return {"signature_name": "encoded", "instances": [[{"b64": frame} for frame in frames]]}


def _table(title: str, report: dict[str, dict[str, Any]]) -> Table:
    table = Table("signature", "one clip", "five", "a wrong rank", title=f"{title}: largest difference from the model")
    for name, checks in report.items():
        table.add_row(name, f"{checks['batch_1']:.1e}", f"{checks['batch_5']:.1e}", "refused")
    return table


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def moving_patterns(model: Any) -> np.ndarray:
    """Clips `uint8 (5, T, H, W, C)` of waves that move, each another way, with a little noise."""
    num_frames, height, width, _ = model.clip_spec.shape
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1)
    waves, speeds = rng.uniform(-0.4, 0.4, (5, 3, 2)), rng.uniform(-0.6, 0.6, (5, 1, 3, 1, 1))
    times = np.arange(num_frames)[None, :, None, None, None]
    phases = np.einsum("bcx,hwx->bchw", waves, places)[:, None] + speeds * times
    frames = 128 + 90 * np.sin(phases) + rng.normal(0, 5, phases.shape)
    num_channels = getattr(model, "num_channels", 3)
    return np.moveaxis(frames, 2, -1)[..., :num_channels].round().clip(0, 255).astype(np.uint8)


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

"""A SavedModel and the functions it was written from in, a report out: nothing passes that a server cannot run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_keras.serving import session_check

REFUSED_OPERATIONS = ("PyFunc", "EagerPyFunc", "Cudnn")
BATCH_SIZES = (1, 5)
TOLERANCE = 1e-5  # of the largest number of an output, and at least of 1
HALF_TOLERANCE = 1e-2  # where products are of half precision, whose rounding depends on what TensorFlow fuses
PRODUCTS = ("BatchMatMulV2", "Conv2D", "DepthwiseConv2dNative", "MatMul")
SHOWN_LEVELS = 1  # a frame that is shown may differ so much, where rounding tips over


def refuse_unservable(name: str, function: Any) -> None:
    """Look through a signature's graph for what a server cannot run.

    Args:
        name: of the signature.
        function: its traced `tf.function`.

    Raises:
        ValueError: if it has Python inside, needs a GPU's library or XLA, or has half precision at its border.
    """
    concrete = _concrete(function)
    graph = concrete.graph.as_graph_def()
    operations = {node.op for node in graph.node} | {node.op for f in graph.library.function for node in f.node_def}
    if refused := sorted(operation for operation in operations if operation.startswith(REFUSED_OPERATIONS)):
        raise ValueError(
            f"The model holds operations that a server cannot run: {refused}. Take Python "
            "functions out, and export with CUDA_VISIBLE_DEVICES=-1."
        )
    compiled = [f.signature.name for f in graph.library.function if f.attr["_XlaMustCompile"].b]
    if compiled:
        raise ValueError(
            f"The model has functions with `jit_compile=True`, which a server refuses: {sorted(compiled)}."
        )
    tensors = [*_inputs_of(function).values(), *concrete.structured_outputs.values()]
    if halves := sorted({tensor.dtype.name for tensor in tensors if tensor.dtype in (tf.float16, tf.bfloat16)}):
        raise ValueError(f"The signature {name!r} takes or gives {', '.join(halves)}, which REST cannot say: cast it.")


def example_inputs(name: str, function: Any, clips: np.ndarray) -> dict[str, Any]:
    """What a signature is asked about some clips.

    Args:
        name: of the signature.
        function: its traced `tf.function`.
        clips: `uint8 (N, T, H, W, C)`.

    Returns:
        The inputs by name: the clips, their frames as PNG, the last frame of each and the state before it, or their
        numbers.

    Example:
        >>> example_inputs("step", functions["step"], clips)["frame"].shape
        (5, 64, 64, 3)
    """
    specs = _inputs_of(function)
    if "index" in specs:
        return {"index": np.arange(len(clips), dtype=np.int32)}
    if name in ("encoded", "embed_encoded"):
        encoded = [[tf.io.encode_png(frame).numpy() for frame in clip] for clip in clips]
        return {"frames": np.array(encoded, dtype="S")}
    if "frame" not in specs:
        return {"frames": clips}
    state = {
        key: np.zeros((len(clips), *spec.shape[1:]), spec.dtype.as_numpy_dtype)
        for key, spec in specs.items()
        if key != "frame"
    }
    for index in range(clips.shape[1] - 1):
        answers = function.python_function(frame=tf.constant(clips[:, index]), **state)
        state = {key: answers[key].numpy() for key in state}
    return {"frame": clips[:, -1], **state}


def check_in_session(version: Path, functions: Mapping[str, Any], clips: np.ndarray) -> dict[str, Any]:
    """Ask the SavedModel what the model is asked, in a fresh process, without eager execution.

    Args:
        version: folder of the SavedModel.
        functions: the signatures it was written from.
        clips: `uint8 (N, T, H, W, C)` to ask about; repeated to 5 where there are fewer.

    Returns:
        By signature, for each batch size, the largest difference from the model itself; and why a wrong rank is
        refused.

    Raises:
        ValueError: if the process dies, an answer differs by more than 1e-5 (1e-2 where the model multiplies in half
            precision), or inputs of a wrong rank are answered.
    """
    cases = {
        f"{name}.batch_{size}": example_inputs(name, function, np.resize(clips, (size, *clips.shape[1:])))
        for name, function in functions.items()
        for size in BATCH_SIZES
    }
    wrong = {
        f"{name}.wrong_rank": {
            key: value.ravel() if value.ndim > 1 else value[None] for key, value in cases[f"{name}.batch_1"].items()
        }
        for name in functions
    }
    with tempfile.TemporaryDirectory() as folder:
        for case, inputs in {**cases, **wrong}.items():
            np.savez(Path(folder) / f"{case}.npz", **inputs)
        _ask(version, Path(folder))
        report: dict[str, Any] = {name: {} for name in functions}
        for case, inputs in cases.items():
            name, which = case.split(".")
            report[name][which] = _difference(case, functions[name], inputs, Path(folder))
        for case in wrong:
            name, which = case.split(".")
            report[name][which] = _refusal(case, Path(folder))
    return report


def _concrete(function: Any) -> Any:
    """The trace that will be written: the first one."""
    return function._list_all_concrete_functions()[0]


def _multiplies_in_half(function: Any) -> bool:
    """Whether it was trained so, and not only stored so."""
    graph = _concrete(function).graph.as_graph_def()
    nodes = [*graph.node, *(node for of in graph.library.function for node in of.node_def)]
    halves = (tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum)
    return any(node.op in PRODUCTS and node.attr["T"].type in halves for node in nodes)


def _inputs_of(function: Any) -> dict[str, tf.TensorSpec]:
    return {spec.name: spec for spec in tf.nest.flatten(_concrete(function).structured_input_signature)}


def _ask(version: Path, folder: Path) -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, session_check.__file__, os.fspath(version), os.fspath(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(
            f"The exported model ended the process that loaded it in a version 1 Session (exit status "
            f"{done.returncode}), as it would end a server: {done.stderr.strip()[-2000:]}"
        )


def _difference(case: str, function: Any, inputs: dict[str, np.ndarray], folder: Path) -> float:
    """The largest one between what the model says, run eagerly, and what came back."""
    refused = folder / f"{case}.refused.txt"
    if refused.exists():
        raise ValueError(f"The exported model refuses a right input of {case}: {refused.read_text(encoding='utf-8')}")
    expected = function.python_function(**{name: tf.constant(value) for name, value in inputs.items()})
    relative = HALF_TOLERANCE if _multiplies_in_half(function) else TOLERANCE
    largest = 0.0
    with np.load(folder / f"{case}.answers.npz") as answers:
        for name, tensor in expected.items():
            got, value = answers[name], tensor.numpy()
            if value.dtype == object:
                if (got != value.astype("S")).any():
                    raise ValueError(f"The exported model gives {got} as {name} of {case}, the model {value}.")
                continue
            difference = float(np.abs(got.astype(np.float64) - value).max(initial=0))
            allowed = (
                SHOWN_LEVELS if value.dtype == np.uint8 else relative * max(1.0, float(np.abs(value).max(initial=0)))
            )
            if not difference <= allowed:
                raise ValueError(
                    f"The exported model differs from the model by {difference:.3g} in {name} of {case}, and may by "
                    f"{allowed:.3g}."
                )
            largest = max(largest, difference if value.dtype != np.uint8 else 0.0)
    return largest


def _refusal(case: str, folder: Path) -> str:
    refused = folder / f"{case}.refused.txt"
    if not refused.exists():
        raise ValueError(f"The exported model answers inputs of a wrong rank ({case}), where it must refuse them.")
    return refused.read_text(encoding="utf-8").splitlines()[0]

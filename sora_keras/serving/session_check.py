"""Answers of a SavedModel in a version 1 Session, as a server gets them, to cases on the disk.

Run as a program by `sora_keras.serving.gate`, in a process that knows nothing of Keras:

    python session_check.py VERSION_FOLDER CASES_FOLDER

Each case is a file `SIGNATURE.NAME.npz` with the inputs by name; beside it comes `SIGNATURE.NAME.answers.npz`, or
`SIGNATURE.NAME.refused.txt` with TensorFlow's reason. A process that dies over a case leaves neither.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2


def main(version: str, cases: Path) -> None:
    """Answer each case, or say why not."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], version)
        for case in sorted(cases.glob("*.npz")):
            signature = graph.signature_def[case.name.split(".")[0]]
            with np.load(case) as inputs:
                try:
                    answers = run(session, signature, dict(inputs))
                except tf.errors.InvalidArgumentError as refusal:
                    case.with_suffix(".refused.txt").write_text(refusal.message, encoding="utf-8")
                    continue
            np.savez(case.with_suffix(".answers.npz"), **answers)


def run(session: tf.compat.v1.Session, signature: Any, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """`Session.run` refuses wrong shapes by itself, in Python; a server does not, so neither does this."""
    options = config_pb2.CallableOptions()
    options.feed.extend(signature.inputs[name].name for name in inputs)
    options.fetch.extend(output.name for output in signature.outputs.values())
    feeds = [value.astype(object) if value.dtype.kind == "S" else value for value in inputs.values()]
    answers = session._make_callable_from_options(options)(*feeds)
    # Bytes are kept without pickling.
    answers = [answer.astype("S") if answer.dtype == object else answer for answer in answers]
    return dict(zip(signature.outputs, answers, strict=True))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

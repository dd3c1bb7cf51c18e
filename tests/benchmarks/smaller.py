"""What smaller formats of one model weigh, take and get wrong, side by side in one run.

Command: python tests/benchmarks/smaller.py [--data FOLDER] [--folds 3]
Time: 15 minutes on one core. LiteRT wants Keras 3.13 or newer; ONNX wants `pip install tf2onnx onnxruntime`, and is
left out without.

The model is that of recipes/fight_detection.py: the shipped preset's SqueezeNet, which learned from ImageNet alone, and
an LSTM on what it says, learned here on the clips of `fights/` but for one fold, whose sources (groups) it never meets.
The clips of that fold are asked about in each format, one clip at a time, one thread each, the formats in turn. Prints
the size of the weights and of all that is needed to run them (a SavedModel without its warm-up requests), the median
time of a clip and of its ratio to `float32`, and beside the accuracy by how much a probability changes at most and how
many answers do.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf

import sora_keras
from sora_keras import SoraBackbone, SoraClassifier
from sora_keras.data import k_fold, read_manifest, video_dataset_from_manifest
from sora_keras.models import split_after_encoders
from sora_keras.serving.small_weights import WEIGHTS
from sora_keras.training import compile_for_training, warmup_cosine

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SORA_KERAS_DATA", ROOT.parent / "shared" / "data")) / "fights"
EPOCHS, BATCH_SIZE = 15, 32

Answer = Callable[[np.ndarray], np.ndarray]


def learned_without(clips, test_indices: list[int]) -> SoraClassifier:
    """A new head on the shipped preset's frozen encoder; mirrored clips, as in the recipe, are left out for time."""
    preset = SoraClassifier.from_preset(ROOT / "saved_models" / "fight_detection")
    keras.utils.set_random_seed(0)
    encoder, spec = preset.backbone.motion_encoder, preset.clip_spec
    backbone = SoraBackbone(spec, filters=(), units=(32,), dropout=0.5, l2=1e-2, motion_encoder=encoder)
    model = SoraClassifier(backbone, clips.class_names, dropout=0.5, l2=1e-2)
    labels = np.array([clips.class_names.index(row.label) for row in clips.rows])
    train = np.setdiff1d(np.arange(len(labels)), test_indices)
    reader, _ = split_after_encoders(model)
    features = keras.tree.flatten(reader.predict(clips, verbose=0))[0]
    compile_for_training(model, warmup_cosine(1e-3, EPOCHS * -(-len(train) // BATCH_SIZE)), weight_decay=1e-2)
    _, rest = split_after_encoders(model)
    rest.fit(features[train], labels[train], BATCH_SIZE, EPOCHS, verbose=0)
    return model


def saved_model(model: SoraClassifier, folder: Path, weights: str) -> tuple[Answer, int, int]:
    """How to ask an export, the bytes of its weights and of all a server needs."""
    version = sora_keras.export(model, folder / weights, weights=weights)
    files = [*version.glob("variables/*"), version / "saved_model.pb"]
    sizes = [file.stat().st_size for file in files]
    return sora_keras.load_bundle(version).predict, sum(sizes[:-1]), sum(sizes)


def litert(model: SoraClassifier, folder: Path, name: str, **options) -> tuple[Answer, int, int]:
    """LiteRT's LSTM wants a known number of clips and frames."""
    file = folder / f"{name}.tflite"
    model.export(file, format="litert", verbose=False, input_signature=[one_clip(model)], **options)
    interpreter = tf.lite.Interpreter(os.fspath(file), num_threads=1)
    interpreter.allocate_tensors()
    [frames], [logits] = interpreter.get_input_details(), interpreter.get_output_details()

    def answer(clips: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(frames["index"], clips)
        interpreter.invoke()
        return softmax(interpreter.get_tensor(logits["index"]))

    return answer, 0, file.stat().st_size


def onnx(model: SoraClassifier, folder: Path) -> tuple[Answer, int, int]:
    """ONNX Runtime, with the same known shape."""
    import onnxruntime

    file = folder / "model.onnx"
    model.export(file, format="onnx", verbose=False, input_signature=[one_clip(model)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda clips: softmax(session.run(None, {"frames": clips})[0]), 0, file.stat().st_size


def one_clip(model: SoraClassifier) -> keras.InputSpec:
    return keras.InputSpec(shape=(1, *model.clip_spec.shape), dtype="uint8", name="frames")


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def all_formats(model: SoraClassifier, folder: Path) -> dict[str, tuple[Answer, int, int]]:
    formats = {f"SavedModel {weights}": saved_model(model, folder, weights) for weights in WEIGHTS}
    if tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 13):
        formats["LiteRT float32"] = litert(model, folder, "float32")
        small = {"optimizations": [tf.lite.Optimize.DEFAULT]}
        formats["LiteRT dynamic int8"] = litert(model, folder, "int8", **small)
        half = {**small, "target_spec": {"supported_types": [tf.float16]}}
        formats["LiteRT float16 weights"] = litert(model, folder, "float16", **half)
    if importlib.util.find_spec("tf2onnx") and importlib.util.find_spec("onnxruntime"):
        formats["ONNX float32"] = onnx(model, folder)
    return formats


def main(data: Path, num_folds: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    warnings.filterwarnings("ignore")
    spec = SoraClassifier.from_preset(ROOT / "saved_models" / "fight_detection").clip_spec
    clips = video_dataset_from_manifest(read_manifest(data / "clips.csv"), spec, batch_size=1, shuffle=False)
    _, test = next(iter(k_fold(clips.rows, num_folds, seed=0)))
    paths = {row.path for row in test}
    test_indices = [index for index, row in enumerate(clips.rows) if row.path in paths]
    model = learned_without(clips, test_indices)
    print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}, {model.count_params():,} parameters")
    print(f"learned from {len(clips.rows) - len(test)} clips, asked about {len(test)} of other sources", flush=True)
    labels, probabilities, seconds = [], {}, {}
    with tempfile.TemporaryDirectory() as folder:
        formats = all_formats(model, Path(folder))
        asked = video_dataset_from_manifest(test, spec, batch_size=1, shuffle=False, class_names=clips.class_names)
        read = list(asked.as_numpy_iterator())  # beforehand: nothing may decode beside what is timed
        for index, (frames, label) in enumerate(read):
            labels.append(int(label[0]))
            names = list(formats)
            for name in names[index % len(names) :] + names[: index % len(names)]:  # each is the first at times
                answer = formats[name][0]
                if index == 0:
                    answer(frames)
                began = time.perf_counter()
                probabilities.setdefault(name, []).append(answer(frames)[0])
                seconds.setdefault(name, []).append(time.perf_counter() - began)
    show(formats, np.array(labels), {name: np.array(rows) for name, rows in probabilities.items()}, seconds)


def show(formats, labels: np.ndarray, probabilities: dict[str, np.ndarray], seconds: dict[str, list[float]]) -> None:
    first = next(iter(formats))
    print("| format | weights, MB | all, MB | ms a clip | times float32 | accuracy | changed | answers | probability |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, (_, weights, size) in formats.items():
        ratio = statistics.median(mine / its for mine, its in zip(seconds[name], seconds[first], strict=True))
        answers, before = probabilities[name].argmax(-1), probabilities[first].argmax(-1)
        accuracy, was = (answers == labels).mean(), (before == labels).mean()
        change = np.abs(probabilities[name] - probabilities[first]).max()
        shown = f"{weights / 1e6:.2f}" if weights else ""
        print(
            f"| {name} | {shown} | {size / 1e6:.2f} | {1e3 * statistics.median(seconds[name]):.0f} | "
            f"{ratio:.2f} | {accuracy:.3f} | {accuracy - was:+.3f} | {(answers != before).sum()} of {len(labels)} | "
            f"{change:.2g} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--folds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.data, arguments.folds)

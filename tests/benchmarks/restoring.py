"""Milliseconds a frame of denoising: `python tests/benchmarks/restoring.py [--clip VIDEO] [--model PRESET]`.

The network, in float32 and in bfloat16, beside denoising along the motion and OpenCV's non-local means, on 24 frames of
480x256 pixels with noise of sigma 30, in turns, in one process with one thread, and with PSNR, to see that all did
their work. The clip may be one that the preset was trained on: its PSNR is no result.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import keras
import numpy as np
import tensorflow as tf

from sora_keras import Clip, SoraEnhancer, apps, evaluation, layers, video

PROJECT_ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SORA_KERAS_DATA", PROJECT_ROOT.parent / "shared" / "data"))
ROWS, COLUMNS, NUM_FRAMES, SIGMA, ROUNDS = 256, 480, 24, 30.0, 7
NAMES = ("network", "network, bfloat16", "along motion", "non-local means")


def main(clip: Path, preset: Path) -> None:
    """Print medians over the rounds, and ratios."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    cv2.setNumThreads(1)
    frames = [frame for _, frame in zip(range(NUM_FRAMES), stream(clip), strict=False)]
    good = np.stack(frames)
    bad = keras.ops.convert_to_numpy(layers.FrameNoise(SIGMA, seed=0)(good[None]))[0]
    ways = contestants(SoraEnhancer.from_preset(preset), bad)
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for turn in range(ROUNDS + 1):
        for name in NAMES:
            took, restored = ways[name]()
            if turn:
                seconds[name].append(took)
            else:
                psnr = evaluation.psnr(
                    np.clip(np.rint(restored), 0, 255).astype(np.uint8),
                    good[:NUM_FRAMES] if len(restored) > 1 else good[NUM_FRAMES // 2][None],
                )
                print(f"{name:20} {np.mean(psnr):.2f} dB", flush=True)
    medians = {name: 1000 * float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:20} {median:7.1f} ms a frame, {median / medians['along motion']:.2f} of along motion")


def stream(clip: Path) -> object:
    """Frames after the first second."""
    return (frame for seconds, frame in video.stream_frames(clip, ROWS, COLUMNS) if seconds >= 1)


def contestants(model: SoraEnhancer, bad: np.ndarray) -> dict[str, Callable[[], tuple[float, np.ndarray]]]:
    """By name, what restores the frames, and says the seconds that a frame took and what came out."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    half = SoraEnhancer.from_config(model.get_config())
    keras.config.set_dtype_policy("float32")
    half.set_weights(model.get_weights())

    def network(of: SoraEnhancer) -> tuple[float, np.ndarray]:
        times, restored = [], []
        for frame in apps.restored_frames(bad, of):
            restored.append(frame)
            times.append(time.perf_counter())
        return float(np.median(np.diff(times))), np.stack(restored)

    def along_motion() -> tuple[float, np.ndarray]:
        start = time.perf_counter()
        restored = video.denoise_along_motion(Clip(bad, np.arange(len(bad)) / 25), SIGMA).frames
        return (time.perf_counter() - start) / len(bad), restored

    def nonlocal_means() -> tuple[float, np.ndarray]:
        start = time.perf_counter()
        middle = len(bad) // 2
        restored = cv2.fastNlMeansDenoisingMulti(list(bad), middle, 3, None, 0.9 * SIGMA, 7, 15)
        return time.perf_counter() - start, restored[None]

    return dict(zip(NAMES, (lambda: network(model), lambda: network(half), along_motion, nonlocal_means), strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, default=DATA / "clean" / "dog.mp4")
    parser.add_argument("--model", type=Path, default=PROJECT_ROOT / "saved_models" / "denoise")
    options = parser.parse_args()
    main(options.clip, options.model)

"""What each denoiser gains, and what it costs, on clean clips with Gaussian noise added.

Command: python tests/benchmarks/cleaning.py
Reads the folder `clean` of the real data (SORA_KERAS_DATA) and prints, for noise of sigma 10, 25 and 50 in levels of
0..255, the gain in PSNR (dB, mean over the clips) and the time a frame. Parameters are chosen for each sigma on one
half of the clips and reported on the other, both ways, so that no clip has a say in its own figure. Each filter's
default parameters are reported beside them. OpenCV's non-local means over three frames stands there as the peer.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from sora_keras.video import Clip, denoising as ours, probe, stream_frames

SIGMAS = (10, 25, 50)
HEIGHT, WIDTH = 270, 480
FIRST_SECOND = 1.0
MARGIN = 2  # frames at each end that are not scored, so that every filter sees its neighbors on both sides


def nonlocal_means_over_time(clip, strength):
    """OpenCV's multi-frame non-local means on all three channels at once; the end frames are left as they are."""
    frames = list(clip.frames)
    for index in range(MARGIN, len(frames) - MARGIN):
        frames[index] = cv2.fastNlMeansDenoisingMulti(list(clip.frames), index, 3, None, strength, 7, 15)
    return Clip(np.stack(frames), clip.times)


def denoisers(sigma):
    """Name -> function of a clip and a parameter, the parameters to choose from, and the default parameter."""
    spread = (0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 1.8)
    along_motion = [(neighbors, tolerance) for neighbors in (1, 2, 3) for tolerance in (1.0, 1.25, 1.5, 2.0)]
    return {
        "gaussian_over_space": (ours.gaussian_over_space, spread, 0.8),
        "median_over_space": (ours.median_over_space, (3, 5, 7), 3),
        "bilateral_over_space": (lambda c, p: ours.bilateral_over_space(c, sigma, p), (2.0, 3.0, 4.0, 5.0, 6.0), 4.0),
        "gaussian_over_time": (ours.gaussian_over_time, spread, 1.5),
        "median_over_time": (ours.median_over_time, (3, 5), 5),
        "gaussian over both": (
            lambda c, p: ours.gaussian_over_space(ours.gaussian_over_time(c, p[0]), p[1]),
            [(over_time, over_space) for over_time in (0.4, 0.6, 0.8) for over_space in (0.5, 0.7, 1.0, 1.4)],
            None,
        ),
        "denoise_along_motion": (lambda c, p: ours.denoise_along_motion(c, sigma, *p), along_motion, (2, 1.5)),
        "  the same, sigma estimated": (lambda c, p: ours.denoise_along_motion(c, None, *p), along_motion, (2, 1.5)),
        "peer: OpenCV NLM, 3 frames": (
            lambda c, p: nonlocal_means_over_time(c, p * sigma),
            (0.6, 0.7, 0.8, 0.9, 1.0, 1.2),
            None,
        ),
    }


def read_clips(folder, num_frames):
    clips = {}
    for path in sorted(folder.iterdir()):
        info = probe(path)
        scale = min(1.0, HEIGHT / info.height)
        frames, times = [], []
        for seconds, frame in stream_frames(path):
            if seconds >= FIRST_SECOND:
                frames.append(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
                times.append(seconds)
            if len(frames) == num_frames:
                break
        clips[path.stem] = Clip(np.stack(frames), np.array(times))
    return clips


def add_noise(clip, sigma, seed):
    noise = np.random.default_rng(seed).normal(0, sigma, clip.frames.shape)
    return Clip(np.clip(np.rint(clip.frames + noise), 0, 255).astype(np.uint8), clip.times)


def psnr(clip, truth):
    scored = slice(MARGIN, -MARGIN)
    error = clip.frames[scored].astype(np.float64) - truth.frames[scored]
    return 10 * np.log10(255**2 / np.mean(error**2))


def cross_chosen(gains, parameters):
    """Mean gain `gains (clips, parameters)` of each half with the best parameter of the other half, and those two."""
    halves = np.arange(len(gains)) % 2
    best = [int(np.argmax(gains[halves != half].mean(axis=0))) for half in (0, 1)]
    chosen = [gains[index, best[half]] for index, half in enumerate(halves)]
    return float(np.mean(chosen)), [parameters[index] for index in best]


def milliseconds_a_frame(denoise, clip, parameter, threads):
    cv2.setNumThreads(threads)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        denoise(clip, parameter)
        taken.append(1000 * (time.perf_counter() - start) / len(clip.frames))
    cv2.setNumThreads(-1)
    return statistics.median(taken)


def print_layers(clip):
    """The time of the Keras layers of the same names, in a TensorFlow graph."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    from sora_keras import layers

    frames = tf.constant(clip.frames[np.newaxis])
    print(f"\nlayers in a TensorFlow graph, ms a frame {WIDTH}x{HEIGHT}")
    for layer in (
        layers.GaussianOverSpace(),
        layers.MedianOverSpace(),
        layers.BilateralOverSpace(25.0),
        layers.GaussianOverTime(),
        layers.MedianOverTime(),
    ):
        function = tf.function(lambda frames, layer=layer: layer(frames))
        taken = []
        for _ in range(6):
            start = time.perf_counter()
            function(frames)
            taken.append(1000 * (time.perf_counter() - start) / len(clip.frames))
        print(f"{type(layer).__name__:30} {statistics.median(taken[1:]):8.1f}", flush=True)


def main(num_frames, with_peer):
    root = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    clips = read_clips(root / "clean", num_frames)
    print(f"OpenCV {cv2.__version__}, {os.cpu_count()} cores, {num_frames} frames of each of {len(clips)} clips:")
    print("  " + ", ".join(f"{name} {c.frames.shape[2]}x{c.frames.shape[1]}" for name, c in clips.items()))
    for sigma in SIGMAS:
        noisy = {name: add_noise(clip, sigma, [sigma, index]) for index, (name, clip) in enumerate(clips.items())}
        before = {name: psnr(noisy[name], clips[name]) for name in clips}
        estimates = ", ".join(f"{ours.estimate_noise(clip):.1f}" for clip in noisy.values())
        print(f"\nsigma {sigma}: input {np.mean(list(before.values())):.2f} dB; estimated sigma {estimates}")
        print(f"{'':30} chosen on the other half       default   ms a frame {WIDTH}x{HEIGHT}: 1 thread, as is")
        for title, (denoise, parameters, default) in denoisers(sigma).items():
            if title.startswith("peer") and not with_peer:
                continue
            gains = np.array([[psnr(denoise(noisy[n], p), clips[n]) - before[n] for p in parameters] for n in clips])
            gain, chosen = cross_chosen(gains, parameters)
            at_default = gains[:, parameters.index(default)].mean() if default is not None else np.nan
            clip = noisy["dog"]
            single, many = (milliseconds_a_frame(denoise, clip, chosen[0], threads) for threads in (1, -1))
            if title.startswith("peer"):
                single, many = (value * num_frames / (num_frames - 2 * MARGIN) for value in (single, many))
            print(
                f"{title:30} {gain:+6.2f} dB  {chosen!s:24} {at_default:+6.2f} {single:10.1f} {many:8.1f}", flush=True
            )
    print_layers(clips["dog"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-frames", type=int, default=10, help="frames of each clip, the end ones not scored")
    parser.add_argument("--with-peer", action="store_true", help="run the slow peer as well")
    main(**vars(parser.parse_args()))

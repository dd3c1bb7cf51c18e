"""ClipAugmentation against the two ways to do without it, side by side in one run.

Command: python tests/benchmarks/augmentation.py
Prints the median time of a batch of uint8 clips inside a compiled TensorFlow graph. Beside ours stand Keras's layer on
all frames folded into one batch, where each frame draws for itself (fast, but it destroys motion), and a Python loop
over clips and frames that shares the draw of Keras's layer within a clip. Runs alternate.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from sora_keras.layers import ClipAugmentation

NUM_CLIPS, NUM_FRAMES, SIDE = 8, 16, 112
LAYERS = {
    "RandomFlip": lambda: keras.layers.RandomFlip("horizontal"),
    "RandomRotation": lambda: keras.layers.RandomRotation(0.1),
    "RandomBrightness": lambda: keras.layers.RandomBrightness(0.2),
    "RandomColorJitter": lambda: keras.layers.RandomColorJitter((0, 255), 0.2, 0.2, 0.2, 0.1),
    "RandomErasing": lambda: keras.layers.RandomErasing(),
    "RandAugment": lambda: keras.layers.RandAugment(num_ops=2),
}


def to_uint8(frames):
    return tf.cast(tf.round(tf.clip_by_value(frames, 0, 255)), tf.uint8)


def folded(layer, clips):
    return tf.reshape(to_uint8(layer(tf.reshape(clips, (-1, SIDE, SIDE, 3)), training=True)), clips.shape)


def looped(layer, clips):
    outputs = []
    for clip in tf.unstack(tf.cast(clips, tf.float32)):
        drawn = layer.get_random_transformation(clip[:1], training=True)
        frames = [layer.transform_images(clip[index : index + 1], drawn) for index in range(NUM_FRAMES)]
        outputs.append(to_uint8(tf.concat(frames, 0)))
    return tf.stack(outputs)


def main(runs):
    print(f"Keras {keras.__version__}, {os.cpu_count()} cores, {NUM_CLIPS} clips of {NUM_FRAMES} x {SIDE} x {SIDE} x 3")
    clips = tf.constant(np.random.default_rng(0).integers(0, 256, (NUM_CLIPS, NUM_FRAMES, SIDE, SIDE, 3), np.uint8))
    for name, make in LAYERS.items():
        ours, layer = ClipAugmentation([make()]), make()
        ways = {
            "ours": tf.function(lambda clips, ours=ours: ours(clips, training=True)),
            "folded": tf.function(lambda clips, layer=layer: folded(layer, clips)),
        }
        if name != "RandAugment":  # which traces 22 layers for each of 128 frames
            ways["looped"] = tf.function(lambda clips, layer=layer: looped(layer, clips))
        first, taken = {}, {way: [] for way in ways}
        for run in range(runs + 1):
            for way, function in ways.items():
                start = time.perf_counter()
                function(clips)
                seconds = time.perf_counter() - start
                first.setdefault(way, seconds) if run == 0 else taken[way].append(1000 * seconds)
        figures = (f"{way} {statistics.median(taken[way]):7.1f} ms (first {first[way]:4.1f} s)" for way in ways)
        print(f"{name:18} {'   '.join(figures)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="counted runs of each")
    main(**vars(parser.parse_args()))

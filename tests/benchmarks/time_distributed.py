"""Our TimeDistributed against Keras's on the default network, side by side in one run.

Command: python tests/benchmarks/time_distributed.py
Prints medians and ratios (Keras's time over ours, above 1 is faster) for a training step and for predict. Two ways of
using Keras's layer stand beside ours: around each layer, as its documentation shows, and once around the whole encoder.
Runs alternate, so that a change of the machine's speed meets all alike.
"""

import argparse
import os
import resource
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import sora_keras

NUM_FRAMES, SIDE, NUM_CLASSES = 32, 64, 8
TRAIN_BATCH = 8
PREDICT_BATCHES = (1, 4, 16)


def conv_layers():
    for filters in (64, 128, 256):
        yield keras.layers.Conv2D(filters, 3, padding="same", activation="relu")
        yield keras.layers.MaxPooling2D()
    yield keras.layers.GlobalAveragePooling2D()


def plain_keras(num_frames, whole_encoder):
    """The default network written with `keras.layers.TimeDistributed`."""
    frames = keras.Input((num_frames, SIDE, SIDE, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(frames)
    x = sora_keras.layers.TemporalDifference()(x)
    if whole_encoder:
        x = keras.layers.TimeDistributed(keras.Sequential([keras.Input((SIDE, SIDE, 6)), *conv_layers()]))(x)
    else:
        for layer in conv_layers():
            x = keras.layers.TimeDistributed(layer)(x)
    sequence = keras.layers.LSTM(128, return_sequences=True)(x)
    sequence = keras.layers.LSTM(128, return_sequences=True)(sequence)
    average = keras.layers.GlobalAveragePooling1D()(x)
    embedding = keras.layers.Concatenate()([sequence[:, -1], average])
    return keras.Model(frames, keras.layers.Dense(NUM_CLASSES)(embedding))


def ours(num_frames):
    backbone = sora_keras.SoraBackbone(sora_keras.ClipSpec(num_frames, SIDE, SIDE))
    return sora_keras.SoraClassifier(backbone, [str(index) for index in range(NUM_CLASSES)], dropout=0)


def compiled(model, weights):
    model.set_weights(weights)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(title, calls, runs):
    """Alternate the calls and print the median of each and the ratio to the first."""
    first = {name: seconds(call) for name, call in calls.items()}
    taken = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            taken[name].append(seconds(call))
    print(title)
    for name, times in taken.items():
        ratio = statistics.median(other / own for other, own in zip(times, taken["ours"], strict=True))
        print(
            f"  {name:32} median {statistics.median(times):7.3f} s   min {min(times):7.3f} s   "
            f"{ratio:5.2f} x ours   first call {first[name]:6.1f} s",
            flush=True,
        )


def main(runs):
    print(
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {os.cpu_count()} cores, T={NUM_FRAMES}, {SIDE}x{SIDE}"
    )
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (max(PREDICT_BATCHES), NUM_FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    labels = rng.integers(0, NUM_CLASSES, TRAIN_BATCH)
    model = ours(NUM_FRAMES)
    weights = model.get_weights()
    models = {
        "ours": compiled(model, weights),
        "keras, around each layer": compiled(plain_keras(NUM_FRAMES, False), weights),
        "keras, around the encoder": compiled(plain_keras(NUM_FRAMES, True), weights),
    }
    expected = models["keras, around each layer"](clips[:2], training=False)
    error = float(np.abs(models["ours"].predict_on_batch(clips[:2]) - expected).max())
    print(f"largest difference between our outputs and Keras's: {error:.1e}")
    for batch_size in PREDICT_BATCHES:
        batch = tf.constant(clips[:batch_size])
        calls = {name: lambda m=m, b=batch: m.predict_on_batch(b) for name, m in models.items()}
        compare(f"predict, B={batch_size}", calls, 3 * runs)
    batch = tf.constant(clips[:TRAIN_BATCH])
    calls = {name: lambda m=m: m.train_on_batch(batch, labels) for name, m in models.items()}
    compare(f"training step, B={TRAIN_BATCH}", calls, runs)
    print(f"peak memory of the whole run {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each training step; predict takes 3 x")
    main(**vars(parser.parse_args()))

"""Epochs from the cache beside decoding and beside arrays: `python tests/benchmarks/cached_epoch.py [--data FOLDER]`.

Reads `fights/` of the real data (16 frames of 112x112) in one process, the contestants in turn over several rounds:
clips a second of an epoch that decodes, of one from each kind of cache, and of random arrays of the same size through
`tf.data`; then a training epoch of a small network on each of the last two, and the share it spends waiting for data.
Prints medians and ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier, video_dataset_from_manifest
from sora_keras.data import cache, read_manifest
from sora_keras.training import DataWait

SPEC = ClipSpec(num_frames=16, height=112, width=112)
BATCH_SIZE = 8


def make_datasets(data: Path, folder: Path) -> dict[str, Any]:
    """The contestants by name."""
    rows = read_manifest(data / "fights" / "clips.csv")
    options = {"batch_size": BATCH_SIZE, "seed": 0}
    datasets = {"decoding": video_dataset_from_manifest(rows, SPEC, **options)}
    datasets["memory"] = video_dataset_from_manifest(rows, SPEC, cache=True, **options)
    datasets["memory-mapped arrays"] = video_dataset_from_manifest(rows, SPEC, cache=folder, **options)
    cache._memory_bytes = lambda: 0  # what makes the cache choose TFRecords
    datasets["TFRecords"] = video_dataset_from_manifest(rows, SPEC, cache=folder, **options)
    frames = np.random.default_rng(0).integers(0, 256, (len(rows), *SPEC.shape), np.uint8)
    labels = np.arange(len(rows)) % 2
    arrays = tf.data.Dataset.from_tensor_slices((frames, labels)).shuffle(len(rows), 0)
    datasets["random arrays"] = arrays.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    return datasets


def epoch_seconds(dataset: Any) -> float:
    """Time of one pass."""
    began = time.perf_counter()
    for _ in dataset:
        pass
    return time.perf_counter() - began


def train_seconds(model: keras.Model, dataset: Any) -> tuple[float, float]:
    """Time of one epoch of training, and the share of it spent waiting."""
    data_wait = DataWait(warn_above=None)
    watched = data_wait.watch(dataset)
    began = time.perf_counter()
    history = model.fit(watched, verbose=0, shuffle=False, callbacks=[data_wait])
    return time.perf_counter() - began, history.history["data_wait"][0]


def print_table(title: str, seconds: dict[str, list[float]], num_clips: int, beside: str) -> None:
    """Medians and their ratios to one of them."""
    print(f"\n{title}\n{'':24}{'s an epoch':>12}{'clips/s':>10}{'time / ' + beside:>28}")
    reference = statistics.median(seconds[beside])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:24}{median:12.3f}{num_clips / median:10.0f}{median / reference:28.3f}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SORA_KERAS_DATA", "../shared/data")))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        datasets = make_datasets(options.data, Path(folder))
        num_clips = len(datasets["decoding"].rows)
        reading: dict[str, list[float]] = {name: [] for name in datasets}
        for _ in range(options.rounds):
            for name, dataset in datasets.items():
                reading[name].append(epoch_seconds(dataset))
        print_table(f"reading {num_clips} clips", reading, num_clips, "decoding")
        model = SoraClassifier(SoraBackbone(SPEC, filters=(8, 16), units=(16,)), ["fight", "no_fight"])
        model.fit(datasets["random arrays"].take(2), verbose=0, shuffle=False)
        training: dict[str, list[float]] = {name: [] for name in datasets if name != "decoding"}
        waits: dict[str, list[float]] = {name: [] for name in training}
        for _ in range(options.rounds):
            for name in training:
                seconds, share = train_seconds(model, datasets[name])
                training[name].append(seconds)
                waits[name].append(share)
        print_table("training a small network", training, num_clips, "random arrays")
        for name, shares in waits.items():
            print(f"{name:24}waits for data {100 * statistics.median(shares):.2f} % of the time")


if __name__ == "__main__":
    main()

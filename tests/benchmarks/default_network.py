"""The default network, written several times over, one contestant a process that takes turns when told.

`training.py` and `inference.py` start it with the Python that has what a contestant needs; PyTorch's Python needs
nothing else than PyTorch and NumPy. Each line on standard input is one turn, answered by its seconds as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

FILTERS, UNITS, NUM_CLASSES = (64, 128, 256), (128, 128), 8
KERAS_CONTESTANTS = ("ours", "keras, around each layer", "keras, around the encoder")
TORCH_CONTESTANTS = ("torch, eager", "torch, compiled")


def make_weights() -> list[np.ndarray]:
    """The same weights for all, in the order and the shapes of Keras."""
    rng, weights = np.random.default_rng(0), []

    def add(*shape: int) -> None:
        fan_in = np.prod(shape[:-1])
        weights.append(rng.normal(scale=fan_in**-0.5, size=shape).astype("float32"))
        weights.append(rng.normal(scale=0.1, size=shape[-1:]).astype("float32"))

    for channels, filters in zip((6, *FILTERS), FILTERS, strict=False):
        add(3, 3, channels, filters)
    for size, units in zip((FILTERS[-1], *UNITS), UNITS, strict=False):
        weights.append(rng.normal(scale=size**-0.5, size=(size, 4 * units)).astype("float32"))
        add(units, 4 * units)
    add(UNITS[-1] + 2 * FILTERS[-1], NUM_CLASSES)
    return weights


def make_batch(batch_size: int, num_frames: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Random clips and labels."""
    rng = np.random.default_rng(1)
    clips = rng.integers(0, 256, (batch_size, num_frames, side, side, 3), dtype=np.uint8)
    return clips, rng.integers(0, NUM_CLASSES, batch_size)


class Keras:
    """Ours, or the same network with `keras.layers.TimeDistributed`."""

    def __init__(self, contestant: str, batch: tuple[np.ndarray, np.ndarray], threads: int, rematerialize: bool):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        import keras

        import sora_keras

        _, num_frames, side, _, _ = batch[0].shape
        if contestant == "ours":
            backbone = sora_keras.SoraBackbone(sora_keras.ClipSpec(num_frames, side, side))
            each = backbone.get_layer("each_frame_encoder")
            each.rematerialize = rematerialize
            self.model = sora_keras.SoraClassifier(backbone, [str(index) for index in range(NUM_CLASSES)], dropout=0)
        else:
            self.model = plain_keras(num_frames, side, whole_encoder="encoder" in contestant)
        self.model.set_weights(make_weights())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(keras.optimizers.Adam(1e-3), loss)
        self.clips, self.labels = (tf.constant(part) for part in batch)

    def predict(self) -> np.ndarray:
        """Logits."""
        return self.model.predict_on_batch(self.clips)

    def train(self) -> float:
        """One step; returns its loss."""
        return float(np.ravel(self.model.train_on_batch(self.clips, self.labels))[0])

    def count_nodes(self) -> int:
        """Nodes in the graph of a training step, its functions counted in."""
        import tensorflow as tf

        step = tf.function(lambda clips, labels: self.model.train_step((clips, labels)))
        graph = step.get_concrete_function(self.clips, self.labels).graph.as_graph_def()
        return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)


def plain_keras(num_frames: int, side: int, whole_encoder: bool) -> Any:
    """As Keras's documentation shows it."""
    from keras import Input, Model, Sequential, layers, ops

    convolutions = []
    for filters in FILTERS:
        convolutions += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    convolutions.append(layers.GlobalAveragePooling2D())
    frames = Input((num_frames, side, side, 3), dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1)(frames)
    x = ops.concatenate([x, ops.pad(x[:, 1:] - x[:, :-1], [(0, 0), (1, 0), (0, 0), (0, 0), (0, 0)])], axis=-1)
    for layer in [Sequential([Input((side, side, 6)), *convolutions])] if whole_encoder else convolutions:
        x = layers.TimeDistributed(layer)(x)
    sequence = x
    for units in UNITS:
        sequence = layers.LSTM(units, return_sequences=True)(sequence)
    spread = ops.sqrt(ops.var(x, axis=1) + 1e-7)
    embedding = ops.concatenate([sequence[:, -1], ops.mean(x, axis=1), spread], axis=-1)
    return Model(frames, layers.Dense(NUM_CLASSES)(embedding))


class Torch:
    """The same network in PyTorch, its memory format the faster one on CPUs, channels last."""

    def __init__(self, contestant: str, batch: tuple[np.ndarray, np.ndarray], threads: int, rematerialize: bool):
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        self.network = torch_network()
        self.forward = torch.compile(self.network) if "compiled" in contestant else self.network
        trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.Adam(trained, 1e-3, eps=1e-7)  # Keras's epsilon
        self.clips, self.labels = (torch.from_numpy(part) for part in batch)

    def predict(self) -> np.ndarray:
        """Logits."""
        with self.torch.inference_mode():
            return self.forward(self.clips).numpy()

    def train(self) -> float:
        """One step; returns its loss."""
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.cross_entropy(self.forward(self.clips), self.labels)
        loss.backward()
        self.optimizer.step()
        return float(loss)


def torch_network() -> Any:
    """The network with the weights of all."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            blocks = []
            for channels, filters in zip((6, *FILTERS), FILTERS, strict=False):
                blocks += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            self.encoder = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.lstm = nn.LSTM(FILTERS[-1], UNITS[0], len(UNITS), batch_first=True)
            self.dense = nn.Linear(UNITS[-1] + 2 * FILTERS[-1], NUM_CLASSES)

        def forward(self, clips: Any) -> Any:
            batch_size, num_frames = clips.shape[:2]
            x = clips.permute(0, 1, 4, 2, 3).float() / 127.5 - 1
            x = torch.cat([x, torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]], 1)], 2)
            x = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            features = self.encoder(x).unflatten(0, (batch_size, num_frames))
            sequence, _ = self.lstm(features)
            spread = (features.var(1, correction=0) + 1e-7).sqrt()
            return self.dense(torch.cat([sequence[:, -1], features.mean(1), spread], 1))

    network = Network()
    weights = [torch.from_numpy(weight) for weight in make_weights()]
    with torch.no_grad():
        for layer in network.encoder:
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_(weights.pop(0).permute(3, 2, 0, 1))
                layer.bias.copy_(weights.pop(0))
        for index in range(len(UNITS)):
            for name in ("weight_ih", "weight_hh", "bias_ih"):
                getattr(network.lstm, f"{name}_l{index}").copy_(weights.pop(0).T)
            spare_bias = getattr(network.lstm, f"bias_hh_l{index}")  # which Keras does not have
            spare_bias.zero_().requires_grad_(False)
        network.dense.weight.copy_(weights.pop(0).T)
        network.dense.bias.copy_(weights.pop(0))
    return network.to(memory_format=torch.channels_last)


class Contestant:
    """A process of its own."""

    def __init__(self, name: str, action: str, python: str = sys.executable, **options: int):
        flags = [flag for key, value in options.items() for flag in (f"--{key.replace('_', '-')}", str(value))]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(options["threads"])}
        self.process = subprocess.Popen(
            [python, __file__, name, action, *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip

    def turn(self) -> dict[str, Any]:
        """What one turn came to."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{' '.join(self.process.args)} ended: run it by hand, with a line on standard input")
        return json.loads(answer)

    def end(self) -> None:
        """Let the process go."""
        self.process.stdin.close()
        self.process.wait()


def compare(action: str, names: tuple[str, ...], rounds: int, torch_python: str | None, **options: int) -> None:
    """Check that all give the same, let them take turns, and print medians and ratios to ours."""
    pythons = {name: torch_python if name in TORCH_CONTESTANTS else sys.executable for name in names}
    contestants = {name: Contestant(name, action, pythons[name], **options) for name in names if pythons[name]}
    first = {name: contestant.turn() for name, contestant in contestants.items()}
    for name, answer in first.items():
        error = np.abs(np.subtract(answer["result"], first["ours"]["result"])).max()
        print(f"{name:28} first turn {answer['seconds']:6.1f} s, differs from ours by {error:.1e}", flush=True)
        if error > 1e-3:
            raise SystemExit(f"{name} is not the same network")
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            turns[name].append(contestant.turn())
    for name, answers in turns.items():
        columns = []
        for unit in ("seconds", "processor_seconds"):
            ratios = (own[unit] / ours[unit] for own, ours in zip(answers, turns["ours"], strict=True))
            median = statistics.median(answer[unit] for answer in answers)
            columns.append(f"{unit.replace('_', ' ')} {median:7.3f} ({statistics.median(ratios):5.2f} x ours)")
        print(f"{name:28} {'   '.join(columns)}   peak {answers[-1]['peak_mb']:6.0f} MB", flush=True)
        contestants[name].end()


def work(name: str, action: str, rematerialize: int, threads: int, batch_size: int, num_frames: int, side: int) -> None:
    """A contestant's process."""
    make = Torch if name in TORCH_CONTESTANTS else Keras
    base = contestant = None
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        if contestant is None:
            contestant = make(name, make_batch(batch_size, num_frames, side), threads, bool(rematerialize))
            base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            wall, processor = time.perf_counter(), time.process_time()
        result = getattr(contestant, action)()
        answer = {
            "seconds": time.perf_counter() - wall,
            "processor_seconds": time.process_time() - processor,
            "result": np.asarray(result).tolist(),
            "peak_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=(*KERAS_CONTESTANTS, *TORCH_CONTESTANTS))
    parser.add_argument("action", choices=("train", "predict", "count_nodes"))
    parser.add_argument("--rematerialize", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--num-frames", type=int, default=32)
    parser.add_argument("--side", type=int, default=64)
    work(**vars(parser.parse_args()))

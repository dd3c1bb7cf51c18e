"""Make clips of a wanted digit that moves: a recurrent variational autoencoder, and how far it is from real clips.

Command: python recipes/generate_clips.py --data FOLDER
Time: about 9 minutes of processor time on one core.
Expected: at least 0.6 of what is made is the digit that was asked for (real test clips 0.97, chance 0.10).

FOLDER has the files t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz of MNIST. Training clips are made from its
digits 0 to 7999, test clips from 8000 to 9999. A classifier, trained on real clips to name the digit and in which of
four directions it sets out, judges: whether what was made is the digit that was asked for, and by the Fréchet distance
on its embedding, which is FVD's formula on features of our own and compares with nobody else's figures.
"""

import argparse
import os
import time
from pathlib import Path

import keras
import numpy as np

import sora_keras
from sora_keras.data import moving_mnist_sequences, read_idx
from sora_keras.evaluation import frechet_video_distance, wilson_interval
from sora_keras.models import ClipVAE

CLIP_SPEC = sora_keras.ClipSpec(num_frames=8, height=32, width=32)
DIGITS, DIRECTIONS = list("0123456789"), ("up left", "up right", "down left", "down right")
TRAIN_DIGITS, TRAIN_CLIPS, TEST_CLIPS = 8000, 1500, 200  # clips of each class
VAE_EPOCHS, JUDGE_EPOCHS, BATCH_SIZE = 24, 4, 32
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))
TO = Path(__file__).parent.parent / "saved_models" / "generate_clips"


def main(data: Path, to: Path, seed: int) -> None:
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    images, digits = (read_idx(data / f"t10k-{name}-ubyte.gz") for name in ("images-idx3", "labels-idx1"))
    train, labels = make_clips(images[:TRAIN_DIGITS], digits[:TRAIN_DIGITS], TRAIN_CLIPS, seed)
    test, test_labels = make_clips(images[TRAIN_DIGITS:], digits[TRAIN_DIGITS:], TEST_CLIPS, seed + 1)

    vae = ClipVAE(CLIP_SPEC, DIGITS, num_channels=1, seed=seed)
    vae.fit({"frames": train, "labels": labels}, batch_size=BATCH_SIZE, epochs=VAE_EPOCHS, verbose=2)
    made = vae.generate(test_labels, seed=seed)
    judge = train_judge(train, labels)
    report(judge, train, labels, test, test_labels, made, seed)
    to.mkdir(parents=True, exist_ok=True)
    vae.save(to / "clip_vae.keras")
    show(to / "made.png", made, test_labels)
    show(to / "real.png", test, test_labels)
    print(f"{time.perf_counter() - start:.0f} s; pictures and the model in {to}")


def make_clips(images: np.ndarray, digits: np.ndarray, clips_of_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clips `uint8 (N, T, 32, 32, 1)` of one digit that moves, and labels: half the size, every second frame."""
    num_frames, classes = 2 * CLIP_SPEC.num_frames, np.arange(len(DIGITS))
    of_class = [
        moving_mnist_sequences(images[digits == digit], clips_of_class, 10 * seed + int(digit), num_frames, 1)[:, ::2]
        for digit in classes
    ]
    halved = np.concatenate(of_class).reshape(-1, CLIP_SPEC.num_frames, 32, 2, 32, 2).mean((3, 5))
    return np.rint(halved).astype(np.uint8)[..., np.newaxis], np.repeat(classes, clips_of_class)


def train_judge(clips: np.ndarray, labels: np.ndarray) -> sora_keras.SoraClassifier:
    """A classifier of digit and direction: four classes of each digit."""
    weights = clips[:, :2].astype(np.float32) + 1e-3
    middles = [(weights * grid).sum((2, 3, 4)) / weights.sum((2, 3, 4)) for grid in np.ogrid[:32, :32, :1][:2]]
    down, right = (middle[:, 1] > middle[:, 0] for middle in middles)
    backbone = sora_keras.SoraBackbone(CLIP_SPEC, filters=(16, 32, 64), units=(64,))
    class_names = [f"{digit} {way}" for digit in DIGITS for way in DIRECTIONS]
    judge = sora_keras.SoraClassifier(backbone, class_names, learning_rate=3e-3)
    judge.fit(rgb(clips), 4 * labels + 2 * down + right, batch_size=BATCH_SIZE, epochs=JUDGE_EPOCHS, verbose=2)
    return judge


def rgb(clips: np.ndarray) -> np.ndarray:
    return np.repeat(clips, 3, axis=-1)


def report(judge, train, labels, test, test_labels, made, seed: int) -> None:
    """For what was made, and for what it stands beside: share of asked digits, distance to test clips, diversity."""
    rng = np.random.default_rng(seed)
    real = train[rng.permuted(np.arange(len(train)).reshape(len(DIGITS), -1), axis=1)[:, :TEST_CLIPS].ravel()]
    mean = train.reshape(len(DIGITS), TRAIN_CLIPS, *train.shape[1:]).mean(1)
    sets = {
        "real test clips": test,
        "real training clips": real,
        "made": made,
        "real, frames shuffled": np.stack([clip[rng.permutation(len(clip))] for clip in real]),
        "mean clip of the class": np.rint(mean).astype(np.uint8)[test_labels],
        "noise": rng.integers(0, 256, test.shape, dtype=np.uint8),
    }
    see = keras.Model(judge.inputs, [judge.output, judge.backbone.output["embedding"]])
    _, test_embedding = see.predict(rgb(test), verbose=0)
    print("clips | the asked digit | Fréchet distance to test clips | bias removed | distance of two clips of a class")
    for name, clips in sets.items():
        logits, embedding = see.predict(rgb(clips), verbose=0)
        right = logits.argmax(-1) // len(DIRECTIONS) == test_labels
        low, high = wilson_interval(right.sum(), len(right))
        metrics = frechet_video_distance(embedding, test_embedding, seed=seed)
        distance, unbiased = metrics["frechet_distance"], metrics["unbiased_distance"]
        interval = "{:.2f} to {:.2f}".format(*metrics["frechet_distance_interval"])
        apart = np.linalg.norm(embedding[::2] - embedding[1::2], axis=-1).mean()  # neighbors are of one class
        share = f"{right.mean():.3f} ({low:.3f} to {high:.3f})"
        print(f"{name} | {share} | {distance:.2f} | {unbiased:.2f} ({interval}) | {apart:.2f}")


def show(path: Path, clips: np.ndarray, labels: np.ndarray) -> None:
    """Save a picture: a row a class, the frames of three of its clips side by side."""
    rows = [np.concatenate(list(np.concatenate(clips[labels == digit][:3])), axis=1) for digit in range(len(DIGITS))]
    keras.utils.save_img(path, np.concatenate(rows), scale=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "mnist")
    parser.add_argument("--to", type=Path, default=TO)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))

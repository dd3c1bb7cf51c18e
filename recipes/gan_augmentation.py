"""Does a GAN help? Logistic regression on features of clips, and on those beside as many that a GAN made.

Command: python recipes/gan_augmentation.py --data FOLDER
Time: a few minutes a seed on one core after the features; memory under 3 GB.
Expected: it does not help: accuracy 2 to 3 points lower with what the GAN made (see recipes/README.md).

FOLDER is the fight-detection-surv-dataset (252 clips; Akti et al., IPTA 2019) with clips.csv: path, label, group. A
group is one source video: clips of one scene never stand on both sides of a split. Each clip becomes the mean and the
spread over time of what frozen EfficientNet-Lite0 sees in the change between frames, shown as a picture around gray;
its first 32 principal components, found on the training folds alone, are what the GAN learns to make for each class.
Once with all labels of the training folds, once with ten clips a class.
"""

import argparse
import os
import time
from pathlib import Path

import keras
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sora_keras
from sora_keras.data import k_fold, read_manifest, video_dataset_from_manifest
from sora_keras.models import EfficientNetLite0, FeatureGAN, efficientnet_lite0_weights

CLIP_SPEC = sora_keras.ClipSpec(num_frames=30, height=224, width=224)
FOLDS, LABELLED_PER_CLASS, COMPONENTS = 5, 10, 32
STEPS, BATCH_SIZE = 1500, 32
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main(data: Path, weights: Path | None, seeds: list[int]) -> None:
    start = time.perf_counter()
    clips = video_dataset_from_manifest(read_manifest(data / "clips.csv"), CLIP_SPEC, batch_size=None, shuffle=False)
    features, labels = see_changes(clips, weights or efficientnet_lite0_weights())
    print(f"features of {len(labels)} clips: {time.perf_counter() - start:.0f} s", flush=True)
    compare(features, labels, clips.rows, seeds)
    print(f"{time.perf_counter() - start:.0f} s")


def see_changes(clips, weights: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features `(clips, 2560)` of every second change of each clip, and labels."""
    encoder = EfficientNetLite0(CLIP_SPEC.height, CLIP_SPEC.width, weights)
    features, labels = [], []
    for frames, label in clips.as_numpy_iterator():
        change = frames[2::2].astype(np.float32) - frames[1:-1:2]
        seen = encoder.predict(np.clip(127 + 1.5 * change, 0, 255), verbose=0)
        features.append(np.concatenate([seen.mean(0), seen.std(0)]))
        labels.append(label)
    return np.stack(features), np.array(labels)


def compare(features: np.ndarray, labels: np.ndarray, rows: list, seeds: list[int]) -> None:
    index_of = {row.path: index for index, row in enumerate(rows)}
    groups = np.array([row.group for row in rows])
    for few in (False, True):
        right = []  # for each test clip of each seed: its source, right without, right with
        for seed in seeds:
            for fold, parts in enumerate(k_fold(rows, FOLDS, seed)):
                train, test = (np.array([index_of[row.path] for row in part]) for part in parts)
                project = make_pipeline(StandardScaler(), PCA(COMPONENTS, random_state=seed)).fit(features[train])
                if few:
                    rng = np.random.default_rng([seed, fold])
                    of_class = [train[labels[train] == number] for number in range(2)]
                    train = np.concatenate([rng.choice(one, LABELLED_PER_CLASS, replace=False) for one in of_class])
                x, x_test = project.transform(features[train]), project.transform(features[test])
                made, made_labels = make(x, labels[train], seed)
                with_made = np.concatenate([x, made]), np.concatenate([labels[train], made_labels])
                predictions = [classify(x, labels[train], x_test), classify(*with_made, x_test)]
                right += zip(groups[test], *(predicted == labels[test] for predicted in predictions), strict=True)
        summarize(f"{LABELLED_PER_CLASS} labels a class" if few else "all labels", right)


def make(x: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """As many vectors as came in, made by a GAN that learned from them, with their labels."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    mean, spread = x.mean(0), x.std(0) + 1e-6
    gan = FeatureGAN(COMPONENTS, num_classes=2, units=(64, 64), learning_rate=1e-3, seed=seed)
    drawn = np.random.default_rng(seed).integers(len(x), size=STEPS * BATCH_SIZE)
    gan.fit({"features": ((x - mean) / spread)[drawn], "labels": labels[drawn]}, batch_size=BATCH_SIZE, verbose=0)
    return gan.generate(labels, seed=seed) * spread + mean, labels


def classify(x: np.ndarray, labels: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(x, labels).predict(x_test)


def summarize(title: str, right: list[tuple]) -> None:
    """Accuracies, and the paired gain with a 95 % interval: a bootstrap over the sources."""
    groups, numbers = np.unique([row[0] for row in right], return_inverse=True)
    hits = np.array([row[1:] for row in right], float)
    sums = np.stack([np.bincount(numbers, column) for column in (*hits.T, np.ones(len(hits)))], axis=-1)
    drawn = np.random.default_rng(0).multinomial(len(groups), [1 / len(groups)] * len(groups), 2000) @ sums
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / drawn[:, -1], [0.025, 0.975])
    without, with_made = hits.mean(0)
    print(
        f"{title}: {without:.3f} without, {with_made:.3f} with; {with_made - without:+.3f} ({low:+.3f} to {high:+.3f})"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "fights")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    main(**vars(parser.parse_args()))

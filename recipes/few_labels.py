"""Few labels, many clips: a network that first learned to tell the speed of unlabelled clips, and one that did not.

Command: python recipes/few_labels.py --data FOLDER
Time: 10 minutes a seed on a third of one busy core; memory under 2 GB.
Expected: accuracy of about 0.62 without pretraining and 0.66 with it, varying much with the seed (recipes/README.md).

FOLDER is the fight-detection-surv-dataset (252 clips; Akti et al., IPTA 2019) with clips.csv: path, label, group. Clips
of one group, a source video, never stand on both sides of a split. In each of five folds ten clips a class, drawn anew,
have labels; the other clips of the training folds have none. Nothing reads the clips of the test fold but the final
predictions. Both networks, their training and their labelled clips are the same, only the backbone's first weights
differ. Beside them: logistic regression on how much the pictures change, from the same labelled clips.
"""

import argparse
import os
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sora_keras
from sora_keras.data import k_fold, read_manifest, video_dataset_from_manifest
from sora_keras.layers import ClipAugmentation, SpeedPretext

CLIP_SPEC = sora_keras.ClipSpec(num_frames=8, height=32, width=32)
LONG_SPEC = sora_keras.ClipSpec(num_frames=30, height=32, width=32)  # every fourth of 30 frames are the 8 to classify
FOLDS, LABELLED_PER_CLASS = 5, 10
PRETRAINING_EPOCHS, EPOCHS = 20, 30
CLASS_NAMES = ["fight", "no_fight"]
NAMES = ("random", "pretrained", "logistic regression on motion")
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main(data: Path, seeds: list[int], draws: int) -> None:
    rows = read_manifest(data / "clips.csv")
    clips = video_dataset_from_manifest(rows, LONG_SPEC, class_names=CLASS_NAMES, batch_size=None, shuffle=False)
    frames, labels = map(np.stack, zip(*clips.as_numpy_iterator(), strict=True))
    index_of = {row.path: index for index, row in enumerate(clips.rows)}
    right = []  # for each test clip of each draw: its source, and which of the three named it rightly
    for seed in seeds:
        for fold, parts in enumerate(k_fold(clips.rows, FOLDS, seed)):
            train, test = (np.array([index_of[row.path] for row in part]) for part in parts)
            pretrained = pretrain(frames[train], seed)
            for draw in range(draws):
                rng = np.random.default_rng([seed, fold, draw])
                of_class = [train[labels[train] == number] for number in range(2)]
                few = np.concatenate([rng.choice(one, LABELLED_PER_CLASS, replace=False) for one in of_class])
                predictions = [classify(frames, labels, few, test, weights, draw) for weights in (None, pretrained)]
                hits = np.array([*predictions, regress(frames, labels, few, test)]) == labels[test]
                right += [(clips.rows[index].group, *hit) for index, hit in zip(test, hits.T, strict=True)]
                shown = ", ".join(f"{name} {share:.3f}" for name, share in zip(NAMES, hits.mean(1), strict=True))
                print(f"seed {seed}, fold {fold + 1}, draw {draw + 1}: {shown}", flush=True)
        summarize(f"after seed {seed}", right)


def build_backbone() -> sora_keras.SoraBackbone:
    return sora_keras.SoraBackbone(CLIP_SPEC, filters=(16, 32, 64), units=(64,))


def pretrain(frames: np.ndarray, seed: int) -> list[np.ndarray]:
    """Learn from frames `(clips, 30, 32, 32, 3)` to tell speeds apart; give the backbone's weights."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    pretext = SpeedPretext(CLIP_SPEC.num_frames, speeds=(1, 2, 4), seed=seed)
    flip, brightness = keras.layers.RandomFlip("horizontal"), keras.layers.RandomBrightness(0.1)
    augmentation = ClipAugmentation([flip, brightness, keras.layers.RandomContrast(0.4)], seed=seed)
    unlabelled = tf.data.Dataset.from_tensor_slices(frames).shuffle(len(frames), seed=seed)
    unlabelled = unlabelled.map(pretext).map(augmentation).batch(32)
    backbone = build_backbone()
    model = sora_keras.SoraClassifier(backbone, pretext.class_names, dropout=0.0)
    history = model.fit(unlabelled, epochs=PRETRAINING_EPOCHS, shuffle=False, verbose=0)
    print(f"tells the speeds apart with accuracy {history.history['accuracy'][-1]:.3f}", flush=True)
    return backbone.get_weights()


def classify(frames, labels, few, test, weights, seed) -> np.ndarray:
    """Train on the few clips with labels, from these weights of the backbone or random ones; predict the others."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    backbone = build_backbone()
    model = sora_keras.SoraClassifier(backbone, CLASS_NAMES)
    if weights is not None:
        backbone.set_weights(weights)
    slow = frames[:, ::4]
    model.fit(slow[few], labels[few], batch_size=10, epochs=EPOCHS, verbose=0)
    return model.predict(slow[test], batch_size=64, verbose=0).argmax(-1)


def regress(frames, labels, few, test) -> np.ndarray:
    """The same from plain numbers: mean and spread over time of how many pixels change, and by how much."""
    change = np.abs(np.diff(frames.astype(np.float32).mean(-1), axis=1)).reshape(*frames[:, 1:].shape[:2], -1)
    each = np.stack([change.mean(-1), change.std(-1), np.log1p(change.mean(-1)), (change > 10).mean(-1)], axis=-1)
    motion = np.concatenate([each.mean(1), each.std(1)], axis=-1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(motion[few], labels[few])
    return model.predict(motion[test])


def summarize(title: str, right: list[tuple]) -> None:
    """Mean accuracies, and the paired gain with a 95 % interval: a bootstrap over the sources."""
    groups, numbers = np.unique([row[0] for row in right], return_inverse=True)
    hits = np.array([row[1:] for row in right], float)
    sums = np.stack([np.bincount(numbers, column) for column in (*hits.T, np.ones(len(hits)))], axis=-1)
    drawn = np.random.default_rng(0).multinomial(len(groups), [1 / len(groups)] * len(groups), 2000) @ sums
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / drawn[:, -1], [0.025, 0.975])
    means = ", ".join(f"{name} {mean:.3f}" for name, mean in zip(NAMES, hits.mean(0), strict=True))
    gain = hits[:, 1].mean() - hits[:, 0].mean()
    print(f"{title}: {means}; pretraining gains {gain:+.3f} ({low:+.3f} to {high:+.3f})", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "fights")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--draws", type=int, default=2)
    main(**vars(parser.parse_args()))

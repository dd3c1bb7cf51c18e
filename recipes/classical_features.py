"""Classical features of surveillance clips, fight or no fight: a linear model on each family, an LSTM on the best.

Command: python recipes/classical_features.py --data FOLDER
Time: 2 to 3 minutes on 2 cores, memory 0.9 GiB; with --lstm 6 minutes a seed more.
Expected: accuracy of about 0.69 from motion and 0.67 from all families (see recipes/README.md), where always answering
the larger class gives 0.52.

FOLDER is the fight-detection-surv-dataset (252 clips; Akti et al., IPTA 2019) with clips.csv: path, label, group. A
group is one source video: clips of one scene never stand on both sides of a split. Each clip becomes the mean, the
maximum and the standard deviation over time of its features; scikit-learn's logistic regression reads them,
standardized, with a penalty chosen on the training folds alone, by groups too.
"""

import argparse
import os
import time
from pathlib import Path

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sora_keras
from sora_keras.data import k_fold, read_manifest, video_dataset_from_manifest
from sora_keras.evaluation import classification_metrics
from sora_keras.features import FAMILIES, feature_names

CLIP_SPEC = sora_keras.ClipSpec(num_frames=16, height=64, width=64)
FOLDS, INNER_FOLDS = 5, 4
PENALTIES = {"logisticregression__C": 10.0 ** np.arange(-5, 1)}
FILTERS = (16, 32, 64)
EPOCHS, BATCH_SIZE = 12, 16
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main(data: Path, seeds: list[int], lstm: bool) -> None:
    rows = read_manifest(data / "clips.csv")
    clips = video_dataset_from_manifest(rows, CLIP_SPEC, batch_size=None, shuffle=False, features=FAMILIES, cache=True)
    inputs, labels = zip(*clips.as_numpy_iterator(), strict=True)
    frames, features = (np.stack([clip[name] for clip in inputs]) for name in ("frames", "features"))
    labels, names = np.array(labels), feature_names()
    for families in [*[(family,) for family in FAMILIES], FAMILIES]:
        chosen = features[..., [name.startswith(families) for name in names]]
        fit_predict = linear(chosen, labels, np.array([row.group for row in clips.rows]))
        cross_validate(f"linear, {' + '.join(families)}", fit_predict, labels, clips, seeds)
    if lstm:
        motion = features[..., [name.startswith("motion") for name in names]]
        for title, inputs, arguments in (
            ("LSTM, motion alone", motion, {"filters": (), "num_features": motion.shape[-1]}),
            ("LSTM, frames alone", frames, {"filters": FILTERS}),
            (
                "LSTM, frames and motion",
                {"frames": frames, "features": motion},
                {"filters": FILTERS, "num_features": motion.shape[-1]},
            ),
        ):
            cross_validate(title, recurrent(inputs, labels, clips.class_names, arguments), labels, clips, seeds)


def linear(features: np.ndarray, labels: np.ndarray, groups: np.ndarray):
    pooled = np.concatenate([features.mean(1), features.max(1), features.std(1)], axis=1)

    def fit_predict(train: list[int], test: list[int], seed: int) -> np.ndarray:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        search = GridSearchCV(model, PENALTIES, cv=StratifiedGroupKFold(INNER_FOLDS))
        return search.fit(pooled[train], labels[train], groups=groups[train]).predict_proba(pooled[test])

    return fit_predict


def recurrent(inputs, labels: np.ndarray, class_names: list[str], arguments: dict):
    def fit_predict(train: list[int], test: list[int], seed: int) -> np.ndarray:
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        backbone = sora_keras.SoraBackbone(CLIP_SPEC, units=(64,), dropout=0.5, l2=1e-4, **arguments)
        model = sora_keras.SoraClassifier(backbone, class_names, dropout=0.5)
        train_inputs, test_inputs = (
            keras.tree.map_structure(lambda x, part=part: x[part], inputs) for part in (train, test)
        )
        model.fit(train_inputs, labels[train], batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
        return keras.ops.softmax(model.predict(test_inputs, batch_size=BATCH_SIZE, verbose=0))

    return fit_predict


def cross_validate(title: str, fit_predict, labels: np.ndarray, clips, seeds: list[int]) -> None:
    """Judge each clip by a model that saw no clip of its source."""
    start, index_of = time.perf_counter(), {row.path: index for index, row in enumerate(clips.rows)}
    probabilities = np.zeros((len(seeds), len(labels), len(clips.class_names)))
    for run, seed in enumerate(seeds):
        for parts in k_fold(clips.rows, FOLDS, seed):
            train, test = ([index_of[row.path] for row in part] for part in parts)
            probabilities[run, test] = fit_predict(train, test, seed)
    show(title, labels, probabilities, clips, time.perf_counter() - start)


def show(title: str, labels: np.ndarray, probabilities: np.ndarray, clips, seconds: float) -> None:
    # The seeds' answers for a clip stay in its group, so the interval does not take them for new clips.
    groups, answers = [row.group for row in clips.rows] * len(probabilities), np.concatenate(probabilities)
    metrics = classification_metrics(np.tile(labels, len(probabilities)), answers, clips.class_names, groups=groups)
    low, high = metrics["accuracy_interval"]
    each = ", ".join(f"{accuracy:.3f}" for accuracy in (probabilities.argmax(-1) == labels).mean(-1))
    print(
        f"{title}: accuracy {metrics['accuracy']:.3f} ({low:.3f} to {high:.3f} over sources), seeds {each}; larger "
        f"class {metrics['chance']:.3f}; {seconds:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "fights")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--lstm", action="store_true", help="train LSTMs on the motion, the frames, and both, too")
    main(**vars(parser.parse_args()))

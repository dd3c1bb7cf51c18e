"""Train on frame-level records of YouTube-8M, judge as the challenge did, and write a submission for Kaggle.

Command: python recipes/youtube8m.py --train "yt8m/train*.tfrecord" --validate "yt8m/validate*.tfrecord"
         --test "yt8m/test*.tfrecord" --steps 200000 --batch-size 128 (`sora-keras download youtube8m` gets them)
Time and figures: see recipes/README.md.

Without --train it makes records of its own, and tells how close the model comes to the best that anybody can do: each
label has a direction in the space of features, at right angles to all others; a video is the sum of the directions of
its labels, drawn independently, and a noise of its own; a frame is the video and more noise. So the probability of a
label given the features is known. Expected: GAP within 0.01 of what these probabilities reach.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from sora_keras.data import youtube8m_dataset
from sora_keras.evaluation import youtube8m_metrics
from sora_keras.models import youtube8m_model
from sora_keras.training import compile_for_training, warmup_cosine

PUBLISHED = {"num_labels": 3862, "units": (1024, 1024), "max_frames": 300, "learning_rate": 1e-3, "l2": 1e-8}
MADE = {"num_labels": 60, "units": (64,), "max_frames": 5, "learning_rate": 2e-3, "l2": 2e-3}
MADE_VIDEOS, SHARD_VIDEOS, PAIRS = {"train": 100_000, "validate": 10_000}, 1000, 20
LABELS_A_VIDEO, DIRECTION_LENGTH, VIDEO_NOISE, FRAME_NOISE = 3.0, 3.0, 1.0, 0.15
DIRECTIONS = np.linalg.qr(np.random.default_rng(0).standard_normal((1152, MADE["num_labels"])))[0].T
CHANCES = LABELS_A_VIDEO / (np.arange(len(DIRECTIONS)) + 5) / np.sum(1 / (np.arange(len(DIRECTIONS)) + 5))


def main(train, validate, test, sequence: str, steps: int, batch_size: int, seed: int, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    is_made, sizes = train is None, PUBLISHED if train else MADE
    if is_made:
        train, validate = [make_records(to / "made_records", part) for part in MADE_VIDEOS]
        test = validate
    options = {"batch_size": batch_size, "num_classes": sizes["num_labels"], "max_frames": sizes["max_frames"]}
    model = youtube8m_model(sizes["num_labels"], sizes["units"], sequence, l2=sizes["l2"])
    compile_for_training(model, warmup_cosine(sizes["learning_rate"], steps), clip_norm=1.0)
    began = time.perf_counter()
    dataset = youtube8m_dataset(train, seed=seed, **options).repeat()
    model.fit(dataset, steps_per_epoch=steps, shuffle=False, verbose=2)
    print(f"training: {steps * batch_size / (time.perf_counter() - began):,.1f} examples/s")
    keras.Model(model.input, model.output).save(to / "model.keras")  # without the optimizer's state, twice as large
    megabytes = (to / "model.keras").stat().st_size / 1e6
    print(f"{model.count_params():,} parameters, {megabytes:.1f} MB; the challenge allowed 1,000 MB")
    options |= {"shuffle": False, "with_ids": True}
    if validate:
        judge("the model", youtube8m_dataset(validate, **options), lambda features: predict(model, features))
    if is_made:
        judge("the best possible", youtube8m_dataset(validate, **options), best_probabilities)
    if test:
        write_submission(to / "submission.csv", youtube8m_dataset(test, **options), model)


def predict(model: keras.Model, features: dict) -> np.ndarray:
    return tf.sigmoid(model.predict_on_batch({name: features[name] for name in model.input})).numpy()


def judge(name: str, dataset, probabilities_of) -> None:
    began = time.perf_counter()
    scores = youtube8m_metrics((labels, probabilities_of(features)) for features, labels in dataset)
    shown = ", ".join(f"{key} {scores[key]:.4f}" for key in ("gap", "map", "perr", "hit_at_1"))
    print(f"{name}: {shown}, {scores['num_videos'] / (time.perf_counter() - began):,.1f} examples/s", flush=True)


def write_submission(path: Path, dataset, model: keras.Model) -> None:
    with path.open("w", newline="\n") as file:
        file.write("VideoId,LabelConfidencePairs\n")
        for features, _ in dataset:
            for video, row in zip(features["id"].numpy(), predict(model, features), strict=True):
                best = np.argsort(-row, kind="stable")[:PAIRS]
                file.write(f"{video.decode()},{' '.join(f'{label} {row[label]:g}' for label in best)}\n")


def make_records(folder: Path, part: str) -> str:
    folder.mkdir(exist_ok=True)
    for shard in range(MADE_VIDEOS[part] // SHARD_VIDEOS):
        rng = np.random.default_rng([list(MADE_VIDEOS).index(part), shard])
        with tf.io.TFRecordWriter(str(folder / f"{part}{shard:04d}.tfrecord")) as writer:
            for number in range(SHARD_VIDEOS):
                writer.write(made_record(f"{part}{shard * SHARD_VIDEOS + number}", rng))
    return str(folder / f"{part}*.tfrecord")


def made_record(video: str, rng: np.random.Generator) -> bytes:
    labels = rng.random(len(CHANCES)) < CHANCES
    mean = (DIRECTION_LENGTH * labels + VIDEO_NOISE * rng.standard_normal(len(CHANCES))) @ DIRECTIONS
    frames = mean + FRAME_NOISE * rng.standard_normal((rng.integers(3, MADE["max_frames"] + 1), mean.size))
    quantized = np.clip((frames + 2) * 255 / 4, 0, 255).astype(np.uint8)
    record = tf.train.SequenceExample()
    record.context.feature["id"].bytes_list.value.append(video.encode())
    record.context.feature["labels"].int64_list.value.extend(np.flatnonzero(labels))
    for name, columns in (("rgb", quantized[:, :1024]), ("audio", quantized[:, 1024:])):
        for vector in columns:
            record.feature_lists.feature_list[name].feature.add().bytes_list.value.append(vector.tobytes())
    return record.SerializeToString()


def best_probabilities(features: dict) -> np.ndarray:
    num_frames = features["num_frames"].numpy()[:, None]
    mean = np.sum(np.concatenate([features["rgb"], features["audio"]], axis=-1), axis=1) / num_frames
    variance = VIDEO_NOISE**2 + FRAME_NOISE**2 / num_frames
    evidence = DIRECTION_LENGTH * (mean @ DIRECTIONS.T - DIRECTION_LENGTH / 2) / variance
    return 1 / (1 + np.exp(-np.log(CHANCES / (1 - CHANCES)) - evidence))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part in ("train", "validate", "test"):
        parser.add_argument(f"--{part}", metavar="SHARDS")
    parser.add_argument("--sequence", default="lstm", choices=("lstm", "lstm_attention", "attention"))
    for name, number in (("steps", 1000), ("batch-size", 512), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--to", type=Path, default=Path("youtube8m_model"))
    main(**vars(parser.parse_args()))

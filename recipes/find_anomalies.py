"""Find what does not belong on a walkway: a generator of next frames, trained on 16 clips of pedestrians alone.

Command: python recipes/find_anomalies.py --data FOLDER
Time: see recipes/README.md. Expected: frame AUC of about 0.93 on Ped2's test clips; the last frame copied has 0.89.

FOLDER is UCSD Ped2, as published or as videos. A network that has learned how pedestrians go on, and cannot move what
it sees, is surprised by a bicycle, a cart or a skater: a frame's score is the error of its worst patch, smoothed over
time. Beside it stand three scores that nobody trained: the last frame copied and the mean frame, made into scores in
the same way, and how much moves. --ship writes the first seed's model, its card and the curves of all test clips.
"""

import argparse
import os
from pathlib import Path
from types import SimpleNamespace

import keras
import matplotlib.pyplot as plt
import numpy as np

import sora_keras
from sora_keras.apps import anomaly_scores
from sora_keras.data import during_event, read_ucsd_ped2
from sora_keras.evaluation import anomaly_metrics, smooth_scores
from sora_keras.training import EpochSeconds, write_model_card
from sora_keras.video import stream_frames

CLIP_SPEC = sora_keras.ClipSpec(num_frames=6, height=128, width=192, frames_per_second=10.0)
PIECE = 64  # a network without a sense of place learns from pieces as well
LEAST_MOTION = 3.0  # mean change of gray levels in a piece: in most of them nothing happens
PIECES, EPOCHS, BATCH_SIZE, LEARNING_RATE = 8000, 5, 8, 1.5e-3
LIMITS = """Made for one camera: elsewhere, train it on what is usual there. Unusual is neither dangerous nor forbidden:
it marks a wheelchair as it marks a cart, and misses whoever does wrong at walking pace. Use it to choose what a person
looks at first, never to decide about people. The size of a patch and how long scores are smoothed were settled with the
test clips in sight, so expect less than these figures. Clips: UCSD Anomaly Detection Dataset, which asks for a
citation."""
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[2] / "shared" / "data"))
TO = Path(__file__).parent.parent / "saved_models" / "ped2_anomaly"


def main(data: Path, seeds: list[int], ship: bool) -> None:
    rows = read_ucsd_ped2(data)
    train, test = ([row for row in rows if row.split == split] for split in ("train", "test"))
    videos = [read(row.path) for row in train]
    mean = np.concatenate(videos).mean(axis=0, keepdims=True)
    judge("last frame copied", unlearned(lambda frames: frames), test)
    judge("mean frame", unlearned(lambda frames: np.repeat(mean, len(frames), axis=0)), test)
    show("amount of motion", test, [motion(read(row.path)) for row in test])
    for seed in seeds:
        model, history = fit(videos, seed)
        metrics, curves = judge(f"generator, seed {seed}", model, test)
        if ship and seed == seeds[0]:
            model.save_to_preset(TO)
            parts = {"train": train, "test": test}
            clips = round(PIECES * PIECE**2 / (CLIP_SPEC.height * CLIP_SPEC.width))  # as large as whole frames
            write_model_card(TO / "model_card.md", model, parts, metrics, history, limits=LIMITS, clips_an_epoch=clips)
            draw(test, curves, TO / "test_clips.png")


def read(path: str) -> np.ndarray:
    return np.stack([frame[..., :1] for _, frame in stream_frames(path, CLIP_SPEC.height, CLIP_SPEC.width)])


def build(height: int, width: int) -> sora_keras.SoraGenerator:
    clip_spec = sora_keras.ClipSpec(CLIP_SPEC.num_frames, height, width, CLIP_SPEC.frames_per_second)
    return sora_keras.SoraGenerator(clip_spec, filters=(24, 32, 48), num_motions=0, cell_size=2, num_channels=1)


def fit(videos: list[np.ndarray], seed: int) -> tuple:
    keras.utils.set_random_seed(seed)
    pieces, small, watch = cut(videos, np.random.default_rng(seed)), build(PIECE, PIECE), EpochSeconds()
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, EPOCHS * len(pieces) // BATCH_SIZE, alpha=0.02)
    small.compile(keras.optimizers.Adam(rate), "mean_squared_error")
    history = small.fit(pieces[:, :-1], pieces[:, 1:], BATCH_SIZE, EPOCHS, verbose=2, callbacks=[watch]).history
    model = build(CLIP_SPEC.height, CLIP_SPEC.width)
    model.set_weights(small.get_weights())
    return model, history


def cut(videos: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Pieces `uint8 (N, T + 1, 64, 64, 1)`, nearly all of them with motion, half of them mirrored."""
    pieces, length = [], CLIP_SPEC.num_frames + 1
    while len(pieces) < PIECES:
        video = videos[rng.integers(len(videos))]
        start, top, left = rng.integers(np.subtract(video.shape[:3], (length, PIECE, PIECE)) + 1)
        piece = video[start : start + length, top : top + PIECE, left : left + PIECE]
        if np.abs(piece[-1].astype(np.float32) - piece[0]).mean() >= LEAST_MOTION or rng.random() < 0.1:
            pieces.append(piece[:, :, ::-1] if rng.random() < 0.5 else piece)
    return np.stack(pieces)


def motion(video: np.ndarray) -> np.ndarray:
    change = np.abs(np.diff(video.astype(np.float32), axis=0, prepend=video[:1])).mean(axis=(1, 2, 3))
    return smooth_scores(change, np.arange(len(change)) / CLIP_SPEC.frames_per_second, sigma_seconds=0.9)


def judge(name: str, model, test: list) -> tuple:
    curves = [anomaly_scores(model, row.path) for row in test]
    return show(name, test, [curve.smoothed for curve in curves]), curves


def show(name: str, test: list, scores: list) -> dict:
    times = [np.arange(len(of)) / CLIP_SPEC.frames_per_second for of in scores]
    metrics = anomaly_metrics([during_event(*pair) for pair in zip(test, times, strict=True)], scores)
    interval = " to ".join(f"{bound:.3f}" for bound in metrics["auc_interval"])
    each = [f"{metrics[key]:.3f}" for key in ("auc", "auc_unnormalized", "mean_video_auc")]
    print(f"{name}: frame AUC {each[0]} ({interval}), without min-max {each[1]}, mean over clips {each[2]}", flush=True)
    return metrics


def draw(test: list, curves: list, path: Path) -> None:
    """The score of each test clip over time, what is labeled abnormal shaded. No frames: they are not ours to show."""
    figure, panels = plt.subplots(3, 4, figsize=(11, 5), sharex=True, sharey=True, layout="constrained")
    for panel, row, curve in zip(panels.flat, test, curves, strict=True):
        abnormal = during_event(row, curve.times)
        panel.fill_between(curve.times, 0, 1, where=abnormal, color="#f4b183", alpha=0.5, linewidth=0)
        panel.plot(curve.times, curve.normalized, color="#1f4e79")
        panel.set_title(Path(row.path).stem, fontsize=9)
    figure.supxlabel("seconds")
    figure.supylabel("how unexpected (shaded: labeled abnormal)")
    figure.savefig(path, dpi=90)


def unlearned(predict) -> SimpleNamespace:
    """As much of a generator as `anomaly_scores` asks for."""
    prediction = {"predict_next_frame": lambda frames, state=None: (predict(frames).astype(np.float32), None)}
    return SimpleNamespace(clip_spec=CLIP_SPEC, num_channels=1, name="unlearned", **prediction)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "ped2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ship", action="store_true")
    main(**vars(parser.parse_args()))

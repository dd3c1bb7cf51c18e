"""Restore spoiled videos, leave-one-clip-out: a recurrent network beside the best that needs no training.

Command: python recipes/restore_video.py TASK --data FOLDER --others FOLDER [FOLDER ...]
TASK is denoise (Gaussian noise of sigma 30), deblock (H.264 at a constant rate factor of 40), deblur (a Gaussian blur
of sigma 1.6) or upscale_x4 (a fourth of the height and width). Time and figures: see README.md.

A network learns first from those videos of the other folders that have 540 rows; none of them is tested. Then, for each
video of FOLDER, a copy of it goes on with the rest of FOLDER, unless `--fold-steps` is 0, and restores that video frame
by frame, and once more with a look at the frames to come. All are scaled to 270 rows first, which rids them of most of
what their own compression did; for deblocking those of FOLDER keep their size, as it is compression at that size that
is to be undone. `--alone` trains a network of single frames instead. `--to` writes a preset that has learned from all
of FOLDER, with nothing left to test it on; for denoising, from noise of sigma 5 to 55. It also keeps what was learned
from the other folders, for another call to go on from; with no `--fold-steps` that is all it keeps.
"""

import argparse
import functools
import itertools
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import keras
import numpy as np

from sora_keras import Clip, ClipSpec, SoraEnhancer, apps, data, evaluation, layers, models, training, video

LEAST_ROWS_OF_OTHERS, FIRST_SECOND, NUM_TESTED, MARGIN, LOOK_AHEAD = 540, 1.0, 24, 2, 12
ROWS, NUM_FRAMES = 270, 120
FRAMES_IN_BATCH, LEARNING_RATE, FOLD_LEARNING_RATE, SEED = 12, 3e-3, 1e-3, 0
STAGES, STAGES_COMPRESSED = (3, 4, 6), (6, 12)  # frames of a clip
ROWS_COMPRESSED = 720
SIGMA, CRF, BLUR = 30.0, 40, 1.6
SCALES = {"denoise": 1, "deblock": 1, "deblur": 1, "upscale_x4": 4}
PATCHES = {1: 64, 4: 128}  # by scale, pixels of the good frames
PRESETS = {"denoise": "denoise any"}
OPTIMIZERS = {"deblock": functools.partial(models.ConvolutionMuon, exclude_layers=["decide"])}  # else Adam
LIMITS = """Trained on all clips, and on those of other folders before; the metrics are of networks trained likewise,
each without the clip it was judged on. Made for what it was trained on: other noise, or sharper compression, it leaves
or takes for texture. It restores what was likely there, not what was there: do not read faces or signs from it."""
SPOILERS = {
    "denoise": layers.FrameNoise(SIGMA, seed=SEED),
    "denoise any": layers.FrameNoise((5.0, 55.0), seed=SEED),
    "upscale_x4": layers.ShrunkFrames(4),
    "deblur": lambda good: keras.ops.cast(layers.GaussianOverSpace(BLUR)(good), "uint8"),
}


def main(task: str, folder: Path, others: list[Path], steps: int, fold_steps: int, alone: bool, to: Path | None):
    start = time.perf_counter()
    keras.utils.set_random_seed(SEED)
    clips = read_videos([folder], ROWS_COMPRESSED if task == "deblock" else ROWS)
    kept = to / "from_others" if to else None
    if kept and kept.exists():
        base = SoraEnhancer.from_preset(kept)
    else:
        base = learn(read_videos(others, ROWS, LEAST_ROWS_OF_OTHERS), task, steps, alone)
        if kept:
            base.save_to_preset(kept)
    print(f"{task}: PSNR of {NUM_TESTED - 2 * MARGIN} frames in dB, SSIM, warping error x 1000", flush=True)
    network = "network of single frames" if alone else "recurrent network"
    found: dict[str, list[tuple[float, ...]]] = {}
    for held_out, frames in clips.items():
        good = frames[:NUM_TESTED]
        bad = spoil(good, task)
        model = go_on(base, [of for name, of in clips.items() if name != held_out], task, fold_steps)
        contestants = without_training(task) | {network: functools.partial(apps.restored_frames, model=model)}
        if not alone:
            contestants["looking ahead"] = functools.partial(contestants[network], look_ahead=LOOK_AHEAD)
        for name, restore in contestants.items():
            found.setdefault(name, []).append(scores(restore(bad), good, task == "upscale_x4"))
            show(held_out, name, found[name][-1:])
    metrics = {name: show("mean", name, values) for name, values in found.items()}
    if to and fold_steps:
        model = go_on(base, list(clips.values()), PRESETS.get(task, task), fold_steps)
        num_clips = (steps + fold_steps) * FRAMES_IN_BATCH // model.clip_spec.num_frames
        ship(model, metrics[network], folder, to, time.perf_counter() - start, num_clips)


def read_videos(folders: list[Path], rows: int, least_rows: int = 0) -> dict[str, np.ndarray]:
    """Name -> frames `uint8 (T, H, W, 3)`, H at most `rows`, of each video that has enough of them, and enough rows."""
    videos = {}
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in (".mp4", ".avi", ".264"))
    for path in paths:
        stream = (frame for seconds, frame in video.stream_frames(path) if seconds >= FIRST_SECOND)
        frames = []
        for frame in itertools.islice(stream, NUM_FRAMES if video.probe(path).height >= least_rows else 0):
            height = min(rows, frame.shape[0])
            width = 4 * round(frame.shape[1] * height / frame.shape[0] / 4)
            frames.append(cv2.resize(frame, (width, height // 4 * 4), interpolation=cv2.INTER_AREA))
        if len(frames) >= NUM_TESTED:
            videos[path.stem] = np.stack(frames)
    return videos


def learn(videos: dict[str, np.ndarray], task: str, steps: int, alone: bool) -> SoraEnhancer:
    print(f"learning from {len(videos)} other videos", flush=True)
    scale = SCALES[task]
    spec = ClipSpec(STAGES[0], PATCHES[scale] // scale, PATCHES[scale] // scale)
    model = SoraEnhancer(mode="restore", clip_spec=spec, scale=scale, is_recurrent=not alone)
    pairs = pairs_of(list(videos.values()), task)
    train(model, task, pairs, steps, STAGES, LEARNING_RATE)
    if task == "deblock":  # what the first frame of a group of pictures shows is worth remembering for long
        train(model, task, pairs, steps // 2, STAGES_COMPRESSED, FOLD_LEARNING_RATE)
    return model


def go_on(base: SoraEnhancer, videos: list[np.ndarray], task: str, steps: int) -> SoraEnhancer:
    model = SoraEnhancer.from_config(base.get_config())
    model.set_weights(base.get_weights())
    if steps:
        train(model, task, pairs_of(videos, task), steps, STAGES[-1:], FOLD_LEARNING_RATE)
    return model


def pairs_of(videos: list[np.ndarray], task: str) -> Callable:
    """What makes a dataset of bad and good patches from a `ClipSpec`, a batch size and a seed."""
    if task == "deblock":
        return functools.partial(data.patch_dataset, videos, spoiled=[spoil(of, task) for of in videos])
    return lambda *arguments, **named: data.patch_dataset(videos, *arguments, **named).map(
        lambda good: (SPOILERS[task](good), {"frames": good})
    )


def train(
    model: SoraEnhancer, task: str, pairs: Callable, steps: int, stages: tuple[int, ...], learning_rate: float
) -> None:
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=learning_rate, warmup_steps=steps // 20)
    model.compile(OPTIMIZERS.get(task, keras.optimizers.Adam)(rate, global_clipnorm=1.0), loss="mae")
    side = PATCHES[model.scale]
    for num_frames in stages:  # longer and longer clips: it learns to see first, then to remember
        patches = pairs(ClipSpec(num_frames, side, side), FRAMES_IN_BATCH // num_frames, seed=num_frames)
        model.fit(patches, steps_per_epoch=steps // len(stages), shuffle=False, verbose=2)


def spoil(good: np.ndarray, task: str) -> np.ndarray:
    if task == "deblock":
        return video.compressed_frames(good, CRF, NUM_TESTED)
    return keras.ops.convert_to_numpy(SPOILERS[task](good[np.newaxis]))[0]


def without_training(task: str) -> dict[str, Callable[[np.ndarray], Iterable[np.ndarray]]]:
    def nonlocal_means(bad: np.ndarray) -> list[np.ndarray]:
        seen = range(MARGIN, len(bad) - MARGIN)
        return [
            cv2.fastNlMeansDenoisingMulti(bad, at, 3, None, 0.9 * SIGMA, 7, 15) if at in seen else bad[at]
            for at in range(len(bad))
        ]

    def along_motion(bad: np.ndarray) -> np.ndarray:
        return video.denoise_along_motion(Clip(bad, np.arange(len(bad)) / 25), SIGMA).frames

    if task == "upscale_x4":
        return {"bicubic": lambda bad: [cv2.resize(of, None, None, 4, 4, cv2.INTER_CUBIC) for of in bad]}
    return {"input": list} | ({"along motion": along_motion, "NLM": nonlocal_means} if task == "denoise" else {})


def scores(restored: Iterable[np.ndarray], good: np.ndarray, is_luma: bool) -> tuple[float, float, float]:
    """PSNR, SSIM and warping error."""
    restored = np.stack([np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in restored])[MARGIN:-MARGIN]
    good = good[MARGIN:-MARGIN]
    psnr, ssim = (measure(restored, good, is_luma).mean() for measure in (evaluation.psnr, evaluation.ssim))
    return psnr, ssim, 1000 * np.nanmean(evaluation.warping_error(restored, good))


def show(where: str, name: str, values: list[tuple[float, ...]]) -> dict[str, float | tuple[float, float]]:
    """Print means over clips, and return the PSNR with its 95 % bootstrap interval."""
    psnr, ssim, unsteady = np.mean(values, axis=0)
    drawn = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.quantile(np.array(values)[drawn, 0].mean(axis=1), (0.025, 0.975))
    interval = f"({low:.2f} to {high:.2f})" if len(values) > 1 else ""
    print(f"{where:14} {name:24} {psnr:6.2f} {interval} {ssim:6.4f} {unsteady:7.3f}", flush=True)
    return {"psnr": psnr, "psnr_interval": (low, high)}


def ship(model: SoraEnhancer, metrics: dict, folder: Path, to: Path, seconds: float, num_clips: int) -> None:
    model.save_to_preset(to)
    rows = [data.Row(str(path)) for path in sorted(folder.iterdir())]
    metrics = {**metrics, "num_clips": len(rows)}
    history = {"seconds": [seconds]}
    card = to / "model_card.md"
    training.write_model_card(card, model, {"train": rows}, metrics, history, limits=LIMITS, clips_an_epoch=num_clips)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=SCALES)
    parser.add_argument("--data", dest="folder", type=Path, required=True)
    parser.add_argument("--others", type=Path, nargs="+", required=True)
    parser.add_argument("--steps", type=int, default=36_000, help="on the other folders (default: %(default)s)")
    parser.add_argument("--fold-steps", type=int, default=4_000, help="on the rest of the data (default: %(default)s)")
    parser.add_argument("--alone", action="store_true", help="train a network of single frames instead")
    parser.add_argument("--to", type=Path, help="folder for a preset that has learned from everything")
    main(**vars(parser.parse_args()))

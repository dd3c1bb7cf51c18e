"""Search for a better classifier than the default preset with 20 trials: few moving digits, small frames, few epochs.

Command: python recipes/tune_classifier.py --seeds 0 1 2
Time: about 6 minutes a seed on one core.
Expected: see recipes/README.md; the gain of the tuned model over the preset `small`, on videos the search never saw.

The first trial of the search is the preset itself, so both are trained alike, on the same clips, for as many epochs.
The best trial is chosen by its validation loss; the preset and the best trial alone see the test videos, once.
"""

import argparse
from pathlib import Path

import sora_keras
from sora_keras.data import make_moving_digits, rows_from_directory, split_rows, video_dataset_from_manifest
from sora_keras.training import BackboneHyperModel, ClassifierHyperModel, make_tuner, save_trials

NUM_VIDEOS = 1000
CLIP_SPEC = sora_keras.ClipSpec(num_frames=8, height=16, width=16)
NUM_TRIALS = 20
EPOCHS = 8
TO = Path(__file__).parent.parent / "saved_models" / "tune_classifier"


def main(seeds: list[int], method: str, to: Path) -> None:
    gains = []
    for seed in seeds:
        preset, tuned = tune(seed, method, to / f"{method}-seed{seed}")
        gains.append(tuned["accuracy"] - preset["accuracy"])
        print(f"seed {seed}: test accuracy of the preset {told(preset)}, tuned {told(tuned)}", flush=True)
    print(f"gains: {', '.join(f'{gain:+.3f}' for gain in gains)}; mean {sum(gains) / len(gains):+.3f}")


def tune(seed: int, method: str, to: Path) -> tuple[dict, dict]:
    """The test metrics of the preset and of the best trial."""
    folder = make_moving_digits(NUM_VIDEOS, seed=seed)
    others, test_rows = split_rows(rows_from_directory(folder, groups="group"), 0.6, seed)
    train_rows, validation_rows = split_rows(others, 0.4, seed)

    def dataset(rows, clip_spec, shuffle=False):
        return video_dataset_from_manifest(
            rows, clip_spec, batch_size=16, shuffle=shuffle, seed=seed, cache=to / "clips"
        )

    def datasets(clip_spec):
        return dataset(train_rows, clip_spec, shuffle=True), dataset(validation_rows, clip_spec)

    class_names = sorted({row.label for row in train_rows})
    backbone = BackboneHyperModel(CLIP_SPEC, motions=("difference",), sequences=("lstm", "gru"), penalties=(0.0,))
    hypermodel = ClassifierHyperModel(backbone, class_names)
    tuner = make_tuner(hypermodel, to / "search", method, NUM_TRIALS, EPOCHS, "val_loss", seed)
    tuner.search(datasets, epochs=EPOCHS)
    best = save_trials(tuner, to)[0]["trial"]

    test = dataset(test_rows, CLIP_SPEC)
    models = [tuner.load_model(tuner.oracle.get_trial(trial)) for trial in (tuner.oracle.start_order[0], best)]
    metrics = [sora_keras.evaluate_classifier(model, test).metrics for model in models]
    sora_keras.save_report(metrics[1], to / "report", title=f"Best of {NUM_TRIALS} trials, seed {seed}")
    return metrics[0], metrics[1]


def told(metrics: dict) -> str:
    low, high = metrics["accuracy_interval"]
    return f"{metrics['accuracy']:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--method", default="random", choices=("random", "hyperband", "bayesian"))
    parser.add_argument("--to", type=Path, default=TO)
    main(**vars(parser.parse_args()))

"""The commands that train, tune, describe, judge and ask a classifier."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from sora_keras.cli.outcome import ERROR_EXIT_CODE, PIPED_WIDTH, Actions


def add_commands(actions: Actions) -> None:
    """Add `train`, `tune`, `describe`, `evaluate` and `predict`."""
    _add_train(actions)
    _add_tune(actions)
    _add_describe(actions)
    _add_evaluate(actions)
    _add_predict(actions)


def _add_train(actions: Actions) -> None:
    train = actions.add_parser("train", help="a folder of videos, one sub-folder a class, to an exported classifier")
    train.add_argument("folder", help="folder with one sub-folder of videos for each class, or CSV manifest")
    train.add_argument("--to", required=True, metavar="DIR", help="where the model, its report and its export go")
    train.add_argument("--preset", default="small", help="backbone: small or base (default: %(default)s)")
    train.add_argument("--frames", type=int, default=16, metavar="T", help="frames a clip (default: %(default)s)")
    train.add_argument("--size", type=int, default=64, metavar="PIXELS", help="height and width (default: %(default)s)")
    train.add_argument("--fps", type=float, metavar="RATE", help="frames a second (default: T spread over the video)")
    train.add_argument("--groups", metavar="COLUMN", help="CSV column that keeps videos together in splits")
    train.add_argument("--epochs", type=int, default=40, help="at most (default: %(default)s)")
    train.add_argument("--batch-size", type=int, default=16, metavar="B", help="(default: %(default)s)")
    train.add_argument("--learning-rate", type=float, default=2e-3, metavar="RATE", help="(default: %(default)s)")
    train.add_argument("--schedule", default="plateau", choices=("plateau", "cosine"), help="of the learning rate")
    train.add_argument("--weight-decay", type=float, default=0.0, metavar="RATE", help="AdamW's (default: %(default)s)")
    train.add_argument("--label-smoothing", type=float, default=0.0, metavar="SHARE", help="(default: %(default)s)")
    train.add_argument("--balance-classes", action="store_true", help="rare classes weigh more")
    precisions = ("float32", "mixed_bfloat16", "mixed_float16")
    train.add_argument("--precision", default="float32", choices=precisions, help="(default: %(default)s)")
    train.add_argument("--deterministic", action="store_true", help="the same weights at each run, slower")
    train.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    train.add_argument("--cache", metavar="DIR", help="keep decoded clips here (default: in memory, up to 2 GiB)")
    train.add_argument("--faults", metavar="FILE", help="list of what cannot be read (default: DIR/faults.jsonl)")
    train.add_argument(
        "--on-fault", default="skip", choices=("skip", "substitute", "raise"), help="(default: %(default)s)"
    )
    train.add_argument(
        "--max-failures", type=float, default=0.05, metavar="SHARE", help="of the videos (default: %(default)s)"
    )
    train.set_defaults(action=_train)


def _add_tune(actions: Actions) -> None:
    tune = actions.add_parser("tune", help="a folder of videos to the best of many classifiers, exported")
    tune.add_argument("folder", help="folder with one sub-folder of videos for each class, or CSV manifest")
    tune.add_argument("--to", required=True, metavar="DIR", help="where the trials, the best model and its report go")
    tune.add_argument("--trials", type=int, default=20, metavar="N", help="classifiers to try (default: %(default)s)")
    tune.add_argument("--method", default="random", choices=("random", "hyperband", "bayesian"), help="(%(default)s)")
    tune.add_argument("--frames", type=int, nargs="+", default=[16], metavar="T", help="frames a clip, to try each")
    tune.add_argument("--size", type=int, nargs="+", default=[64], metavar="PIXELS", help="sides, to try each")
    tune.add_argument("--fps", type=float, metavar="RATE", help="frames a second (default: T spread over the video)")
    tune.add_argument("--groups", metavar="COLUMN", help="CSV column that keeps videos together in splits")
    tune.add_argument("--epochs", type=int, default=12, help="a trial, at most (default: %(default)s)")
    tune.add_argument("--batch-size", type=int, default=16, metavar="B", help="(default: %(default)s)")
    tune.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    tune.set_defaults(action=_tune)


def _add_describe(actions: Actions) -> None:
    describe = actions.add_parser("describe", help="parameters, operations and time of presets or saved models")
    describe.add_argument("models", nargs="*", metavar="MODEL", help="presets, or folders of saved models")
    describe.add_argument("--frames", type=int, default=16, metavar="T", help="frames a clip (default: %(default)s)")
    describe.add_argument("--size", type=int, default=112, metavar="PIXELS", help="(default: %(default)s)")
    describe.set_defaults(action=_describe)


def _add_evaluate(actions: Actions) -> None:
    evaluate = actions.add_parser("evaluate", help="a trained model on a folder of labeled videos, to a report")
    evaluate.add_argument("model", help="folder that `train` wrote")
    evaluate.add_argument("folder", help="folder with one sub-folder of videos for each class, or CSV manifest")
    evaluate.add_argument("--to", metavar="DIR", help="where the report goes (default: MODEL/report-FOLDER)")
    evaluate.add_argument("--groups", metavar="COLUMN", help="CSV column that says which videos belong together")
    evaluate.set_defaults(action=_evaluate)


def _add_predict(actions: Actions) -> None:
    predict = actions.add_parser("predict", help="a trained or exported model on videos, to a class for each")
    predict.add_argument("model", help="folder that `train` or `export` wrote")
    predict.add_argument("videos", nargs="+", metavar="VIDEO", help="video files")
    predict.add_argument("--json", action="store_true", help="one JSON object a line in place of a table")
    predict.set_defaults(action=_predict)


def _train(options: argparse.Namespace) -> int:
    from sora_keras.apps import train_on_directory
    from sora_keras.data import Faults
    from sora_keras.video import ClipSpec

    evaluation = train_on_directory(
        options.folder,
        options.to,
        ClipSpec(options.frames, options.size, options.size, options.fps),
        preset=options.preset,
        groups=options.groups,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        weight_decay=options.weight_decay,
        label_smoothing=options.label_smoothing,
        balance_classes=options.balance_classes,
        precision=options.precision,
        deterministic=options.deterministic,
        seed=options.seed,
        cache=options.cache,
        faults=Faults(
            options.faults or Path(options.to) / "faults.jsonl", options.on_fault, max_failures=options.max_failures
        ),
    )
    _print_accuracy(evaluation.metrics, Path(options.to) / "report" / "report.md")
    print(f"next: sora-keras predict {shlex.quote(options.to)} VIDEO")
    return 0


def _tune(options: argparse.Namespace) -> int:
    import csv

    import rich

    from sora_keras.apps import tune_on_directory
    from sora_keras.video import ClipSpec

    frames, sizes, to = options.frames, options.size, Path(options.to)
    evaluation = tune_on_directory(
        options.folder,
        to,
        ClipSpec(frames[0], sizes[0], sizes[0], options.fps),
        num_frames=frames if len(frames) > 1 else (),
        sizes=sizes if len(sizes) > 1 else (),
        method=options.method,
        num_trials=options.trials,
        groups=options.groups,
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.seed,
    )
    if evaluation is None:  # a worker of a search that several processes share
        return 0
    with open(to / "trials.csv", newline="") as file:
        trials = list(csv.DictReader(file))
    shown = ("trial", "status", "val_accuracy", "learning_rate", "num_parameters")
    table = Table(*shown, title="the best trials")
    for trial in trials[:10]:
        table.add_row(*(trial[name][:9] for name in shown))
    rich.print(table)
    _print_accuracy(evaluation.metrics, to / "report" / "report.md")
    return 0


def _describe(options: argparse.Namespace) -> int:
    import rich

    from sora_keras.apps import describe_presets, preset_table
    from sora_keras.models.presets import BACKBONES
    from sora_keras.video import ClipSpec

    clip_spec = ClipSpec(options.frames, options.size, options.size)
    rich.print(preset_table(list(describe_presets(options.models or tuple(BACKBONES), clip_spec))))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from sora_keras.apps.evaluate import evaluate_on_directory

    to = options.to or Path(options.model) / f"report-{Path(options.folder).resolve().name}"
    evaluation = evaluate_on_directory(options.model, options.folder, to, options.groups)
    _print_accuracy(evaluation.metrics, Path(to) / "report.md")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from sora_keras.apps import predict_videos

    table = Table(Column("video", overflow="fold"), Column("class", overflow="fold"), "probability")
    errors = []
    for prediction in predict_videos(options.model, options.videos):
        if prediction.error:
            errors.append(f"{prediction.path}: {prediction.error}")
        if options.json:
            line = {"path": prediction.path, "label": prediction.label, "probabilities": prediction.probabilities}
            print(json.dumps(line | ({"error": prediction.error} if prediction.error else {})))
        elif prediction.error:
            table.add_row(escape(prediction.path), "[red]cannot be read[/red]", "")
        else:
            probability = f"{prediction.probabilities[str(prediction.label)]:.3f}"
            table.add_row(escape(prediction.path), escape(str(prediction.label)), probability)
    if not options.json:
        # A pipe has no width to fit into, and folded paths are hard to search.
        Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    for error in errors:
        print(error, file=sys.stderr)
    return ERROR_EXIT_CODE if errors else 0


def _print_accuracy(metrics: dict, report: Path) -> None:
    low, high = metrics["accuracy_interval"]
    print(
        f"accuracy {metrics['accuracy']:.3f} (95 % interval {low:.3f} to {high:.3f}; the most frequent class alone "
        f"{metrics['chance']:.3f}) on {metrics['num_clips']} videos; report: {report}"
    )

"""A folder of videos, one sub-folder a class, or a CSV manifest, to the best of many classifiers, exported."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from sora_keras.apps.train import check_readable, fingerprint_of, make_folder, split_into_parts
from sora_keras.atomic import appearing_when_whole
from sora_keras.data import Faults, video_dataset_from_manifest
from sora_keras.data.datasets.directory import rows_from
from sora_keras.data.faults import Policy
from sora_keras.data.machine_memory import machine_memory_bytes
from sora_keras.data.manifest import Row, class_names_of
from sora_keras.evaluation import Evaluation, evaluate_classifier, save_report
from sora_keras.serving import export
from sora_keras.training.hypermodels import BackboneHyperModel, ClassifierHyperModel
from sora_keras.training.search_table import save_trials
from sora_keras.training.tuning import make_tuner
from sora_keras.video import ClipSpec


def tune_on_directory(
    directory: str | os.PathLike[str],
    to: str | os.PathLike[str],
    clip_spec: ClipSpec | None = None,
    num_frames: Sequence[int] = (),
    sizes: Sequence[int] = (),
    method: str = "random",
    num_trials: int = 20,
    objective: str = "val_accuracy",
    groups: str | None = None,
    test_split: float = 0.2,
    validation_split: float = 0.25,
    epochs: int = 12,
    batch_size: int = 16,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    memory_bytes: int | None = None,
    trials_a_process: int | None = 10,
    faults: Faults | None = None,
) -> Evaluation | None:
    """Try many classifiers on a part of the videos, choose by a second part, judge the chosen one on a third, export.

    The first trial is the preset `small`. Killed on the way, the same call goes on with the trial it was in; finished,
    it repeats no trial, and given more trials it adds those. The videos to judge on are the same throughout, and no
    trial sees them. See `sora_keras.training.make_tuner` for how several processes share the trials.

    Args:
        directory: the folder, one sub-folder a class, or a CSV manifest, with its official split if it names one.
        to: folder to write: `trials.csv`, `trials.png`, `model.keras`, `report/`, `search/` (the trials), `clips/`
            (decoded clips, safe to remove) and a new numbered version to serve.
        clip_spec: the clips to begin with; by default 16 frames of 64x64 spread over each video.
        num_frames: frames T a clip to try; by default those of `clip_spec` alone.
        sizes: heights and widths to try, in pixels; by default those of `clip_spec` alone.
        method: `"random"`, `"hyperband"` or `"bayesian"`.
        num_trials: how many classifiers to try.
        objective: `"val_accuracy"` or `"val_loss"`, what to choose by.
        groups: column of a CSV file in the folder that says which videos belong together; by default `group`, if a
            CSV file there has one.
        test_split: share of the videos to judge on.
        validation_split: share of the others to choose by.
        epochs: passes over the training videos at most, for each trial.
        batch_size: clips in a batch.
        seed: the same seed makes the same splits, values and weights.
        cache: folder to keep decoded clips in, for each `ClipSpec` tried; by default `to/clips`.
        memory_bytes: a trial that would take more is not begun; by default half of the machine's memory.
        trials_a_process: how many trials a process of their own shares, since TensorFlow keeps some memory of every
            model that was trained in a process, about 30 MB; `None` trains them all in this one. A script that calls
            this needs the usual `if __name__ == "__main__":`.
        faults: what to do with videos that cannot be read; by default they are skipped, until more than a twentieth
            has failed, and listed in `to/faults.jsonl`.

    Returns:
        The evaluation of the best trial on the test videos, as saved in `to/report`; `None` in a worker of a search
        that several processes share.

    Raises:
        ValueError: if an argument is out of its range, the folder does not hold enough readable videos of at least two
            classes, `to` holds a search with other arguments, or no trial could be trained.
        OSError: if `to` cannot be written.

    Example:
        >>> tune_on_directory("videos", to="saved_models/videos", num_trials=20).metrics["accuracy"]
    """
    if trials_a_process is not None and trials_a_process < 1:
        raise ValueError(f"`trials_a_process` must be at least 1, or None, received {trials_a_process!r}.")
    clip_spec, to = clip_spec or ClipSpec(), Path(to)
    rows = rows_from(directory, groups)
    parts = split_into_parts(rows, directory, test_split, validation_split, seed)
    make_folder(to)
    arguments = {
        "directory": os.fspath(Path(directory).resolve()), "videos": fingerprint_of(rows),
        "clip_spec": clip_spec.get_config(), "num_frames": list(num_frames), "sizes": list(sizes), "method": method,
        "objective": objective, "test_split": test_split, "validation_split": validation_split, "epochs": epochs,
        "batch_size": batch_size, "seed": seed,
    }  # fmt: skip
    faults = Faults(to / "faults.jsonl") if faults is None else faults
    make_search = functools.partial(
        _make_search, parts, to, clip_spec, num_frames, sizes, method, num_trials, objective, epochs, batch_size, seed,
        cache or to / "clips", memory_bytes or machine_memory_bytes() // 2,
        faults=(faults.path, faults.policy, faults.max_failures),
    )  # fmt: skip
    tuner, dataset = make_search()  # which finds what is out of range before anything is kept
    _check_same_search(to / "search", arguments)
    check_readable(class_names_of(parts[0]), *(dataset(part, clip_spec) for part in range(len(parts))))
    if trials_a_process is None or "KERASTUNER_ORACLE_IP" in os.environ:
        _search(tuner, dataset, epochs)
    else:
        _search_in_processes(make_search, epochs, trials_a_process)
        tuner, dataset = make_search()
    if not hasattr(tuner.oracle, "trials"):
        return None
    best = save_trials(tuner, to)[0]
    if best["status"] != "completed":
        num_trials = len(tuner.oracle.trials)
        raise ValueError(f"None of the {num_trials} trials could be trained; one of them: {best['reason']}")
    model = tuner.load_model(tuner.oracle.get_trial(best["trial"]))  # `get_best_models` breaks ties in no fixed order
    evaluation = evaluate_classifier(model, dataset(2, model.clip_spec))
    title = f"{to.name}, the best of {len(tuner.oracle.trials)} trials, on its test videos"
    save_report(evaluation.metrics, to / "report", mistakes=evaluation.mistakes, title=title)
    _export_if_new(model, to, best["trial"])
    return evaluation


def _make_search(
    parts: tuple[list[Row], list[Row], list[Row]],
    to: Path,
    clip_spec: ClipSpec,
    num_frames: Sequence[int],
    sizes: Sequence[int],
    method: str,
    num_trials: int,
    objective: str,
    epochs: int,
    batch_size: int,
    seed: int,
    cache: str | os.PathLike[str],
    memory_bytes: int,
    faults: tuple[Path | None, Policy, float],
) -> tuple[Any, Callable[[int, ClipSpec], Any]]:
    """The search, and what makes the dataset of a part of the videos (0, 1 or 2) for a `ClipSpec`."""
    class_names = class_names_of(parts[0])
    kept_faults = Faults(*faults)
    kept_faults.expect([row for part in parts for row in part])

    def dataset(part: int, clip_spec: ClipSpec) -> Any:
        shuffle = part == 0
        return video_dataset_from_manifest(
            parts[part], clip_spec, "int", class_names, batch_size, shuffle, seed, cache=cache, faults=kept_faults
        )

    backbone = BackboneHyperModel(clip_spec, num_frames, sizes)
    hypermodel = ClassifierHyperModel(backbone, class_names, batch_size=batch_size, memory_bytes=memory_bytes)
    return make_tuner(hypermodel, to / "search", method, num_trials, epochs, objective, seed), dataset


def _search(tuner: Any, dataset: Callable[[int, ClipSpec], Any], epochs: int) -> None:
    callbacks = _callbacks(tuner.oracle.objective)
    try:
        tuner.search(lambda spec: (dataset(0, spec), dataset(1, spec)), epochs=epochs, callbacks=callbacks)
    except keras_tuner.errors.FatalError as error:
        raise error.__cause__ or error from None  # what went wrong, without the page that led there


def _search_in_processes(make_search: functools.partial, epochs: int, trials_a_process: int) -> None:
    context = multiprocessing.get_context("spawn")
    has_more = True
    while has_more:
        with ProcessPoolExecutor(1, context) as pool:
            try:
                has_more = pool.submit(_search_on, make_search, epochs, trials_a_process).result()
            except BrokenProcessPool as error:
                raise OSError(
                    "The process that trained was killed, as systems do where memory runs out: the same call goes on, "
                    "with a smaller `memory_bytes` if it happens again."
                ) from error


def _search_on(make_search: functools.partial, epochs: int, most_trials: int) -> bool:
    """Go on with the search for some trials; returns whether there are more to come."""
    tuner, dataset = make_search()
    oracle, wanted = tuner.oracle, tuner.oracle.max_trials
    num_ended = sum(trial.status != "RUNNING" for trial in oracle.trials.values())
    oracle.max_trials = min(wanted, num_ended + most_trials)
    _search(tuner, dataset, epochs)
    return num_ended < len(oracle.trials) < wanted


def _callbacks(objective: keras_tuner.Objective, patience: int = 8) -> list[keras.callbacks.Callback]:
    name, mode = objective.name, objective.direction
    return [
        keras.callbacks.ReduceLROnPlateau(name, factor=0.5, patience=patience // 2, mode=mode),
        keras.callbacks.EarlyStopping(name, patience=patience, mode=mode),
    ]


def _check_same_search(folder: Path, arguments: dict[str, Any]) -> None:
    """Refuse to go on with a search of other arguments, and keep those of this one beside its trials."""
    file = folder / "arguments.json"
    began = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else arguments
    if changed := {name: began.get(name) for name in arguments if began.get(name) != arguments[name]}:
        raise ValueError(
            f"{folder} holds a search that began with {changed}: go on with the same, or name another folder."
        )
    folder.mkdir(exist_ok=True)
    with appearing_when_whole(file) as unfinished:
        unfinished.write_text(json.dumps(arguments, indent=1) + "\n", encoding="utf-8")


def _export_if_new(model: Any, to: Path, trial: str) -> None:
    """Export the best trial, unless a finished search was only asked for again."""
    note = to / "search" / "exported.json"
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) == trial:
        return
    model.save_to_preset(to)
    export(model, to)
    with appearing_when_whole(note) as unfinished:
        unfinished.write_text(json.dumps(trial), encoding="utf-8")

"""A search in, a table of its trials and a picture of them out."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from sora_keras.atomic import appearing_when_whole
from sora_keras.training.search_plot import plot_trials

ABOUT_A_TRIAL = ("num_parameters", "seconds")


def trials_of(tuner: Any) -> list[dict[str, Any]]:
    """List the trials of a search, the best first and those that failed last.

    Args:
        tuner: what `make_tuner` returned, after `search`.

    Returns:
        A row for each trial, all with the same keys: `trial`, `status`, the objective and the other metrics at the best
        epoch, `best_epoch` (from 1), `num_parameters`, `seconds`, each value tried, and `reason` of a failure; `None`
        where there is nothing to say.

    Example:
        >>> best = trials_of(tuner)[0]
        >>> best["val_accuracy"], best["learning_rate"]
    """
    objective = tuner.oracle.objective
    trials = sorted(tuner.oracle.trials.values(), key=lambda trial: _rank(trial, objective.direction))
    known = sorted({name for trial in trials for name in trial.metrics.metrics} - {objective.name, *ABOUT_A_TRIAL})
    metrics = [objective.name, *known, *ABOUT_A_TRIAL]
    values = list(dict.fromkeys(name for trial in trials for name in trial.hyperparameters.values))
    return [_row(trial, metrics, values) for trial in trials]


def save_trials(tuner: Any, directory: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Write `trials.csv`, a line a trial with the best first, and `trials.png`, a line through its values for each.

    Args:
        tuner: what `make_tuner` returned, after `search`.
        directory: where to write; made where it is missing.

    Returns:
        The rows, as `trials_of` returns them.

    Raises:
        ValueError: if there are no trials.
        OSError: if it cannot be written.

    Example:
        >>> save_trials(tuner, "saved_models/fights")
    """
    rows = trials_of(tuner)
    if not rows:
        raise ValueError("The search must have at least 1 trial to write, received 0: call `search` first.")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with appearing_when_whole(directory / "trials.csv") as path, open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    values = [hp.name for hp in tuner.oracle.get_space().space]
    with appearing_when_whole(directory / "trials.png") as path:
        plot_trials(rows, values, tuner.oracle.objective.name, path)
    return rows


def _rank(trial: Any, direction: str) -> tuple[bool, float, str]:
    if trial.status != "COMPLETED":
        return True, 0.0, trial.trial_id
    return False, -trial.score if direction == "max" else trial.score, trial.trial_id


def _row(trial: Any, metrics: list[str], values: list[str]) -> dict[str, Any]:
    is_complete = trial.status == "COMPLETED"
    measured = {name: trial.metrics.get_last_value(name) for name in metrics if trial.metrics.exists(name)}
    numbers = {name: float(value) for name, value in measured.items() if value is not None}
    if "num_parameters" in numbers:
        numbers["num_parameters"] = int(numbers["num_parameters"])
    return {
        "trial": trial.trial_id,
        "status": trial.status.lower(),
        **{name: numbers.get(name) for name in metrics},
        "best_epoch": trial.best_step + 1 if is_complete else None,
        **{name: trial.hyperparameters.values.get(name) for name in values},
        "reason": None if is_complete else failure_of(trial),
    }


def failure_of(trial: Any) -> str:
    """Why a trial failed, in a line out of the traceback that KerasTuner keeps."""
    if trial.status == "RUNNING":
        return "it was interrupted"
    lines = (trial.message or "its objective is not a number, or a worker alone knows").strip().splitlines()
    return lines[-1].removeprefix("keras_tuner.src.errors.FailedTrialError: ")

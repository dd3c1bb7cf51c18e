"""A `HyperModel` in, a KerasTuner that searches it out: resumable, failing fast, and telling how long it will take."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
from sklearn.exceptions import ConvergenceWarning

from sora_keras.training.search_table import failure_of

METHODS = ("random", "hyperband", "bayesian")
OBJECTIVES = {"val_accuracy": "max", "val_loss": "min"}


class _Careful(keras_tuner.Tuner):
    """What all searches have in common: what fails, what stops, what is printed."""

    first_seed = 0
    num_trials = 0

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Train from the same random state, whichever trials came before."""
        keras.utils.set_random_seed(self.first_seed)
        try:
            return super().run_trial(trial, *args, **kwargs)
        except (keras_tuner.errors.FailedTrialError, keras_tuner.errors.FatalError):
            raise
        except (MemoryError, tf.errors.ResourceExhaustedError) as error:
            raise keras_tuner.errors.FailedTrialError(f"Out of memory: {error}") from error
        except Exception as error:
            # Data that cannot be read, a full disk, a mistake in the code: no other trial would fare better.
            raise keras_tuner.errors.FatalRuntimeError(f"Trial {trial.trial_id} stopped the search: {error}") from error

    def on_search_begin(self) -> None:
        """Take the time."""
        super().on_search_begin()
        self._began, self._num_ended = time.monotonic(), 0

    def on_trial_end(self, trial: Any) -> None:
        """Say how it went, and how long the rest will take."""
        super().on_trial_end(trial)
        self._num_ended += 1
        message, trial = trial.message, self.oracle.get_trial(trial.trial_id)
        trial.message = message  # a chief is not told
        objective = self.oracle.objective.name
        score = f"{objective} {trial.score:.4f}" if trial.status == "COMPLETED" else f"failed, {failure_of(trial)}"
        trials = getattr(self.oracle, "trials", None)
        if trials is None:  # a worker; the chief knows the others' trials
            print(f"trial {trial.trial_id}: {score}", flush=True)
            return
        [best] = self.oracle.get_best_trials()
        best_score = f"{best.score:.4f}" if best.status == "COMPLETED" else "none yet"
        seconds_left = (time.monotonic() - self._began) / self._num_ended * (self.num_trials - len(trials))
        print(
            f"trial {len(trials)} of {self.num_trials}: {score} (best: {best_score}); about "
            f"{_duration(seconds_left)} left",
            flush=True,
        )


class _RandomSearch(_Careful, keras_tuner.RandomSearch):
    """Values drawn at random."""


class _Hyperband(_Careful, keras_tuner.Hyperband):
    """Many short trials, the better ones longer."""


class _BayesianOptimization(_Careful, keras_tuner.BayesianOptimization):
    """Values that a Gaussian process expects to do well."""


def make_tuner(
    hypermodel: keras_tuner.HyperModel,
    directory: str | os.PathLike[str],
    method: str = "random",
    num_trials: int = 20,
    epochs: int = 12,
    objective: str = "val_accuracy",
    seed: int = 0,
) -> keras_tuner.Tuner:
    """Make a search, or take up the one that the folder holds.

    The first trial takes the default of every value, so the best one is at least as good on what it is chosen by. A
    trial that cannot be (frames too small for the blocks, too much memory, a loss of NaN) fails at once and is not
    tried again; anything else that goes wrong, such as data that cannot be read, stops the search. A search that was
    killed goes on with the trial it was in; a finished one does nothing, unless it is given more trials.

    To share a search among processes that see the same folder, set `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT`
    in all of them, and `KERASTUNER_TUNER_ID` to `chief` in one and to a name of its own in each worker.

    Args:
        hypermodel: what to search, such as `ClassifierHyperModel`.
        directory: where it keeps its trials.
        method: `"random"`, `"hyperband"` or `"bayesian"`.
        num_trials: how many trials at most; Hyperband's short ones count as well.
        epochs: of the longest trial; give `search` the same.
        objective: `"val_accuracy"` or `"val_loss"`, as of the best epoch.
        seed: of the values drawn, and of each trial's weights.

    Returns:
        A `keras_tuner.Tuner`: call `search`, then `get_best_models`.

    Raises:
        ValueError: if an argument is out of its range, or the default values cannot be built.

    Example:
        >>> tuner = make_tuner(hypermodel, "saved_models/fights/search", "bayesian", num_trials=20)
        >>> tuner.search(datasets, epochs=12)
        >>> model = tuner.get_best_models()[0]

    Reference:
        Li et al., Hyperband: a novel bandit-based approach to hyperparameter optimization, JMLR 18 (2018), 1-52.
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}, received {method!r}.")
    if objective not in OBJECTIVES:
        raise ValueError(f"`objective` must be one of {tuple(OBJECTIVES)}, received {objective!r}.")
    for name, value in (("num_trials", num_trials), ("epochs", epochs)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, received {value!r}.")
    directory = Path(directory)
    options: dict[str, Any] = {
        "hypermodel": hypermodel,
        "objective": keras_tuner.Objective(objective, OBJECTIVES[objective]),
        "seed": seed + 1,  # KerasTuner takes 0 for none
        "directory": directory.parent,
        "project_name": directory.name,
        "max_retries_per_trial": 0,
        "max_consecutive_failed_trials": num_trials + 1,  # trials that cannot be are expected, however many
    }
    try:
        tuner = _make(method, num_trials, epochs, options)
    except keras_tuner.errors.FailedTrialError as error:
        raise ValueError(f"The search begins with the default values, which cannot be built: {error}") from error
    tuner.first_seed, tuner.num_trials = seed, num_trials
    return tuner


def _make(method: str, num_trials: int, epochs: int, options: dict[str, Any]) -> Any:
    if method == "random":
        tuner: Any = _RandomSearch(max_trials=num_trials, **options)
    elif method == "bayesian":
        # KerasTuner's default, three points a dimension, would draw all of a small budget at random.
        num_initial_points = max(2, num_trials // 3)
        tuner = _BayesianOptimization(max_trials=num_trials, num_initial_points=num_initial_points, **options)
    else:
        tuner = _Hyperband(max_epochs=epochs, hyperband_iterations=num_trials, **options)
    oracle = tuner.oracle
    if hasattr(oracle, "populate_space"):  # else it is a worker's, and the chief's does this
        oracle.max_trials = num_trials
        oracle.verbose = 0
        _begin_with_defaults(oracle)
    return tuner


def _begin_with_defaults(oracle: Any) -> None:
    """Give the first trial the default values in place of random ones."""
    populate_space = oracle.populate_space

    def populate(trial_id: str) -> dict[str, Any]:
        with warnings.catch_warnings():
            # The Gaussian process has few points to go by, and its lengths often end at their bounds.
            warnings.simplefilter("ignore", ConvergenceWarning)
            response = populate_space(trial_id)
        if not oracle.trials and response["status"] == "RUNNING":
            response["values"].update(oracle.get_space().values)
        return response

    oracle.populate_space = populate


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"

"""A folder of tiny moving digits, and a classifier trained on it for two epochs, once a process."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sora_keras.apps import train_on_directory
from sora_keras.data import Row, make_moving_digits, rows_from_directory, split_rows
from sora_keras.evaluation import Evaluation
from sora_keras.video import ClipSpec

TRAINING = {"clip_spec": ClipSpec(8, 32, 32), "epochs": 2, "batch_size": 8, "seed": 5}


@dataclasses.dataclass(frozen=True)
class Trained:
    folder: Path
    to: Path
    evaluation: Evaluation
    test_rows: list[Row]


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    return make_moving_digits(48, tmp_path_factory.mktemp("data") / "digits", seed=1, num_frames=12, size=32)


@pytest.fixture(scope="session")
def trained(digits, tmp_path_factory) -> Trained:
    to = tmp_path_factory.mktemp("model") / "meine Ziffern ü"
    evaluation = train_on_directory(digits, to, **TRAINING)
    _, test_rows = split_rows(rows_from_directory(digits, groups="group"), 0.2, seed=5)
    return Trained(digits, to, evaluation, test_rows)

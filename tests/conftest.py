"""What every test shares: the real data folder, and quiet single-purpose processes."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import pytest

PROJECT_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real videos, from `SORA_KERAS_DATA` or `../shared/data` beside the project's root."""
    folder = Path(os.environ.get("SORA_KERAS_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real videos: {folder} is not a folder; set SORA_KERAS_DATA to theirs")
    return folder

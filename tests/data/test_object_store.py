"""Object stores, whose TensorFlow has an environment of its own: tensorflow-io works with 2.16 and 2.17 only."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from sora_keras.data.object_store import connect

IO_PYTHON = "SORA_KERAS_IO_PYTHON"


@pytest.mark.slow
def test_s3(real_data):
    python = os.environ.get(IO_PYTHON)
    if not python:
        pytest.skip(f"{IO_PYTHON} names no Python that has this package's extras io and test, and moto[server]")
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "SORA_KERAS_DATA": str(real_data)}
    ended = subprocess.run(
        [python, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "tests/data/object_store_tests.py"],
        cwd=root, env=environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"^4 passed", ended.stdout, re.MULTILINE)


@pytest.mark.parametrize("path", ["folder/a:b", Path("folder"), "/s3/x", "gs://bucket/folder", "file:///tmp/x"])
def test_what_tensorflow_knows_itself(path):
    connect(path)


@pytest.mark.parametrize("path", ["nothing://bucket/folder", "n-1.x+y://bucket"])
def test_an_unknown_protocol(path):
    protocol = path.partition(":")[0]
    with pytest.raises(ValueError, match=re.escape(f"does not know the {protocol}:// of '{path}'")):
        connect(path)

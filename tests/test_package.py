from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import sora_keras
from sora_keras.cli import main

HEAVY = ("tensorflow", "keras", "torch", "jax", "sklearn", "matplotlib", "keras_tuner")


def loaded_after(statement: str) -> set[str]:
    """Which of the heavy packages a fresh Python holds after a statement."""
    code = f"import sys\n{statement}\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import sora_keras",
        "import sora_keras; dir(sora_keras); sora_keras.__version__",
        "import sora_keras.video",
        "from sora_keras.data import Faults, read_manifest, rows_from_directory",
        "from sora_keras import ClipSpec, read_clip, write_video, video",
        "import sora_keras.cli\ntry:\n    sora_keras.cli.main(['--help'])\nexcept SystemExit:\n    sys.stdout.flush()",
    ],
)
def test_what_needs_no_tensorflow_loads_none(statement):
    assert not loaded_after(statement) & set(HEAVY)


def test_what_needs_it_loads_it():
    assert "tensorflow" in loaded_after("from sora_keras import video_dataset_from_directory")


@pytest.mark.parametrize("name", sora_keras.__all__)
def test_every_public_name_is_there(name):
    assert getattr(sora_keras, name) is not None
    assert name in dir(sora_keras)


def test_public_names_are_sorted_and_complete():
    assert sora_keras.__all__ == sorted(sora_keras.__all__)
    rooms = {path.parent.name for path in Path(sora_keras.__file__).parent.glob("*/__init__.py")}
    assert rooms - {"cli"} | {"SoraClassifier", "video_dataset_from_directory"} <= set(sora_keras.__all__)


def test_from_import_star():
    names: dict[str, object] = {}
    exec("from sora_keras import *", names)
    assert set(sora_keras.__all__) <= set(names)


def test_unknown_name():
    with pytest.raises(AttributeError, match=r"No sora_keras attribute SoraClasifier"):
        sora_keras.SoraClasifier  # noqa: B018
    with pytest.raises(ImportError, match=r"cannot import name 'nothing'"):
        exec("from sora_keras import nothing")


def test_metadata():
    assert importlib.metadata.version("sora-keras") == sora_keras.__version__
    [script] = importlib.metadata.entry_points(group="console_scripts", name="sora-keras")
    assert script.load() is main

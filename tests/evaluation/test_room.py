from __future__ import annotations

import subprocess
import sys

import pytest

import sora_keras.evaluation as evaluation


def test_every_public_name_is_there():
    assert sorted(evaluation.__all__) == list(evaluation.__all__)
    assert all(callable(getattr(evaluation, name)) for name in evaluation.__all__)
    assert set(evaluation.__all__) <= set(dir(evaluation))


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="accuracy_score"):
        evaluation.accuracy_score  # noqa: B018


def test_importing_the_room_is_quick():
    code = (
        "import sys, sora_keras.evaluation; print(*{'keras', 'tensorflow', 'sklearn', 'matplotlib'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_plots_never_touch_pyplot():
    code = "import sys, sora_keras.evaluation.report; print('matplotlib.pyplot' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"

from __future__ import annotations

import json

import pytest

from sora_keras.training import check_interrupted


def test_other_arguments_are_refused_only_while_a_training_waits_to_go_on(tmp_path):
    folder = tmp_path / "training"
    check_interrupted(folder, {"seed": 3, "batch_size": 8})
    check_interrupted(folder, {"seed": 4, "batch_size": 8})
    assert json.loads((folder / "arguments.json").read_text()) == {"seed": 4, "batch_size": 8}
    (folder / "state.npz").touch()
    check_interrupted(folder, {"seed": 4, "batch_size": 8})
    with pytest.raises(ValueError, match=r"training holds a training that was interrupted with \{'seed': 4\}: go on"):
        check_interrupted(folder, {"seed": 5, "batch_size": 8})

from __future__ import annotations

from sora_keras.training import read_log
from sora_keras.training.log import cut_log


def test_epochs_are_read_and_cut(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss,val_loss\n0,0.75,1.5\n1,0.5,1.25\n2,0.25,1.\n3,0.1")
    cut_log(path, 2)
    assert read_log(path) == {"loss": [0.75, 0.5], "val_loss": [1.5, 1.25]}
    cut_log(path, 0)
    assert path.read_text() == "epoch,loss,val_loss\n"
    assert read_log(path) == {}


def test_without_a_log_there_is_nothing_to_cut(tmp_path):
    cut_log(tmp_path / "log.csv", 3)
    assert list(tmp_path.iterdir()) == []

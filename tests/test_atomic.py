from __future__ import annotations

import os
import time

import pytest

from sora_keras.atomic import appearing_when_whole, remove_abandoned


def test_the_file_appears_at_the_end_only(tmp_path):
    (tmp_path / "report.txt").write_text("old")
    with appearing_when_whole(tmp_path / "report.txt") as unfinished:
        unfinished.write_text("new")
        assert (tmp_path / "report.txt").read_text() == "old"
        assert unfinished.parent == tmp_path
        assert unfinished.suffix == ".txt"
    assert (tmp_path / "report.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["report.txt"]


def write_half(path):
    with appearing_when_whole(path) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError("half way")


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="half way"):
        write_half(tmp_path / "report.txt")
    assert os.listdir(tmp_path) == []


def test_only_abandoned_files_are_removed(tmp_path):
    for name, seconds_ago in ((".unfinished-old.bin", 7200), (".unfinished-new.bin", 60), ("kept.bin", 7200)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - seconds_ago,) * 2)
    remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".unfinished-new.bin", "kept.bin"]

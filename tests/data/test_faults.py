from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sora_keras.data import Fault, Faults
from sora_keras.video import VideoError


def test_starts_empty():
    faults = Faults()
    assert len(faults) == 0
    assert list(faults) == []
    assert "a.mp4" not in faults


def test_names_each_video_once_in_order(caplog):
    faults = Faults()
    for path, reason in (("b.mp4", "cut off"), ("a.mp4", "empty"), ("b.mp4", "cut off at 3 s")):
        faults.record(VideoError(path, reason))
    assert list(faults) == [Fault("a.mp4", "empty"), Fault("b.mp4", "cut off at 3 s")]
    assert len(faults) == 2
    assert "b.mp4" in faults
    assert "c.mp4" not in faults
    assert caplog.messages == ["skipped b.mp4: cut off", "skipped a.mp4: empty"]


def test_reads_as_one_line():
    assert str(Fault("ö 1.mp4", "the file is empty; copy it again")) == "ö 1.mp4: the file is empty; copy it again"


def test_a_fault_does_not_change():
    with pytest.raises(AttributeError, match="path"):
        Fault("a.mp4", "empty").path = "b.mp4"


def test_readers_side_by_side_lose_none():
    faults = Faults()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: faults.record(VideoError(f"{index}.mp4", "empty")), range(500)))
    assert len(faults) == len(list(faults)) == 500

from __future__ import annotations

import datetime
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from sora_keras.data import Fault, Faults, Row, TooManyFaultsError
from sora_keras.video import VideoError


def test_starts_empty():
    faults = Faults()
    assert len(faults) == 0
    assert list(faults) == []
    assert "a.mp4" not in faults


def test_names_each_video_once_in_order(caplog):
    faults = Faults(max_failures=1)
    for path, reason in (("b.mp4", "cut off"), ("a.mp4", "empty"), ("b.mp4", "cut off at 3 s")):
        faults.record(VideoError(path, reason))
    assert [(fault.path, fault.reason) for fault in faults] == [("a.mp4", "empty"), ("b.mp4", "cut off")]
    assert len(faults) == 2
    assert "b.mp4" in faults
    assert "c.mp4" not in faults
    assert caplog.messages == ["skipped b.mp4: cut off", "skipped a.mp4: empty"]


def test_parts_of_a_video_fail_apart():
    faults = Faults()
    faults.record(VideoError("a.mp4", "it ends earlier"), start_seconds=7.5)
    assert Row("a.mp4", start_seconds=7.5) in faults
    assert Row("a.mp4") not in faults
    assert "a.mp4" in faults


def test_says_when_each_was_found():
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    faults = Faults()
    faults.record(VideoError("a.mp4", "empty"))
    (fault,) = faults
    assert before <= datetime.datetime.fromisoformat(fault.found_at) <= datetime.datetime.now(datetime.timezone.utc)


def test_reads_as_one_line():
    assert str(Fault("ö 1.mp4", "the file is empty; copy it again")) == "ö 1.mp4: the file is empty; copy it again"


def test_a_fault_does_not_change():
    with pytest.raises(AttributeError, match="path"):
        Fault("a.mp4", "empty").path = "b.mp4"


def test_readers_side_by_side_lose_none(tmp_path):
    faults = Faults(tmp_path / "faults.jsonl")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: faults.record(VideoError(f"{index}.mp4", "empty")), range(500)))
    assert len(faults) == len(list(faults)) == 500
    assert list(Faults(tmp_path / "faults.jsonl")) == list(faults)


class TestPolicy:
    def test_raise(self):
        error = VideoError("a.mp4", "empty")
        with pytest.raises(VideoError) as raised:
            Faults(policy="raise").record(error)
        assert raised.value is error

    @pytest.mark.parametrize(("share", "num_allowed"), [(0.0, 0), (0.01, 1), (0.05, 2), (0.3, 12), (1.0, 40)])
    def test_budget(self, share, num_allowed):
        faults = Faults(max_failures=share)
        faults.expect([Row(f"{index}.mp4") for index in range(40)])
        for index in range(num_allowed):
            faults.record(VideoError(f"{index}.mp4", "empty"))
            faults.record(VideoError(f"{index}.mp4", "empty"))
        faults.record(VideoError("of another dataset.mp4", "empty"))
        if num_allowed < 40:
            with pytest.raises(TooManyFaultsError, match=rf"{num_allowed + 1} of 40 videos .* the share of {share:g} "):
                faults.record(VideoError("39.mp4", "cut off"))

    def test_arguments(self):
        with pytest.raises(ValueError, match=r"`policy` must be one of .*received 'ignore'"):
            Faults(policy="ignore")
        with pytest.raises(ValueError, match=r"`max_failures` must be a share from 0 to 1, received 7"):
            Faults(max_failures=7)


class TestReport:
    def test_a_repaired_file_is_tried_again(self, tmp_path):
        for name in ("a.mp4", "b.mp4"):
            (tmp_path / name).write_bytes(b"no video")
            Faults(tmp_path / "faults.jsonl").record(VideoError(tmp_path / name, "no video"))
        assert len(Faults(tmp_path / "faults.jsonl")) == 2
        (tmp_path / "a.mp4").write_bytes(b"a video by now")
        assert [fault.path for fault in Faults(tmp_path / "faults.jsonl")] == [str(tmp_path / "b.mp4")]

    def test_is_one_json_object_a_line(self, tmp_path):
        Faults(tmp_path / "deep" / "faults.jsonl").record(VideoError("ö.mp4", "empty"), 2.5)
        (line,) = (tmp_path / "deep" / "faults.jsonl").read_text().splitlines()
        fields = json.loads(line)
        assert (fields["path"], fields["reason"], fields["start_seconds"]) == ("ö.mp4", "empty", 2.5)

    def test_a_line_cut_off_by_a_kill_is_forgotten(self, tmp_path):
        path = tmp_path / "faults.jsonl"
        for name in ("a.mp4", "b.mp4"):
            Faults(path).record(VideoError(name, "empty"))
        path.write_text(path.read_text()[:-20])
        assert [fault.path for fault in Faults(path)] == ["a.mp4"]
        Faults(path).record(VideoError("c.mp4", "empty"))
        assert [fault.path for fault in Faults(path)] == ["a.mp4", "c.mp4"]

    def test_another_file_is_no_report(self, tmp_path):
        (tmp_path / "faults.jsonl").write_text("path,reason\na.mp4,empty\n")
        with pytest.raises(ValueError, match=r"faults\.jsonl, line 1: expected a fault .* received 'path,reason'"):
            Faults(tmp_path / "faults.jsonl")

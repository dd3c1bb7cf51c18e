from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / "benchmarks" / "fuzz_reading.py"


@pytest.mark.slow
@pytest.mark.real_data
def test_damaged_copies_of_real_files_end_in_frames_or_video_errors(real_data: pathlib.Path) -> None:
    command = [sys.executable, str(SCRIPT), "--mutations", "200", "--seed", "4", "--workers", "1"]
    environment = os.environ | {"SORA_KERAS_DATA": str(real_data)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {kind: int(count) for kind, count in re.findall(r"(read|VideoError): (\d+)", done.stdout)}
    assert counts["read"] + counts["VideoError"] == 200
    assert min(counts.values()) > 40

import argparse
import csv

import numpy as np
import pytest
from cut_off_video import cut_off

from sora_keras import ClipSpec, write_video
from sora_keras.apps import video_anomalies
from sora_keras.cli import anomalies
from sora_keras.models import SoraGenerator
from sora_keras.video import VideoError


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    anomalies.add_commands(parser.add_subparsers())
    options = parser.parse_args(["anomalies", *arguments])
    return options.action(options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model = SoraGenerator(ClipSpec(8, 32, 48, 5.0), filters=(4, 4, 4), num_motions=1, num_channels=1)
    model.save_to_preset(folder)
    frames = np.full((30, 32, 48, 3), 100, np.uint8)
    write_video(folder / "still.mp4", frames, 5.0)
    frames[18:20, 8:16, 24:36] = 250
    write_video(folder / "flash.mp4", frames, 5.0)
    return folder


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_prints_and_writes_when_and_where(folder, tmp_path, capsys):
    assert run(str(folder), str(folder / "flash.mp4"), "--to", str(tmp_path), "--smoothing-seconds", "0.1") == 0
    lines = read(tmp_path / "anomalies.csv")
    worst = max(lines, key=lambda line: float(line["score"]))
    assert 3.5 < float(worst["seconds"]) < 4.2
    assert f"{float(max(lines, key=lambda line: float(line['smoothed']))['seconds']):.2f} s" in capsys.readouterr().out
    assert (tmp_path / "anomalies.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.real_data
def test_broken_videos_are_told(folder, real_data, tmp_path):
    """One cannot be opened; of one with holes in the middle everything else is scored."""
    with pytest.raises(VideoError, match=r"truncated\.mp4"):
        run(str(folder), str(real_data / "broken" / "truncated.mp4"), "--to", str(tmp_path))
    assert run(str(folder), str(real_data / "broken" / "damaged_middle.mp4"), "--to", str(tmp_path)) == 0
    assert len(read(tmp_path / "anomalies.csv")) > 5


def test_a_video_that_breaks_off_has_its_own_exit_code(folder, tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 255, (100, 32, 48, 3), np.uint8)
    write_video(tmp_path / "half.mp4", noise, 25.0)
    video = cut_off(tmp_path / "half.mp4", 0.5)
    assert run(str(folder), str(video), "--to", str(tmp_path)) == 1
    assert "half.mp4 cannot be read to its end" in capsys.readouterr().err
    assert read(tmp_path / "anomalies.csv")


def test_a_folder_that_cannot_be_made_is_told_before_the_work(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(video_anomalies, "anomaly_scores", None)  # to be called would be an error of another type
    with pytest.raises(FileExistsError, match="file"):
        run(str(folder), str(folder / "flash.mp4"), "--to", str(tmp_path / "file"))


def test_what_is_no_model_is_told(tmp_path):
    with pytest.raises(ValueError, match="There is no preset"):
        run(str(tmp_path / "none"), "a.mp4", "--to", str(tmp_path))

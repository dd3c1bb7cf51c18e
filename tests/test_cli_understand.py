import csv
import json

import numpy as np
import pytest

from sora_keras import ClipSpec, SoraBackbone, SoraUnderstanding, write_video
from sora_keras.cli import main


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A model that sees brightness: its frames score above one half where the picture is bright."""
    folder = tmp_path_factory.mktemp("model")
    spec = ClipSpec(8, 16, 16, frames_per_second=4.0)
    backbone = SoraBackbone(spec, filters=(4,), units=(4,), motion=None)
    model = SoraUnderstanding(backbone, {"event": ["bright [now]", "never"]}, dropout=0.0, learning_rate=0.02)
    rng = np.random.default_rng(0)
    bright = rng.random((64, 8)) < 0.5
    frames = np.where(bright[:, :, None, None, None], 200, 40) * np.ones((64, *spec.shape))
    frame_labels = np.stack([bright, np.zeros_like(bright)], axis=-1).astype(np.float32)
    labels = {"event": frame_labels.max(1), "event_frames": frame_labels}
    model.fit(frames.astype(np.uint8), labels, epochs=40, batch_size=16, verbose=0)
    model.save_to_preset(folder)
    return folder


def test_understand_prints_and_writes_what_happens_when(model_folder, tmp_path, capsys):
    frames = np.full((40, 32, 32, 3), 40, np.uint8)
    frames[12:24] = 200
    write_video(tmp_path / "a.mp4", frames, 4.0)
    code = main(["understand", str(model_folder), str(tmp_path / "a.mp4"), "--to", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert code == 0
    assert "bright [now]" in printed
    assert "never" not in printed
    with open(tmp_path / "out" / "timeline.csv", newline="") as file:
        (line,) = csv.DictReader(file)
    assert (float(line["start_seconds"]), float(line["end_seconds"])) == pytest.approx((3.0, 6.0), abs=0.3)
    assert json.loads((tmp_path / "out" / "timeline.json").read_text())["duration_seconds"] == pytest.approx(10.0)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "highlights.mp4", "key_moments.jpg", "timeline.csv", "timeline.json", "timeline.png", "timeline.vtt"
    }  # fmt: skip


def test_understand_says_what_is_wrong(model_folder, tmp_path, capsys):
    (tmp_path / "b.mp4").write_text("no video")
    assert main(["understand", str(model_folder), str(tmp_path / "b.mp4"), "--to", str(tmp_path / "out")]) == 2
    assert "b.mp4" in capsys.readouterr().err
    assert main(["understand", str(tmp_path / "none"), str(tmp_path / "b.mp4"), "--to", str(tmp_path / "out")]) == 2
    assert "There is no preset" in capsys.readouterr().err


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "expected"), [("truncated.mp4", 2), ("damaged_middle.mp4", 0)])
def test_broken_videos(model_folder, real_data, tmp_path, capsys, name, expected):
    code = main(["understand", str(model_folder), str(real_data / "broken" / name), "--to", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert (code, name in printed.err, (tmp_path / "out" / "timeline.csv").is_file()) == (
        expected, expected == 2, expected == 0
    )  # fmt: skip


@pytest.mark.real_data
def test_people_prints_and_writes_when_somebody_is_there(real_data, tmp_path, capsys):
    video = real_data / "scenes" / "people_one_by_one.mp4"
    options = ["--to", str(tmp_path / "out"), "--seconds-between-frames", "6", "--zoom", "1"]
    assert main(["people", str(video), *options]) == 0
    assert "people at most" in capsys.readouterr().out
    with open(tmp_path / "out" / "people.csv", newline="") as file:
        counts = [int(line["count"]) for line in csv.DictReader(file)]
    assert 0 < max(counts) <= 3
    assert min(counts) == 0

"""The commands that help to choose a model and its clips: describe, suggest, tune."""

import csv

import pytest

from sora_keras.cli import main
from sora_keras.data import make_moving_digits


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return make_moving_digits(48, tmp_path_factory.mktemp("data") / "digits", seed=1, num_frames=12, size=32)


def test_describe_prints_the_costs_of_presets(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["describe", "small", "streaming", "--frames", "4", "--size", "32"]) == 0
    table = capsys.readouterr().out
    rows = {line.split("│")[1].strip(): line for line in table.splitlines() if line.startswith("│")}
    assert set(rows) == {"small", "streaming"}
    assert "4 x 32 x 32" in rows["small"]
    small, streaming = (int(rows[name].split("│")[3].replace(",", "")) for name in ("small", "streaming"))
    assert small > streaming > 10_000


def test_describe_names_what_is_no_preset(capsys):
    assert main(["describe", "hughe"]) == 2
    assert "There is no preset 'hughe'" in capsys.readouterr().err


def test_suggest_gives_options_of_train_and_reasons(capsys, digits):
    assert main(["suggest", str(digits)]) == 0
    options, *reasons = capsys.readouterr().out.splitlines()
    names = [word for word in options.split() if word.startswith("--")]
    assert names[:2] == ["--frames", "--size"]
    assert "48 videos measured" in reasons[0]
    assert len(reasons) >= 4


@pytest.mark.slow
def test_tune_writes_trials_and_the_best_model(capsys, digits, tmp_path):
    arguments = ["tune", str(digits), "--to", str(tmp_path / "best"), "--trials", "2", "--frames", "4", "--size", "16"]
    assert main([*arguments, "--epochs", "1"]) == 0
    output = capsys.readouterr().out
    with open(tmp_path / "best" / "trials.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2
    assert "val_accuracy" in output
    assert output.splitlines()[-1].startswith("accuracy ")
    assert {"trials.png", "model.keras", "report", "1"} <= {path.name for path in (tmp_path / "best").iterdir()}

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from sora_keras.evaluation import Mistake, classification_metrics, report, save_report

HISTORY = {"loss": [1.5, float("nan")], "val_loss": [np.float32(1.25), np.float32(1.0)], "accuracy": [0.5, 0.75]}


@pytest.fixture
def metrics():
    labels = np.array([0, 0, 1, 1, 0, 1, 0])
    return classification_metrics(labels, np.eye(3)[[0, 1, 1, 1, 0, 1, 0]], ["rest|sit", "wave", "jump"], top_k=2)


@pytest.fixture
def mistakes():
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    return [Mistake(frames, "rest|sit", "wave", 0.8125, "videos/a.mp4"), Mistake(frames, "wave", "jump", 0.5)]


def test_numbers_come_back_exactly(tmp_path, metrics, mistakes):
    save_report(metrics, tmp_path, history=HISTORY, mistakes=mistakes, title="Nightly")
    numbers = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert numbers["title"] == "Nightly"
    assert numbers["metrics"] == metrics
    assert numbers["history"] == {"loss": [1.5, None], "val_loss": [1.25, 1.0], "accuracy": [0.5, 0.75]}
    assert [row["path"] for row in numbers["mistakes"]] == ["videos/a.mp4", None]
    assert numbers["mistakes"][0]["probability"] == 0.8125


def test_page_leads_with_accuracy_beside_chance_and_shows_every_picture(tmp_path, metrics, mistakes):
    page = save_report(metrics, tmp_path / "new" / "folder", history=HISTORY, mistakes=mistakes, title="Nightly")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Nightly\n\n**Accuracy 85.7% [48.7%, 97.4%]**; ")
    assert "most frequent class scores 57.1%" in text
    assert "- top-2 accuracy" in text
    assert "| rest\\|sit | 4 | 100.0% [43.9%, 100.0%] | 75.0% [30.1%, 95.4%] | " in text
    assert "| jump | 0 | undefined | undefined | undefined |" in text
    names = re.findall(r"!\[.*\]\((.*)\)", text)
    assert names == ["confusion_matrix.png", "learning_curves.png", "mistakes.png"]
    assert all(cv2.imread(str(page.parent / name)).std() > 5 for name in names)
    assert sorted(path.name for path in page.parent.iterdir()) == sorted([*names, "report.json", "report.md"])


def test_page_shows_only_what_there_is(tmp_path, metrics):
    text = save_report(metrics, tmp_path).read_text(encoding="utf-8")
    assert re.findall(r"\]\((.*)\)", text) == ["confusion_matrix.png"]
    assert not (tmp_path / "mistakes.png").exists()
    assert "take the clips for independent" in text


def test_page_warns_of_few_groups():
    labels = np.arange(12) % 2
    metrics = classification_metrics(labels, np.eye(2)[labels], ["a", "b"], groups=np.arange(12) % 3)
    assert "as few as 3 groups tend to be too narrow" in report._page(metrics, "Few", {})
    assert "12 clips from 3 groups, 2 classes" in report._page(metrics, "Few", {})


def test_a_failure_leaves_the_former_report_whole(tmp_path, metrics, monkeypatch):
    save_report(metrics, tmp_path, title="Former")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupted(matrix, class_names, path):
        path.write_bytes(b"half a pic")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "plot_confusion_matrix", interrupted)
    with pytest.raises(OSError, match=r"No space left on device"):
        save_report(metrics, tmp_path, title="Latter")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_in_the_way_is_named(tmp_path, metrics):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match=r"can be written, received .*taken.*inside"):
        save_report(metrics, tmp_path / "taken" / "inside")


def test_odd_file_names_and_other_scripts_are_written(tmp_path, metrics, mistakes):
    odd = Mistake(mistakes[0].frames, "rest|sit", "wave", 0.75, "videos/not\udcffutf8.mp4")
    page = save_report(metrics, tmp_path, mistakes=[odd], title="Être \udcff")
    assert page.read_text(encoding="utf-8").startswith("# Être ?")
    assert json.loads((tmp_path / "report.json").read_text())["mistakes"][0]["path"] == "videos/not\udcffutf8.mp4"

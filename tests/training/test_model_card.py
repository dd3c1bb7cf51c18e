from __future__ import annotations

import platform
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.data import Row
from sora_keras.evaluation import classification_metrics
from sora_keras.models import SoraBackbone, SoraClassifier
from sora_keras.training import write_model_card
from sora_keras.training.data_hashes import data_hashes
from sora_keras.version import __version__
from sora_keras.video import ClipSpec


def parts_in(folder):
    folder.mkdir(exist_ok=True)
    for number in range(5):
        (folder / f"{number}.mp4").write_bytes(bytes([number]) * 100)
    rows = [Row(str(folder / f"{number}.mp4"), "ab"[number % 2], group=f"source {number // 2}") for number in range(5)]
    return {"train": rows[:4], "test": rows[4:]}


@pytest.fixture
def card(tmp_path):
    model = SoraClassifier(SoraBackbone(ClipSpec(4, 8, 8), filters=(4,)), ["a|b", "c"])
    metrics = classification_metrics(np.array([0, 1, 1, 1]), np.eye(2)[[0, 1, 0, 1]], ["a|b", "c"])
    history = {"loss": [0.7, 0.6, 0.5], "seconds": [20.0, 11.5, 11.0]}
    path = tmp_path / "falls" / "model_card.md"
    path.parent.mkdir()
    parts = parts_in(tmp_path / "videos")
    assert write_model_card(path, model, parts, metrics, history, "train --seed 3", "Not for the dark.") == path
    return path.read_text(encoding="utf-8"), metrics, model, parts


def test_says_what_the_model_is(card):
    text, _, model, _ = card
    assert text.startswith("# falls\n\n## Model\n")
    assert f"| parameters | {sum(weight.size for weight in model.get_weights()):,} |" in text
    assert "| clips | num_frames 4, height 8, width 8, frames_per_second None |" in text
    assert "| classes | a\\|b, c |" in text
    assert text.endswith("## Limits\n\nNot for the dark.\n")


def test_says_what_it_was_trained_and_judged_on(card):
    text, metrics, _, parts = card
    assert "| train | 4 videos of 2 groups |" in text
    assert "| test | 1 videos of 1 groups |" in text
    assert all(f"`{value}`" in text for value in data_hashes(parts))
    low, high = metrics["accuracy_interval"]
    assert f"| accuracy | 0.750 (95 % interval {low:.3f} to {high:.3f}) |" in text
    assert "| most frequent class alone | 0.750 |" in text
    assert "| test clips | 4 |" in text


def test_says_what_it_cost(card):
    text = card[0]
    assert "| command | `train --seed 3` |" in text
    assert "| epochs | 3 |" in text
    assert "| cost | 42 device-seconds of fitting, validation included |" in text  # 42.5 to the even second
    convolution = 2 * 4 * 8 * 8 * (3 * 3 * 6) * 4  # two operations, frames, pixels, window of two RGB frames, filters
    line = next(line for line in text.splitlines() if line.startswith("| operations |"))
    operations = float(line.split("|")[2].split()[0])
    assert operations > 3 * 4 * 3 * convolution  # forward and backward, clips, epochs


def test_says_what_it_ran_on(card):
    versions = {"sora_keras": __version__, "Python": platform.python_version(), "Keras": keras.version()}
    versions |= {"backend": keras.backend.backend(), "TensorFlow": tf.__version__, "NumPy": np.__version__}
    assert all(f"| {name} | {version} |" in card[0] for name, version in versions.items())


def test_a_card_needs_training_data(tmp_path):
    with pytest.raises(ValueError, match=r"must have one named 'train', received \['practice'\]"):
        write_model_card(tmp_path / "card.md", None, {"practice": []}, {}, {})


class TestDataHashes:
    def test_do_not_depend_on_where_and_in_what_order_the_files_lie(self, tmp_path):
        here, there = parts_in(tmp_path / "here"), parts_in(tmp_path / "there")
        there = {part: rows[::-1] for part, rows in reversed(there.items())}
        assert data_hashes(here) == data_hashes(there)

    def test_do_not_depend_on_the_names_of_groups_only_on_who_is_in_them(self, tmp_path):
        parts = parts_in(tmp_path / "videos")
        renamed = {part: [Row(row.path, row.label, group=row.group.upper()) for row in parts[part]] for part in parts}
        assert data_hashes(renamed) == data_hashes(parts)
        alone = {part: [Row(row.path, row.label) for row in parts[part]] for part in parts}
        assert data_hashes(alone)[0] != data_hashes(parts)[0]

    def test_tell_another_split_from_other_data(self, tmp_path):
        parts = parts_in(tmp_path / "videos")
        data, split = data_hashes(parts)
        moved = {"train": parts["train"][:3], "test": parts["train"][3:] + parts["test"]}
        assert (data_hashes(moved)[0] == data, data_hashes(moved)[1] == split) == (True, False)
        relabeled = {**parts, "test": [Row(parts["test"][0].path, "b", group="source 2")]}
        assert (data_hashes(relabeled)[0] == data, data_hashes(relabeled)[1] == split) == (False, True)
        shutil.copy(parts["train"][0].path, parts["test"][0].path)
        assert data_hashes(parts)[0] != data

    def test_a_file_that_is_gone_counts_by_its_name(self):
        assert data_hashes({"train": [Row("gone.mp4", "a")]}) != data_hashes({"train": [Row("lost.mp4", "a")]})

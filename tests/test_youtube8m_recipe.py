from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.stats import multivariate_normal

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "youtube8m.py"


@pytest.fixture
def recipe():
    spec = importlib.util.spec_from_file_location("youtube8m_recipe", RECIPE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chances_by_enumeration(recipe, frames):
    """Of each label, given the frames `(T, D)` of a video: a sum over all sets of labels of their joint density."""
    num_frames, size = frames.shape
    of_video = recipe.VIDEO_NOISE**2 * recipe.DIRECTIONS.T @ recipe.DIRECTIONS
    covariance = np.kron(np.ones((num_frames, num_frames)), of_video)
    covariance += recipe.FRAME_NOISE**2 * np.eye(num_frames * size)
    weights, sets = [], list(itertools.product([0, 1], repeat=len(recipe.CHANCES)))
    for labels in sets:
        mean = np.tile(recipe.DIRECTION_LENGTH * np.array(labels) @ recipe.DIRECTIONS, num_frames)
        prior = np.prod(np.where(labels, recipe.CHANCES, 1 - recipe.CHANCES))
        weights.append(prior * multivariate_normal.pdf(frames.ravel(), mean, covariance))
    return np.array(weights) @ np.array(sets) / np.sum(weights)


def test_the_best_probabilities_are_those_of_the_joint_density(recipe, monkeypatch):
    rng = np.random.default_rng(3)
    monkeypatch.setattr(recipe, "DIRECTIONS", np.linalg.qr(rng.normal(size=(6, 3)))[0].T)
    monkeypatch.setattr(recipe, "CHANCES", np.array([0.1, 0.3, 0.5]))
    monkeypatch.setattr(recipe, "FRAME_NOISE", 0.7)
    lengths, frames = [1, 4, 3], rng.normal(size=(3, 4, 6)) * 1.5
    for video, length in enumerate(lengths):
        frames[video, length:] = 0
    num_frames = keras.ops.convert_to_tensor(lengths)
    found = recipe.best_probabilities({"rgb": frames[..., :4], "audio": frames[..., 4:], "num_frames": num_frames})
    for video, length in enumerate(lengths):
        np.testing.assert_allclose(found[video], chances_by_enumeration(recipe, frames[video, :length]), rtol=1e-6)


def test_from_records_to_a_submission(recipe, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(recipe, "MADE_VIDEOS", {"train": 40, "validate": 300})
    monkeypatch.setattr(recipe, "SHARD_VIDEOS", 20)
    arguments = {"sequence": "lstm", "steps": 2, "batch_size": 64, "seed": 0, "to": tmp_path}
    recipe.main(None, None, None, **arguments)
    shown = capsys.readouterr().out
    best = float(shown.split("the best possible: gap ")[1][:6])
    assert 0.7 < best < 0.99
    assert "MB; the challenge allowed 1,000 MB" in shown
    model = keras.saving.load_model(tmp_path / "model.keras")
    header, *lines = (tmp_path / "submission.csv").read_text().splitlines()
    assert header == "VideoId,LabelConfidencePairs"
    assert [line.split(",")[0] for line in lines[:2]] == ["validate0", "validate20"]  # shards are read in turn
    options = {"shuffle": False, "with_ids": True, "num_classes": model.output_shape[1], "max_frames": 5}
    features, _ = next(iter(recipe.youtube8m_dataset(f"{tmp_path}/made_records/validate*", **options)))
    probabilities = recipe.predict(model, features)
    assert len(lines) == 300
    for line, expected in zip(lines, probabilities, strict=False):
        pairs = line.split(",")[1].split(" ")
        labels, confidences = [int(label) for label in pairs[::2]], [float(value) for value in pairs[1::2]]
        assert len(set(labels)) == 20
        assert confidences == sorted(confidences, reverse=True)
        np.testing.assert_allclose(confidences, expected[labels], rtol=1e-4)
        assert min(confidences) >= np.sort(expected)[-20] * 0.9999

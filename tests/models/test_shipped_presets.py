"""What `saved_models/` ships: small, with a card, and able to do what the card says."""

from pathlib import Path

import numpy as np
import pytest

from sora_keras import SoraClassifier, read_clip

SHIPPED = sorted(path.parent for path in (Path(__file__).parents[2] / "saved_models").glob("*/model_card.md"))


def test_something_ships():
    assert "fight_detection" in [folder.name for folder in SHIPPED]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_is_small_and_has_a_card(folder):
    assert (folder / "model.keras").stat().st_size < 5e6
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    for word in ("## Data", "split hash", "## Metrics", "interval", "command", "cost", "## Limits"):
        assert word in card


@pytest.mark.real_data
def test_the_fight_detector_tells_fights(real_data):
    model = SoraClassifier.from_preset(Path(__file__).parents[2] / "saved_models" / "fight_detection")
    assert model.class_names == ["fight", "no_fight"]
    paths = [real_data / "fights" / "fight" / f"fi{number:03}.mp4" for number in (1, 40, 80, 120)]
    others = sorted((real_data / "fights").glob("*/*.mp4"))[-1:-80:-20]
    clips = np.stack([read_clip(path, model.clip_spec).frames for path in (*paths, *others)])
    right = model.predict(clips, batch_size=2, verbose=0).argmax(-1) == [0] * len(paths) + [1] * len(others)
    assert right.mean() > 0.7  # it was trained on these

import os

import pytest

from sora_keras import ClipSpec, SoraBackbone
from sora_keras.models.presets import BACKBONES


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_preset_builds(name):
    backbone = SoraBackbone.from_preset(name, ClipSpec(2, 16, 16))
    assert backbone.output["embedding"].shape[0] is None


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK cut off")
    with pytest.raises(ValueError, match=r"model\.keras is damaged"):
        SoraBackbone.from_preset(tmp_path)


def test_a_failed_save_leaves_the_old_model_alone(tmp_path):
    backbone = SoraBackbone.from_preset("small", ClipSpec(2, 16, 16))
    backbone.save_to_preset(tmp_path)
    before = (tmp_path / "model.keras").read_bytes()
    backbone.get_config = lambda: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        backbone.save_to_preset(tmp_path)
    assert os.listdir(tmp_path) == ["model.keras"]
    assert (tmp_path / "model.keras").read_bytes() == before

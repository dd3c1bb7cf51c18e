import os

import numpy as np
import pytest

from sora_keras import ClipSpec, SoraBackbone
from sora_keras.models.presets import BACKBONES, pretrained


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_preset_builds(name):
    try:
        backbone = SoraBackbone.from_preset(name, ClipSpec(2, 32, 32))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert backbone.output["embedding"].shape[0] is None


def test_the_pretrained_preset_trains_no_encoder():
    try:
        backbone = SoraBackbone.from_preset("pretrained", ClipSpec(2, 32, 32))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert backbone.frame_encoder.name == "efficientnet_lite0"
    assert backbone.frame_encoder.trainable_weights == []
    assert backbone.motion_encoder is backbone.frame_encoder
    assert {weight.path.split("/")[0] for weight in backbone.trainable_weights} == {"lstm_0"}


def test_the_pretrained_preset_takes_the_weights_by_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no PyTorch weights at .*absent\.pth"):
        pretrained(ClipSpec(2, 32, 32), tmp_path / "absent.pth")


def test_the_streaming_preset_is_causal_and_small():
    backbone = SoraBackbone.from_preset("streaming", ClipSpec(4, 32, 32))
    frames = np.random.default_rng(0).integers(0, 256, (1, 4, 32, 32, 3), dtype=np.uint8)
    changed = frames.copy()
    changed[:, 3] = 0
    before, after = (backbone.predict(x, verbose=0)["sequence_features"] for x in (frames, changed))
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert backbone.count_params() < 60_000


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

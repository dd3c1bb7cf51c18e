import numpy as np
import pytest

from sora_keras import ClipSpec, write_video
from sora_keras.cli import main
from sora_keras.models.enhancer import SoraEnhancer
from sora_keras.video import probe, stream_frames


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model = SoraEnhancer(mode="restore", clip_spec=ClipSpec(4, 32, 32), scale=2, filters=4, num_blocks=1)
    model.save_to_preset(folder)
    return folder


@pytest.mark.real_data
def test_enhance_prints_and_writes(model_folder, real_data, tmp_path, capsys):
    frames = [
        frame for (_, frame), _ in zip(stream_frames(real_data / "clean" / "dog.mp4", 72, 128), range(8), strict=False)
    ]
    write_video(tmp_path / "a.mp4", np.stack(frames)[:, ::2, ::2], 10.0)
    write_video(tmp_path / "large.mp4", np.stack(frames), 10.0)
    files = [str(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    options = ["--compare", str(tmp_path / "both.mp4"), "--reference", str(tmp_path / "large.mp4"), "--quality", "12"]
    options += ["--look-ahead", "3"]
    assert main(["enhance", str(model_folder), *files, *options]) == 0
    printed = capsys.readouterr().out
    assert "8 frames of 64x36 to 128x72, " in printed
    assert "PSNR " in printed
    assert "both.mp4" in printed
    assert (probe(tmp_path / "b.mp4").height, probe(tmp_path / "both.mp4").width) == (72, 258)


@pytest.mark.real_data
def test_enhance_tells_of_broken_frames(model_folder, real_data, tmp_path, capsys):
    source = str(real_data / "broken" / "Error_I_P.264")
    assert main(["enhance", str(model_folder), source, str(tmp_path / "b.mp4")]) == 0
    assert "5 frames are broken in the original, and concealed, at 0.00, 0.04, 0.12" in capsys.readouterr().out


def test_enhance_says_what_is_wrong(model_folder, tmp_path, capsys):
    write_video(tmp_path / "a.mp4", np.full((3, 16, 16, 3), 100, np.uint8), 10.0)
    for to, message in (("a.mp4", "never overwritten"), ("b.gif", "received '.gif'"), ("gone/b.mp4", "does not exist")):
        assert main(["enhance", str(model_folder), str(tmp_path / "a.mp4"), str(tmp_path / to)]) == 2
        assert message in capsys.readouterr().err
    assert main(["enhance", str(tmp_path / "none"), str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")]) == 2
    assert "There is no preset" in capsys.readouterr().err

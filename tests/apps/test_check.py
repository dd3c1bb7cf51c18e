from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest

from sora_keras.apps import check_videos
from sora_keras.video import write_video


def test_names_what_cannot_be_read_to_its_end(tmp_path, capfd):
    folder = tmp_path / "meine Videos" / "grün"
    folder.mkdir(parents=True)
    frames = np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3), np.uint8)
    for name in ("ganz.mp4", "auch ganz.gif", "abgeschnitten.mkv"):
        write_video(folder / name, frames)
    whole = (folder / "ganz.mp4").read_bytes()
    (folder / "halb.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "leer.mp4").touch()
    (folder / "Text ü.mp4").write_text("no video")
    (folder / "notes.txt").write_text("no video either")
    cut_off = (folder / "abgeschnitten.mkv").read_bytes()
    (folder / "abgeschnitten.mkv").write_bytes(cut_off[:500])
    num_videos, faults = check_videos(tmp_path)
    assert num_videos == 6
    assert [Path(fault.path).name for fault in faults] == ["Text ü.mp4", "abgeschnitten.mkv", "halb.mp4", "leer.mp4"]
    assert all(fault.reason for fault in faults)
    assert "0 bytes" in faults[-1].reason
    assert capfd.readouterr() == ("", "")


def test_a_file_cut_in_half_is_named(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (100, 32, 32, 3), np.uint8)
    path = tmp_path / "half.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:  # the header first, as for streaming
        stream = container.add_stream("libx264", rate=25)
        stream.height = stream.width = 32
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    assert check_videos(tmp_path) == (1, [])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    _, [fault] = check_videos(tmp_path)
    assert re.search(r"its frames end at [12]\.\d\d s, but .* of 4\.00 s is wanted; the file is cut off", fault.reason)


def test_a_video_without_a_line_in_the_csv_is_checked_too(tmp_path):
    write_video(tmp_path / "a.mp4", np.zeros((5, 32, 32, 3), np.uint8))
    (tmp_path / "clips.csv").write_text("path,group\nother.mp4,jack\n")
    assert check_videos(tmp_path) == (1, [])


def test_nothing_to_check(tmp_path):
    with pytest.raises(ValueError, match=rf"{tmp_path} holds no videos"):
        check_videos(tmp_path)
    with pytest.raises(NotADirectoryError, match=r"nowhere is not a folder"):
        check_videos(tmp_path / "nowhere")


@pytest.mark.real_data
def test_real_damage(real_data):
    num_videos, faults = check_videos(real_data / "broken")
    assert num_videos == 8
    assert {"empty.mp4", "not_a_video.mp4", "truncated.mp4"} <= {Path(fault.path).name for fault in faults}
    assert not {Path(fault.path).name for fault in faults} & {"BA_MW_D_IDR_LOST.264", "megamind_buggy.avi"}

from __future__ import annotations

import os
import pathlib
import pickle
import shutil
from collections.abc import Callable

import av
import numpy as np
import pytest

from sora_keras.video import ClipSpec, VideoError, probe, read_clip, read_windows, stream_frames, write_video

SPEC = ClipSpec(4, 16, 16)


def read_somehow(reader: str, path: object) -> None:
    if reader == "probe":
        probe(path)  # type: ignore[arg-type]
    elif reader == "read_clip":
        read_clip(path, SPEC)  # type: ignore[arg-type]
    elif reader == "read_windows":
        list(read_windows(path, SPEC))  # type: ignore[arg-type]
    else:
        list(stream_frames(path))  # type: ignore[arg-type]


def make_unreadable(folder: pathlib.Path, name: str) -> object:
    path = folder / name
    if name == "folder.mp4":
        path.mkdir()
    elif name == "empty.mp4":
        path.write_bytes(b"")
    elif name in ("text.mp4", "text.txt"):
        path.write_text("This is no video.\n" * 50)
    elif name == "list.m3u8":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    elif name == "list.ffconcat":
        write_video(folder / "other.mp4", np.zeros((5, 16, 16, 3), np.uint8))
        path.write_text("ffconcat version 1.0\nfile other.mp4\n")
    elif name == "sound.m4a":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000, layout="mono")
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.sample_rate = 8000
            container.mux(stream.encode(sound))
            container.mux(stream.encode(None))
    elif name == "https://example.org/a.mp4":
        return name
    return path


@pytest.mark.parametrize("reader", ["probe", "read_clip", "read_windows", "stream_frames"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.mp4", "no such file; the current folder is"),
        ("folder.mp4", "this is a folder, not a video"),
        ("empty.mp4", r"the file is empty \(0 bytes\)"),
        ("text.mp4", "FFmpeg cannot read it as a video"),
        ("text.txt", "this is a text file, not a video"),
        ("list.m3u8", "FFmpeg cannot read it as a video|this is a playlist"),
        ("list.ffconcat", "this is a playlist, not a video"),
        ("sound.m4a", "no video in this file, it holds audio"),
        ("https://example.org/a.mp4", "this is a URL, and only files are read; download it first"),
    ],
)
def test_what_is_no_video_is_named(tmp_path: pathlib.Path, reader: str, name: str, reason: str) -> None:
    path = make_unreadable(tmp_path, name)
    with pytest.raises(VideoError, match=f"{name}: .*({reason})") as caught:
        read_somehow(reader, path)
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"0")
    (tmp_path / "secret.mp4").chmod(0)
    with pytest.raises(VideoError, match=r"secret\.mp4: this file may not be read"):
        probe(tmp_path / "secret.mp4")


def test_video_error_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(VideoError(pathlib.Path("a b.mp4"), "it broke")))
    assert (error.path, error.reason, str(error)) == ("a b.mp4", "it broke", "a b.mp4: it broke")
    assert isinstance(error, OSError)


@pytest.mark.parametrize("name", ["with space.mp4", "žluťoučký 動画.mp4", "-dash.mp4", "http:odd %d.mp4", "it's.mp4"])
@pytest.mark.parametrize("kind", [str, pathlib.Path, os.fsencode])
def test_any_file_name(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: Callable) -> None:
    write_video(tmp_path / "plain.mp4", np.full((5, 16, 16, 3), 70, np.uint8))
    shutil.move(tmp_path / "plain.mp4", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert abs(int(read_clip(kind(name), SPEC).frames.mean()) - 70) <= 3


def test_a_title_in_another_encoding_is_no_fault(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height = stream.width = 32
        container.metadata["title"] = "caf\u00e9"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        container.mux(stream.encode(None))
    utf8, latin1 = "caf\u00e9".encode(), b"caf\xe9\xe9"
    assert utf8 in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(utf8, latin1))
    assert read_clip(path, ClipSpec(2, 16, 16)).frames.max() < 10


def test_a_cover_picture_is_no_video(tmp_path: pathlib.Path) -> None:
    with av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as container:
        sound_stream = container.add_stream("aac", rate=8000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 8000
        container.mux(sound_stream.encode(sound))
        container.mux(sound_stream.encode(None))
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24").reformat(format="yuvj420p")
        container.mux(cover.encode(picture))
        container.mux(cover.encode(None))
    with pytest.raises(VideoError, match=r"song\.m4a: there is no video in this file, it holds audio"):
        probe(tmp_path / "song.m4a")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.mp4", "the file is empty"),
        ("not_a_video.mp4", "FFmpeg cannot read it"),
        ("truncated.mp4", "FFmpeg cannot read it"),
    ],
)
def test_real_files_that_are_no_videos(real_data: pathlib.Path, name: str, reason: str) -> None:
    with pytest.raises(VideoError, match=f"{name}: .*{reason}"):
        read_clip(real_data / "broken" / name, SPEC)

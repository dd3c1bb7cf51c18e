from __future__ import annotations

import os
import pathlib
import pickle
import re
import shutil
import struct
from collections.abc import Callable

import av
import cv2
import numpy as np
import pytest

from sora_keras.video import ClipSpec, VideoError, probe, read_clip, read_windows, stream_frames, write_video

SPEC = ClipSpec(4, 16, 16)
PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
    "segments.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{url}'\n",
    "list.pls": "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "manifest.mpd": '<?xml version="1.0"?>\n<MPD><Period><BaseURL>{url}</BaseURL></Period></MPD>\n',
}


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
    elif name in PLAYLISTS:
        write_video(folder / "other.mp4", np.zeros((5, 16, 16, 3), np.uint8))
        path.write_text(PLAYLISTS[name].format(url=(folder / "other.mp4").as_uri()))
    elif name == "pipe.mp4":
        os.mkfifo(path)
    elif name == "link_to_pipe.mp4":
        os.mkfifo(folder / "pipe")
        path.symlink_to(folder / "pipe")
    elif name == "link_to_nothing.mp4":
        path.symlink_to(folder / "nothing")
    elif name == "picture%03d.png":
        cv2.imwrite(str(folder / "picture001.png"), np.zeros((16, 16, 3), np.uint8))
        shutil.copy(folder / "picture001.png", path)
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
        ("text.txt", "this is a text file"),
        *((name, "this is a playlist, and the files it names are not opened") for name in PLAYLISTS),
        ("pipe.mp4", "this is a device, pipe or socket, and only files are read"),
        ("link_to_pipe.mp4", "this is a device, pipe or socket, and only files are read"),
        ("link_to_nothing.mp4", "no such file; the current folder is"),
        ("picture%03d.png", "FFmpeg cannot read it as a video"),
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


def test_devices_are_not_read() -> None:
    with pytest.raises(VideoError, match=r"zero: this is a device, pipe or socket, and only files are read; write it"):
        probe("/dev/zero")


def test_a_link_to_a_video_is_read(tmp_path: pathlib.Path) -> None:
    write_video(tmp_path / "a.mp4", np.full((5, 16, 16, 3), 70, np.uint8))
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    assert abs(int(read_clip(tmp_path / "link.mp4", SPEC).frames.mean()) - 70) <= 3


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def test_a_video_whose_frames_lie_in_another_file_does_not_open_that(tmp_path: pathlib.Path) -> None:
    """QuickTime's data reference, as an alias record; FFmpeg follows it where it is told to."""
    write_video(tmp_path / "other.mp4", np.zeros((40, 16, 16, 3), np.uint8))
    content = (tmp_path / "other.mp4").read_bytes()
    path = str(tmp_path / "other.mp4").encode()
    record = bytes(10) + b"\4disk".ljust(28, b"\0") + bytes(12) + b"\11other.mp4".ljust(64, b"\0") + bytes(16)
    record += struct.pack(">HH", 1, 1) + bytes(16)
    record += struct.pack(">hH", 2, len(path)) + path + bytes(len(path) % 2) + struct.pack(">hH", -1, 0)
    reference = box(b"dref", struct.pack(">II", 0, 1) + box(b"alis", bytes(4) + record))
    begin = content.index(b"dref") - 4
    (size,) = struct.unpack_from(">I", content, begin)
    external = bytearray(content[:begin] + reference + content[begin + size :])
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        position = content.index(parent) - 4
        (parent_size,) = struct.unpack_from(">I", content, position)
        struct.pack_into(">I", external, position, parent_size + len(reference) - size)
    (tmp_path / "external.mov").write_bytes(external)
    with av.open(str(tmp_path / "external.mov"), options={"enable_drefs": "1"}) as container:
        assert sum(1 for _ in container.decode(video=0)) == 40
    with pytest.raises(VideoError, match=r"external\.mov: no frame of it can be decoded"):
        read_clip(tmp_path / "external.mov", SPEC)


def test_enormous_frames_are_refused(tmp_path: pathlib.Path, encode: Callable) -> None:
    frames = np.zeros((30, 16, 16, 3), np.uint8)
    movie = encode(tmp_path / "a.mp4", frames, "mjpeg", "yuvj420p")
    content = bytearray(movie.read_bytes())
    struct.pack_into(">HH", content, content.index(b"mp4v", content.index(b"stsd")) + 28, 60000, 50000)
    movie.write_bytes(content)
    write_video(tmp_path / "a.gif", frames)
    content = bytearray((tmp_path / "a.gif").read_bytes())
    struct.pack_into("<HH", content, 6, 60000, 50000)
    (tmp_path / "a.gif").write_bytes(content)
    for reader in ("probe", "read_clip", "read_windows", "stream_frames"):
        message = r"a\.mp4: its header tells of frames of 60000 x 50000 pixels, and at most 35,651,584 pixels \(8K\)"
        with pytest.raises(VideoError, match=message):
            read_somehow(reader, movie)
        with pytest.raises(VideoError, match=r"a\.gif: 30 of its 30 packets cannot be decoded"):
            read_somehow(reader, tmp_path / "a.gif")


def test_enormous_frames_in_the_middle_are_left_out(tmp_path: pathlib.Path, encode: Callable) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (30, 16, 16, 3), np.uint8)
    path = encode(tmp_path / "a.avi", noise, "mjpeg", "yuvj420p")
    content = bytearray(path.read_bytes())
    beginnings = [match.end() for match in re.finditer(rb"\xff\xc0\x00\x11\x08", content)]
    assert len(beginnings) == 30
    for beginning in beginnings[10:14]:
        struct.pack_into(">HH", content, beginning, 60000, 60000)
    path.write_bytes(content)
    assert sum(1 for _ in stream_frames(path)) == 26


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

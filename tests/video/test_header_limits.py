from __future__ import annotations

import pathlib
import struct
from collections.abc import Callable

import av
import numpy as np
import pytest

from sora_keras.video import VideoError, probe, write_video
from sora_keras.video.header_limits import header_fault


def patched(path: pathlib.Path, kind: bytes, offset: int, *numbers: int) -> pathlib.Path:
    """The file with 32-bit numbers written at an offset from the first box of a kind."""
    content = bytearray(path.read_bytes())
    struct.pack_into(f">{len(numbers)}I", content, content.index(kind) + 4 + offset, *numbers)
    path.write_bytes(content)
    return path


def test_a_table_of_more_frames_than_memory_is_refused(tmp_path: pathlib.Path) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((5, 16, 16, 3), np.uint8))
    assert header_fault(tmp_path / "a.mp4") is None
    one_byte_each = patched(tmp_path / "a.mp4", b"stsz", 4, 1, 20_000_003)
    assert header_fault(one_byte_each) == "its header promises 20,000,003 frames, and at most 8,000,000 are indexed"
    with pytest.raises(
        VideoError, match=r"a\.mp4: its header promises 20,000,003 frames, .*; it is broken, or made to"
    ):
        probe(one_byte_each)


def test_a_fragment_of_more_frames_than_memory_is_refused(tmp_path: pathlib.Path, encode: Callable) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"}
    frames = np.zeros((50, 16, 16, 3), np.uint8)
    path = encode(tmp_path / "a.mp4", frames, options={"g": "25"}, container_options=options)
    assert header_fault(path) is None
    fault = header_fault(patched(path, b"trun", 0, 1, 80_000_000))
    assert fault == "its header promises 80,000,025 frames, and at most 8,000,000 are indexed"


def test_uncompressed_sound_has_as_many_samples_as_it_likes(tmp_path: pathlib.Path) -> None:
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    assert header_fault(patched(tmp_path / "a.mov", b"stsz", 4, 2, 9_000_000)) is None
    # Where its samples do not last one tick each, FFmpeg indexes them one by one.
    fault = header_fault(patched(tmp_path / "a.mov", b"stts", 4, 1, 9_000_000, 2))
    assert fault == "its header promises 9,000,000 frames, and at most 8,000,000 are indexed"


def test_metadata_of_more_than_memory_are_refused(tmp_path: pathlib.Path) -> None:
    size = 300_000_000
    with open(tmp_path / "a.mp4", "wb") as file:
        file.write(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4s", 8 + size, b"moov"))
        file.truncate(24 + size)
    assert header_fault(tmp_path / "a.mp4") == "its header takes 300,000,000 bytes, and at most 209,715,200 are read"
    with open(tmp_path / "b.mp4", "wb") as file:
        file.write(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4sQ", 1, b"mdat", 16 + size))
        file.truncate(32 + size)
    assert header_fault(tmp_path / "b.mp4") is None


def element(kind: str, content: bytes, size: int | None = None) -> bytes:
    size = len(content) if size is None else size
    return bytes.fromhex(kind) + (1 << 56 | size).to_bytes(8, "big") + content


def seek_head(offset: int) -> bytes:
    position = bytes.fromhex("53AC84") + offset.to_bytes(4, "big")
    return element("114D9B74", element("4DBB", bytes.fromhex("53AB841941A469") + position))


@pytest.mark.parametrize("is_behind", [False, True])
def test_attachments_of_more_than_memory_are_refused(tmp_path: pathlib.Path, is_behind: bool) -> None:
    size = 300_000_000
    cluster = element("1F43B675", bytes(100))
    before = seek_head(len(seek_head(0)) + len(cluster)) + cluster if is_behind else b""
    with open(tmp_path / "a.mkv", "wb") as file:
        file.write(element("1A45DFA3", b"") + element("18538067", b"", size + 1000) + before)
        file.write(element("1941A469", b"", size))
        file.truncate(file.tell() + size)
    in_the_seek_head = len(seek_head(0)) - 12 if is_behind else 0
    expected = f"its header takes {size + in_the_seek_head:,} bytes, and at most 209,715,200 are read"
    assert header_fault(tmp_path / "a.mkv") == expected


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**60])
def test_sizes_that_no_file_has(tmp_path: pathlib.Path, number: int) -> None:
    (tmp_path / "a.mp4").write_bytes(
        b"\0\0\0\1moov" + number.to_bytes(8, "big") + b"\0\0\0\1trak" + number.to_bytes(8, "big")
    )
    assert header_fault(tmp_path / "a.mp4") is None
    head = bytes.fromhex("1A45DFA3") + number.to_bytes(8, "big")
    (tmp_path / "a.mkv").write_bytes(head + element("18538067", b"", number % 2**56) + seek_head(2**32 - 1))
    assert header_fault(tmp_path / "a.mkv") is None


def test_boxes_in_boxes_without_end(tmp_path: pathlib.Path) -> None:
    depth = 20_000
    with open(tmp_path / "a.mp4", "wb") as file:
        for level in range(depth):
            file.write(struct.pack(">I4s", 8 * (depth - level), b"moov"))
    assert header_fault(tmp_path / "a.mp4") is None


@pytest.mark.real_data
def test_real_files_have_no_fault(real_data: pathlib.Path) -> None:
    paths = [path for path in real_data.rglob("*") if path.suffix in (".mp4", ".mkv", ".avi", ".gif", ".264")]
    assert len(paths) > 300
    assert {path.name: fault for path in paths if (fault := header_fault(path))} == {}

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sora_keras.data.downloading.unpacking import ArchiveError, extract

CONTENTS = {"one.txt": b"1", "deep/down/two.bin": bytes(range(256)) * 1000, "ö three.txt": b""}


def write_zip(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, contents: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o777
            archive.addfile(info, io.BytesIO(content))
    return path


WRITERS = pytest.mark.parametrize("write", [write_zip, write_tar])


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@WRITERS
class TestExtract:
    def test_all_of_it(self, tmp_path, write):
        archive = write(tmp_path / "a", {**CONTENTS, "._one.txt": b"x", "__MACOSX/._two": b"x", "deep/.DS_Store": b"x"})
        assert extract(archive, tmp_path / "out") == tmp_path / "out"
        assert files_below(tmp_path / "out") == CONTENTS
        assert not os.access(tmp_path / "out" / "one.txt", os.X_OK)
        assert sorted(os.listdir(tmp_path)) == ["a", "out"]

    def test_one_folder_of_it(self, tmp_path, write):
        archive = write(tmp_path / "a", {f"root.v1/{name}": content for name, content in CONTENTS.items()})
        extract(str(archive), str(tmp_path / "two"), member="root.v1/deep")
        assert files_below(tmp_path / "two") == {"down/two.bin": CONTENTS["deep/down/two.bin"]}
        with pytest.raises(ArchiveError, match=r"a holds no files in a folder named 'root\.v2'"):
            extract(archive, tmp_path / "three", member="root.v2")
        assert sorted(os.listdir(tmp_path)) == ["a", "two"]

    def test_nothing_is_overwritten(self, tmp_path, write):
        archive = write(tmp_path / "a", CONTENTS)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("kept")
        with pytest.raises(FileExistsError, match=r"out exists: remove it"):
            extract(archive, tmp_path / "out")
        assert files_below(tmp_path / "out") == {"mine.txt": b"kept"}

    @pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "deep/../../evil.txt", "deep/.."])
    def test_names_that_lead_out(self, tmp_path, write, name):
        archive = write(tmp_path / "inner.archive", {**CONTENTS, name: b"evil"})
        (tmp_path / "inner").mkdir()
        with pytest.raises(ArchiveError, match=rf"inner\.archive holds the name '{name}', which leads out"):
            extract(archive, tmp_path / "inner" / "out")
        assert not list(tmp_path.rglob("evil*"))
        assert os.listdir(tmp_path / "inner") == []

    def test_more_than_allowed(self, tmp_path, write):
        archive = write(tmp_path / "bomb", {"zeros.bin": bytes(5_000_000), "more.bin": bytes(6_000_000)})
        assert archive.stat().st_size < 50_000
        with pytest.raises(ArchiveError, match=r"bomb unpacks to at least 11,000,000 bytes, and 7,000,000 are free or"):
            extract(archive, tmp_path / "out", size_limit_bytes=7_000_000)
        assert os.listdir(tmp_path) == ["bomb"]

    @pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
    def test_cut_off(self, tmp_path, write, share):
        noise = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
        archive = write(tmp_path / "whole", {f"{number}.bin": noise[number:] for number in range(4)})
        (tmp_path / "cut").write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
        with pytest.raises(ArchiveError, match=r"cut is (damaged \(|neither a whole zip file nor a tar file)"):
            extract(tmp_path / "cut", tmp_path / "out")
        assert sorted(os.listdir(tmp_path)) == ["cut", "whole"]

    def test_one_byte_changed(self, tmp_path, write):
        noise = np.random.default_rng(1).integers(0, 256, 300_000, np.uint8).tobytes()
        archive = write(tmp_path / "a", {"noise.bin": noise})
        content = bytearray(archive.read_bytes())
        content[150_000] ^= 4
        archive.write_bytes(content)
        with pytest.raises(ArchiveError, match=r"a is damaged \(.*remove it and download it again"):
            extract(archive, tmp_path / "out")
        assert os.listdir(tmp_path) == ["a"]


def test_a_link_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("door")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc")
        archive.writestr("door/passwd", "evil")
    with pytest.raises(ArchiveError, match=r"a\.zip holds 'door', which is a link or device"):
        extract(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("door")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ArchiveError, match=r"a\.tar\.gz holds 'door', which is a link or device"):
        extract(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_damaged_header_in_the_middle_of_a_tar(tmp_path):
    write_tar(tmp_path / "a.tar.gz", {"one.txt": b"1", "two.txt": b"2", "three.txt": b"3"})
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        offset = archive.getmember("two.txt").offset
    content = bytearray(gzip.decompress((tmp_path / "a.tar.gz").read_bytes()))
    content[offset + 10] ^= 255
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(ArchiveError, match=r"b\.tar\.gz is damaged \(the header of a file after 'one\.txt'"):
        extract(tmp_path / "b.tar.gz", tmp_path / "out")


def test_a_web_page_in_place_of_an_archive(tmp_path):
    (tmp_path / "walking.zip").write_text("<html>404</html>" * 100)
    with pytest.raises(ArchiveError, match=r"walking\.zip is neither a whole zip file nor a tar file"):
        extract(tmp_path / "walking.zip", tmp_path / "walking")


class TestTwoProcesses:
    def test_the_other_one_was_quicker(self, tmp_path, monkeypatch):
        archive = write_zip(tmp_path / "a.zip", CONTENTS)
        replace = os.replace

        def replace_later(source: Path, target: Path) -> None:
            extract_now(tmp_path / "a.zip", tmp_path / "out")
            replace(source, target)

        def extract_now(*arguments: Path) -> None:
            monkeypatch.setattr(os, "replace", replace)
            extract(*arguments)

        monkeypatch.setattr(os, "replace", replace_later)
        assert extract(archive, tmp_path / "out") == tmp_path / "out"
        assert files_below(tmp_path / "out") == CONTENTS
        assert sorted(os.listdir(tmp_path)) == ["a.zip", "out"]

    def test_what_a_killed_one_left_is_removed_after_a_day(self, tmp_path):
        archive = write_zip(tmp_path / "a.zip", CONTENTS)
        for name, age_seconds in ((".unpacking-old", 90_000), (".unpacking-new", 60)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "part.bin").touch()
            changed_at = time.time() - age_seconds
            os.utime(tmp_path / name, (changed_at, changed_at))
        extract(archive, tmp_path / "out")
        assert sorted(os.listdir(tmp_path)) == [".unpacking-new", "a.zip", "out"]

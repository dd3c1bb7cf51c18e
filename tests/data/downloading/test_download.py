from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from range_server import Answer, Server

from sora_keras.data.downloading import download as download_module
from sora_keras.data.downloading.archives import Archive, youtube8m_shards
from sora_keras.data.downloading.download import DOWNLOADS, download, download_file
from sora_keras.data.downloading.transfer import DownloadError
from sora_keras.data.downloading.unpacking import ArchiveError

CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_000, np.uint8).tobytes()
OTHER = np.random.default_rng(1).integers(0, 256, 3_000_000, np.uint8).tobytes()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server({"/file.bin": CONTENT})
    yield server
    server.close()


@pytest.fixture
def fetch(tmp_path) -> Callable[[Archive], Path]:
    return lambda archive: download_file(archive, tmp_path / "to", 5.0, 4, 0.01)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class TestDownloadFile:
    def test_whole_at_the_first_attempt(self, server, fetch, tmp_path):
        path = fetch(server.archive(size_bytes=len(CONTENT), checksum=sha256(CONTENT)))
        assert path.read_bytes() == CONTENT
        assert os.listdir(tmp_path / "to") == ["file.bin"]
        assert fetch(server.archive(checksum=sha256(CONTENT))) == path
        assert server.requests == [("/file.bin", "")]

    def test_cut_in_the_middle_three_times(self, server, fetch):
        server.etags["/file.bin"] = '"one"'
        server.answers = [Answer(cut_after=1_000_000), Answer(cut_after=500_000), Answer(cut_after=700_001)]
        assert fetch(server.archive()).read_bytes() == CONTENT
        assert [wanted for _, wanted in server.requests] == ["", "bytes=1000000-", "bytes=1500000-", "bytes=2200001-"]
        assert server.bytes_sent == len(CONTENT)

    def test_attempts_that_bring_nothing_end(self, server, fetch, tmp_path):
        server.etags["/file.bin"] = '"one"'
        server.answers = [Answer(cut_after=1_234_567), *[Answer(cut_after=0)] * 10]
        with pytest.raises(
            DownloadError, match=r"4 times in a row; the same command goes on after the 1,234,567 bytes"
        ):
            fetch(server.archive())
        assert len(server.answers) == 11 - 4
        assert sorted(os.listdir(tmp_path / "to")) == ["file.bin.partial", "file.bin.partial.json"]
        server.answers = []
        assert fetch(server.archive()).read_bytes() == CONTENT
        assert server.requests[-1] == ("/file.bin", "bytes=1234567-")

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_busy_then_fine(self, server, fetch, status):
        server.answers = [Answer(status), Answer(status)]
        assert fetch(server.archive()).read_bytes() == CONTENT
        assert len(server.requests) == 3

    def test_waits_as_long_as_it_is_told(self, server, fetch):
        server.answers = [Answer(503, headers={"Retry-After": "1"})]
        begin = time.monotonic()
        fetch(server.archive())
        assert time.monotonic() - begin >= 1.0

    def test_what_is_not_there_is_not_tried_again(self, server, fetch):
        with pytest.raises(DownloadError, match=r"/gone\.zip: the server answers 404 .*has the publisher moved it"):
            fetch(server.archive("gone.zip"))
        assert len(server.requests) == 1

    def test_nobody_listens(self, server, fetch):
        archive = server.archive()
        server.close()
        with pytest.raises(DownloadError, match=r"the connection failed .* 4 times in a row"):
            fetch(archive)

    def test_a_server_that_falls_silent(self, server, tmp_path):
        server.bytes_a_second = 1 << 14
        with pytest.raises(DownloadError, match=r"file\.bin: the connection was cut .*timed out.* 1 times in a row"):
            download_file(server.archive(), tmp_path, timeout_seconds=0.3, max_attempts=1)

    def test_wrong_checksum(self, server, fetch, tmp_path):
        archive = server.archive(checksum=sha256(OTHER), checksum_from="its author")
        expected, received = sha256(OTHER).removeprefix("sha256:"), sha256(CONTENT).removeprefix("sha256:")
        with pytest.raises(
            DownloadError, match=rf"sha256 of what came is {received}, expected {expected} .*its author"
        ):
            fetch(archive)
        assert len(server.requests) == 1
        assert "file.bin" not in os.listdir(tmp_path / "to")
        assert (tmp_path / "to" / "file.bin.partial").stat().st_size == 0

    def test_md5(self, server, fetch):
        assert fetch(server.archive(checksum=f"md5:{hashlib.md5(CONTENT).hexdigest()}")).read_bytes() == CONTENT
        with pytest.raises(
            DownloadError, match=r"the md5 of what came is .*, expected 00000000000000000000000000000000 "
        ):
            fetch(server.archive("file.bin", checksum=f"md5:{'0' * 32}"))

    def test_wrong_size_is_found_before_the_download(self, server, fetch, tmp_path):
        with pytest.raises(DownloadError, match=r"the server's file has 3,000,000 bytes, expected 2,999,999"):
            fetch(server.archive(size_bytes=2_999_999))
        assert (tmp_path / "to" / "file.bin.partial").stat().st_size == 0

    def test_a_server_without_ranges_starts_anew(self, server, fetch):
        server.has_ranges, server.etags["/file.bin"] = False, '"one"'
        server.answers = [Answer(cut_after=1_000_000)]
        assert fetch(server.archive()).read_bytes() == CONTENT
        assert [wanted for _, wanted in server.requests] == ["", "bytes=1000000-"]
        assert server.bytes_sent == 4_000_000

    def test_no_way_to_know_whether_it_is_still_the_same_file(self, server, fetch):
        server.answers = [Answer(cut_after=1_000_000)]
        assert fetch(server.archive()).read_bytes() == CONTENT
        assert [wanted for _, wanted in server.requests] == ["", ""]

    def test_a_checksum_makes_up_for_that(self, server, fetch):
        server.answers = [Answer(cut_after=1_000_000)]
        assert fetch(server.archive(checksum=sha256(CONTENT))).read_bytes() == CONTENT
        assert [wanted for _, wanted in server.requests] == ["", "bytes=1000000-"]

    def test_file_changes_between_attempts(self, server, fetch):
        server.etags["/file.bin"] = '"one"'
        server.answers = [Answer(cut_after=1_000_000), *[Answer(cut_after=0)] * 3]
        with pytest.raises(DownloadError):
            fetch(server.archive())
        server.files["/file.bin"], server.etags["/file.bin"] = OTHER, '"two"'
        assert fetch(server.archive()).read_bytes() == OTHER

    def test_file_changes_unnoticed_by_the_server(self, server, fetch):
        server.etags["/file.bin"] = '"always the same"'
        server.answers = [Answer(cut_after=1_000_000), *[Answer(cut_after=0)] * 3]
        with pytest.raises(DownloadError):
            fetch(server.archive(checksum=sha256(OTHER)))
        server.files["/file.bin"] = OTHER
        assert fetch(server.archive(checksum=sha256(OTHER))).read_bytes() == OTHER
        assert [wanted for _, wanted in server.requests[-2:]] == ["bytes=1000000-", ""]

    def test_weak_etags_are_not_trusted(self, server, fetch):
        server.etags["/file.bin"] = 'W/"one"'
        server.answers = [Answer(cut_after=1_000_000)]
        assert fetch(server.archive()).read_bytes() == CONTENT
        assert [wanted for _, wanted in server.requests] == ["", ""]

    def test_everything_was_there_but_the_name(self, server, fetch, tmp_path):
        server.etags["/file.bin"] = '"one"'
        server.answers = [Answer(cut_after=2_000_000), *[Answer(cut_after=0)] * 3]
        with pytest.raises(DownloadError):
            fetch(server.archive())
        note = tmp_path / "to" / "file.bin.partial.json"
        (tmp_path / "to" / "file.bin.partial").write_bytes(CONTENT)
        values = json.loads(note.read_text()) | {"size_bytes": len(CONTENT)}
        note.write_text(json.dumps(values | {"sha256": hashlib.sha256(CONTENT).hexdigest()}))
        sent = server.bytes_sent
        assert fetch(server.archive()).read_bytes() == CONTENT
        assert server.bytes_sent == sent

    def test_corrupt_partial_is_noticed(self, server, fetch, tmp_path, caplog):
        server.etags["/file.bin"] = '"one"'
        server.answers = [Answer(cut_after=2_000_000), *[Answer(cut_after=0)] * 3]
        with pytest.raises(DownloadError):
            fetch(server.archive())
        partial = tmp_path / "to" / "file.bin.partial"
        content = bytearray(partial.read_bytes())
        content[1_500_000] ^= 1
        partial.write_bytes(content)
        assert fetch(server.archive()).read_bytes() == CONTENT
        assert "file.bin.partial has changed since it was written: starting anew" in caplog.text

    def test_mirrors(self, server, fetch):
        server.files["/mirror/file.bin"] = CONTENT
        gone = f"{server.url}/gone/file.bin"
        archive = Archive(gone, mirrors=(f"{server.url}/mirror/file.bin",), has_no_https=True)
        assert fetch(archive).read_bytes() == CONTENT
        with pytest.raises(DownloadError, match=r"/gone/a: the server answers 404.*/gone/b: the server answers 404"):
            fetch(Archive(f"{server.url}/gone/a", mirrors=(f"{server.url}/gone/b",), has_no_https=True))

    def test_redirection(self, server, fetch):
        server.answers = [Answer(302, headers={"Location": "/file.bin"})]
        assert fetch(server.archive("moved.bin")).read_bytes() == CONTENT
        assert [path for path, _ in server.requests] == ["/moved.bin", "/file.bin"]

    def test_redirection_away_from_https_is_refused(self, server, fetch, monkeypatch):
        # The server has no certificate: what is offered as https:// is fetched over http:// and then led on.
        import requests

        get = requests.Session.get

        def pretend(session: requests.Session, url: str, **arguments: object) -> requests.Response:
            response = get(session, url.replace("https://", "http://"), **arguments)  # type: ignore[arg-type]
            response.history[0].url = url
            return response

        server.answers = [Answer(302, headers={"Location": "/file.bin"})]
        monkeypatch.setattr(requests.Session, "get", pretend)
        address = server.url.removeprefix("http://")
        with pytest.raises(DownloadError, match=rf"leads on to http://{address}/file\.bin, which is not https"):
            fetch(Archive(f"https://{address}/moved.bin"))

    def test_no_length(self, server, fetch):
        server.says_length = False
        with pytest.raises(DownloadError, match=r"the server does not say how large the file is, so a cut would go"):
            fetch(server.archive())
        assert fetch(server.archive(size_bytes=len(CONTENT))).read_bytes() == CONTENT

    def test_no_room(self, server, fetch, monkeypatch):
        usage = shutil.disk_usage("/")
        monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=2_345_678))
        with pytest.raises(DownloadError, match=r"3,000,000 bytes are to come, and 2,345,678 are free in .*/to: make"):
            fetch(server.archive())

    def test_checksum_that_nobody_publishes_is_kept_and_checked(self, server, fetch, tmp_path, caplog):
        path = fetch(server.archive())
        done = subprocess.run(["sha256sum", "-c", "file.bin.sha256"], cwd=path.parent, capture_output=True, text=True)
        assert done.stdout == "file.bin: OK\n"
        assert fetch(server.archive()) == path
        assert len(server.requests) == 1
        path.write_bytes(CONTENT[:-1])
        assert fetch(server.archive()).read_bytes() == CONTENT
        assert "file.bin is not what was downloaded: downloading it again" in caplog.text

    def test_damaged_file_with_a_known_checksum(self, server, fetch, tmp_path):
        (tmp_path / "to").mkdir()
        (tmp_path / "to" / "file.bin").write_bytes(OTHER)
        assert fetch(server.archive(checksum=sha256(CONTENT))).read_bytes() == CONTENT

    def test_two_at_once(self, server, tmp_path):
        server.bytes_a_second = 3_000_000
        first = threading.Thread(target=download_file, args=(server.archive(), tmp_path))
        first.start()
        while not server.bytes_sent:
            time.sleep(0.01)
        with pytest.raises(BlockingIOError, match=r"another process is downloading file\.bin to"):
            download_file(server.archive(), tmp_path)
        first.join()
        assert (tmp_path / "file.bin").read_bytes() == CONTENT


SCRIPT = """
import sys
from sora_keras.data.downloading.archives import Archive
from sora_keras.data.downloading.download import download_file
print("ready", flush=True)
download_file(Archive(sys.argv[1], has_no_https=True), sys.argv[2])
"""


class TestOtherProcess:
    def test_killed_in_the_middle(self, server, tmp_path):
        server.etags["/file.bin"], server.bytes_a_second = '"one"', 600_000
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, f"{server.url}/file.bin", str(tmp_path)])
        while server.bytes_sent < 1_600_000:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "file.bin").exists()
        server.bytes_a_second = None
        time.sleep(0.3)
        sent, known = server.bytes_sent, json.loads((tmp_path / "file.bin.partial.json").read_text())["size_bytes"]
        assert known > 400_000
        assert download_file(server.archive(), tmp_path).read_bytes() == CONTENT
        assert server.requests[-1] == ("/file.bin", f"bytes={known}-")
        assert server.bytes_sent - sent == len(CONTENT) - known

    def test_bar_on_a_terminal(self, server, tmp_path):
        server.bytes_a_second = 3_000_000
        terminal, end = pty.openpty()
        command = [sys.executable, "-c", SCRIPT, f"{server.url}/file.bin", str(tmp_path)]
        process = subprocess.Popen(command, stderr=end, stdout=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"})
        os.close(end)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal closes with the process
            while piece := os.read(terminal, 1 << 16):
                shown += piece
        os.close(terminal)
        assert process.wait() == 0
        assert b"file.bin" in shown
        assert b"/3.0 MB" in shown
        assert b"MB/s" in shown


def zip_of(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class TestDownload:
    @pytest.fixture
    def little(self, server, monkeypatch) -> Server:
        """A dataset of one archive and one file, and a partition of YouTube-8M, all on the server on loopback."""
        server.files["/walking.zip"] = zip_of({"person01_walking_d1_uncomp.avi": b"a video"})
        server.files["/00sequences.txt"] = b"person01_walking_d1 frames 1-75"
        archives = (server.archive("00sequences.txt"), server.archive("walking.zip", folder="walking"))
        monkeypatch.setattr(download_module, "ARCHIVES", {"little": archives})
        return server

    def test_unpacks(self, little, tmp_path):
        paths = download("little", tmp_path / "data")
        assert paths == [tmp_path / "data" / "00sequences.txt", tmp_path / "data" / "walking"]
        assert (tmp_path / "data" / "walking" / "person01_walking_d1_uncomp.avi").read_bytes() == b"a video"
        asked = len(little.requests)
        (tmp_path / "data" / "walking.zip").unlink()
        assert download("little", tmp_path / "data") == paths
        assert len(little.requests) == asked

    def test_a_truncated_archive(self, little, tmp_path):
        little.files["/walking.zip"] = little.files["/walking.zip"][:-30]
        with pytest.raises(ArchiveError, match=r"walking\.zip is neither a whole zip file nor a tar file: remove it"):
            download("little", tmp_path)
        assert not (tmp_path / "walking").exists()

    def test_no_such_dataset(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"no dataset 'ucf11' to download; there are kth, mnist, moving_mnist, ucf"
        ):
            download("ucf11", tmp_path)

    def test_names(self):
        assert DOWNLOADS == ("kth", "mnist", "moving_mnist", "ucf101", "ucsd_ped2", "youtube8m")

    def test_a_partition_of_youtube8m_must_be_named(self, tmp_path):
        with pytest.raises(ValueError, match=r"`partition` must be one of 2/frame/train, .*3/frame/test, received ''"):
            download("youtube8m", tmp_path)
        assert not list(tmp_path.iterdir())

    def test_youtube8m(self, server, tmp_path, monkeypatch):
        shards = {f"validate{letters}.tfrecord": letters.encode() * 1000 for letters in ("aa", "bA")}
        plan = {"files": {name: hashlib.md5(content).hexdigest() for name, content in shards.items()}}
        server.files["/plan.json"] = json.dumps(plan).encode()
        server.files |= {f"/3/frame/validate/{name}": content for name, content in shards.items()}
        monkeypatch.setattr(download_module, "youtube8m_plan", lambda partition: server.archive("plan.json"))

        def local(*arguments: object) -> list[Archive]:
            return [
                dataclasses.replace(shard, url=f"{server.url}/{shard.url.split('/', 3)[3]}", mirrors=())
                for shard in youtube8m_shards(*arguments)  # type: ignore[arg-type]
            ]

        monkeypatch.setattr(download_module, "youtube8m_shards", local)
        paths = download("youtube8m", tmp_path, partition="3/frame/validate")
        assert [path.name for path in paths] == ["validate0000.tfrecord", "validate0088.tfrecord"]
        assert [path.read_bytes() for path in paths] == [b"aa" * 1000, b"bA" * 1000]

from __future__ import annotations

import hashlib

import pytest

from sora_keras.data.downloading.archives import (
    ARCHIVES,
    YOUTUBE8M_PARTITIONS,
    Archive,
    youtube8m_plan,
    youtube8m_shards,
)


class TestArchive:
    def test_only_https_unless_there_is_none(self):
        with pytest.raises(ValueError, match=r"must begin with https://, received 'http://example\.org/a\.zip'"):
            Archive("http://example.org/a.zip")
        with pytest.raises(ValueError, match=r"received 'ftp://example\.org/b\.zip'"):
            Archive("https://example.org/a.zip", mirrors=("ftp://example.org/b.zip",), has_no_https=True)

    @pytest.mark.parametrize("checksum", ["abc", "sha256:12", f"md5:{'0' * 64}", f"sha256:{'G' * 64}", "crc:12"])
    def test_checksum_of_another_form(self, checksum):
        with pytest.raises(ValueError, match=rf"'sha256:' or 'md5:' .* received '{checksum}'"):
            Archive("https://example.org/a.zip", checksum=checksum)


class TestTables:
    def test_every_dataset_has_files_of_different_names(self):
        for archives in ARCHIVES.values():
            names = [archive.file_name for archive in archives]
            assert names
            assert len(set(names)) == len(names)

    def test_what_comes_without_https_has_a_checksum(self):
        for archive in sum(ARCHIVES.values(), ()):
            assert not archive.has_no_https or archive.checksum
            assert bool(archive.checksum) == bool(archive.checksum_from)

    @pytest.mark.real_data
    def test_checksum_of_a_real_file(self, real_data):
        content = (real_data / "mnist" / "t10k-labels-idx1-ubyte.gz").read_bytes()
        [archive] = [a for a in ARCHIVES["mnist"] if a.file_name == "t10k-labels-idx1-ubyte.gz"]
        assert (archive.size_bytes, archive.checksum) == (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")


PLAN = {"files": {f"train{letters}.tfrecord": letters.encode().hex() * 8 for letters in ("aa", "aA", "Aa", "99")}}


class TestYoutube8m:
    def test_partitions(self):
        for partition in YOUTUBE8M_PARTITIONS:
            plan = youtube8m_plan(partition)
            version, level, part = partition.split("/")
            assert plan.url == f"http://data.yt8m.org/{version}/download_plans/{level}_{part}.json"
        with pytest.raises(ValueError, match=r"`partition` must be one of .*3/frame/test, received '2/frame/all'"):
            youtube8m_plan("2/frame/all")

    def test_names_that_differ_in_case_alone_do_not_collide(self):
        shards = youtube8m_shards(PLAN, "2/frame/train")
        names = ["train0000.tfrecord", "train0026.tfrecord", "train1612.tfrecord", "train3843.tfrecord"]
        assert [shard.file_name for shard in shards] == names
        assert shards[1].url == "http://us.data.yt8m.org/2/frame/train/trainaA.tfrecord"
        assert shards[1].checksum == f"md5:{'6141' * 8}"

    def test_mirrors(self):
        shard = youtube8m_shards(PLAN, "2/frame/train", mirror="asia")[0]
        hosts = [url.split("/")[2] for url in (shard.url, *shard.mirrors)]
        assert hosts == ["asia.data.yt8m.org", "us.data.yt8m.org", "eu.data.yt8m.org"]
        with pytest.raises(ValueError, match=r"`mirror` must be one of us, eu, asia, received 'mars'"):
            youtube8m_shards(PLAN, "2/frame/train", mirror="mars")

    def test_shares_are_disjoint_and_complete(self):
        names = [
            shard.file_name
            for number in (1, 2, 3)
            for shard in youtube8m_shards(PLAN, "2/frame/train", share=(number, 3))
        ]
        assert sorted(names) == [shard.file_name for shard in youtube8m_shards(PLAN, "2/frame/train")]
        with pytest.raises(ValueError, match=r"the first from 1 to the second, received \(4, 3\)"):
            youtube8m_shards(PLAN, "2/frame/train", share=(4, 3))

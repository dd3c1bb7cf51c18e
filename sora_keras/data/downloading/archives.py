"""The name of a dataset in, the files its publisher offers out: where they are, how large, with which checksum."""

from __future__ import annotations

import dataclasses
import hashlib
import string
from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import urlsplit

YOUTUBE8M_MIRRORS = ("us", "eu", "asia")
YOUTUBE8M_PARTITIONS = (
    "2/frame/train", "2/frame/validate", "2/frame/test", "2/video/train", "2/video/validate", "2/video/test",
    "3/frame/validate", "3/frame/test",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Archive:
    """One file to download, and what becomes of it.

    Args:
        url: where its publisher offers it; `http://` only together with `has_no_https`.
        size_bytes: how large it is, where that is known.
        checksum: `"sha256:..."` or `"md5:..."` of it, where somebody publishes one.
        checksum_from: who publishes the checksum.
        mirrors: other places of the same file, tried in turn when the first one fails.
        file_name: its name on disk; by default that in the URL.
        folder: the folder that it is unpacked to; without one it stays as it is.
        member: the folder in the archive that becomes `folder`; by default all of it.
        has_no_https: whether the publisher does not offer it over HTTPS.

    Raises:
        ValueError: if a URL is neither `https://` nor allowed to be `http://`, or the checksum is of another form.

    Example:
        >>> Archive("https://example.org/videos.zip", folder="videos").file_name
        'videos.zip'
    """

    url: str
    size_bytes: int | None = None
    checksum: str | None = None
    checksum_from: str = ""
    mirrors: tuple[str, ...] = ()
    file_name: str = ""
    folder: str = ""
    member: str = ""
    has_no_https: bool = False

    def __post_init__(self) -> None:
        for url in (self.url, *self.mirrors):
            if urlsplit(url).scheme != "https" and not (self.has_no_https and urlsplit(url).scheme == "http"):
                raise ValueError(
                    f"An archive's URL must begin with https://, received {url!r}; `has_no_https=True` allows http://."
                )
        lengths = {"sha256": 64, "md5": 32}
        algorithm, _, digest = (self.checksum or "sha256:" + "0" * 64).partition(":")
        if len(digest) != lengths.get(algorithm) or set(digest) - set("0123456789abcdef"):
            raise ValueError(
                f"An archive's checksum must be 'sha256:' or 'md5:' and its lower-case hexadecimal digits, received "
                f"{self.checksum!r}."
            )
        object.__setattr__(self, "file_name", self.file_name or PurePosixPath(urlsplit(self.url).path).name)


def _mnist(name: str, size_bytes: int, sha256: str) -> Archive:
    return Archive(
        f"https://storage.googleapis.com/cvdf-datasets/mnist/{name}.gz", size_bytes, f"sha256:{sha256}",
        "TensorFlow Datasets", mirrors=(f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz",),
    )  # fmt: skip


_KTH = "https://www.csc.kth.se/cvap/actions"
_KTH_ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
_MNIST_IMAGES = (
    _mnist("train-images-idx3-ubyte", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    _mnist("t10k-images-idx3-ubyte", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
)
_MNIST_LABELS = (
    _mnist("train-labels-idx1-ubyte", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    _mnist("t10k-labels-idx1-ubyte", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)

ARCHIVES: Mapping[str, tuple[Archive, ...]] = {
    # Nobody is known to publish checksums of these; the first download's are kept beside them.
    "kth": (
        Archive(f"{_KTH}/00sequences.txt"),
        *(Archive(f"{_KTH}/{action}.zip", folder=action) for action in _KTH_ACTIONS),
    ),
    "mnist": (*_MNIST_IMAGES, *_MNIST_LABELS),
    "moving_mnist": (
        *_MNIST_IMAGES,
        Archive(
            "https://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy", 819_200_096,
            "sha256:c2a3e8d3939c001ab77bf543f130157424efa486bb4d0974d2cebb773b13f8b3", "TensorFlow Datasets",
        ),
    ),
    # The publisher's own UCF101.rar needs a program that Python lacks; the same videos as a zip file are Google's.
    "ucf101": (
        Archive(
            "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip", 113_943,
            "sha256:5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27", "TensorFlow Datasets",
            folder="ucfTrainTestlist", member="ucfTrainTestlist",
        ),
        Archive(
            "https://storage.googleapis.com/thumos14_files/UCF101_videos.zip", 6_960_400_115,
            "sha256:dabf56f573cd19c79e096563529fec8126a2a34e18e10c72eb621dd687532b0d", "TensorFlow Datasets",
            folder="UCF101", member="UCF101",
        ),
    ),
    "ucsd_ped2": (
        Archive(
            "http://www.svcl.ucsd.edu/projects/anomaly/UCSD_Anomaly_Dataset.tar.gz", None,
            "sha256:2329af326951f5097fdd114c50e853957d3e569493a49d22fc082a9fd791915b", "anomalib",
            folder="UCSDped2", member="UCSD_Anomaly_Dataset.v1p2/UCSDped2", has_no_https=True,
        ),
    ),
}  # fmt: skip


def youtube8m_plan(partition: str) -> Archive:
    """The publisher's list of the shards of one partition of YouTube-8M, a JSON file.

    Args:
        partition: one of `YOUTUBE8M_PARTITIONS`: version 2 is of 2018, version 3 has the segment labels of 2019.

    Returns:
        Where it is.

    Raises:
        ValueError: if there is no such partition.

    Example:
        >>> youtube8m_plan("3/frame/validate").url
        'http://data.yt8m.org/3/download_plans/frame_validate.json'
    """
    if partition not in YOUTUBE8M_PARTITIONS:
        raise ValueError(f"`partition` must be one of {', '.join(YOUTUBE8M_PARTITIONS)}, received {partition!r}.")
    version, level, part = partition.split("/")
    url = f"http://data.yt8m.org/{version}/download_plans/{level}_{part}.json"
    return Archive(url, file_name=f"{partition.replace('/', '_')}_download_plan.json", has_no_https=True)


def youtube8m_shards(
    plan: Mapping[str, Mapping[str, str]], partition: str, mirror: str = "us", share: tuple[int, int] = (1, 1)
) -> list[Archive]:
    """The shards of one partition of YouTube-8M, or an even share of them.

    Args:
        plan: the content of the file that `youtube8m_plan` names: an MD5 for each shard.
        partition: the partition that the plan is of.
        mirror: `"us"`, `"eu"` or `"asia"`; the other two are tried when it fails.
        share: `(1, 100)` is the first hundredth of the shards, as the publisher's own download program counts it.

    Returns:
        The shards, sorted. On disk the two letters of a shard's name are a number, so that names that differ only in
        case do not collide.

    Raises:
        ValueError: if there is no such mirror or share.

    Example:
        >>> [shard] = youtube8m_shards({"files": {"trainpj.tfrecord": "0" * 32}}, "2/frame/train")
        >>> shard.file_name
        'train0939.tfrecord'
    """
    if mirror not in YOUTUBE8M_MIRRORS:
        raise ValueError(f"`mirror` must be one of {', '.join(YOUTUBE8M_MIRRORS)}, received {mirror!r}.")
    number, of = share
    if not 1 <= number <= of:
        raise ValueError(f"`share` must be two numbers, the first from 1 to the second, received {share}.")
    alphabet = string.ascii_letters + string.digits
    archives = []
    for name, md5 in plan["files"].items():
        if int(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(), 16) % of != number - 1:
            continue
        stem, extension = name.split(".")
        index = alphabet.index(stem[-2]) * len(alphabet) + alphabet.index(stem[-1])
        urls = [f"http://{place}.data.yt8m.org/{partition}/{name}" for place in (mirror, *YOUTUBE8M_MIRRORS)]
        first, *others = dict.fromkeys(urls)
        archives.append(
            Archive(
                first,
                checksum=f"md5:{md5}",
                checksum_from="the publisher",
                mirrors=tuple(others),
                file_name=f"{stem[:-2]}{index:04d}.{extension}",
                has_no_https=True,
            )
        )
    return sorted(archives, key=lambda archive: archive.file_name)

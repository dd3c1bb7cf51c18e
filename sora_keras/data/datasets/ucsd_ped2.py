"""UCSD Ped2 as published, or as videos, in; rows of normal training clips and of test clips with anomalies out.

Data: a walkway from a fixed camera, 16 training clips with pedestrians alone and 12 test clips in which bicycles,
carts and skaters come by, 4,560 gray frames of 360x240, 10 a second. The archive, which also holds Ped1, has 707 MB.
Where: http://www.svcl.ucsd.edu/projects/anomaly/dataset.htm, or `sora-keras download ucsd_ped2`.
License: unknown; the publisher asks for a citation.
Citation: V. Mahadevan, W. Li, V. Bhalodia and N. Vasconcelos, "Anomaly Detection in Crowded Scenes", CVPR 2010.
"""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from sora_keras.atomic import appearing_when_whole
from sora_keras.data.manifest import Event, Row
from sora_keras.progress import show_progress

FRAMES_PER_SECOND = 10
NORMAL, ANOMALY = "normal", "anomaly"


def read_ucsd_ped2(directory: str | os.PathLike[str], videos_to: str | os.PathLike[str] | None = None) -> list[Row]:
    """Read UCSD Ped2.

    As published: `UCSDped2/Train/Train001/001.tif`, `UCSDped2/Test/Test001/001.tif` and `UCSDped2/Test/UCSDped2.m`; the
    folder may be `UCSDped2` itself or one above. A clip there is a folder of pictures, so at the first call each one is
    written to a video beside it (`Train001.mkv`, lossless H.264: every pixel is kept), and read from that from then on.

    As videos: `training/*.mp4`, `testing/*.mp4` and `anomalies.csv` with the columns `path`, `start_frame` (counted
    from 0) and `end_frame` (exclusive).

    `sora_keras.data.events.during_event(row, times)` gives a frame-level label for each time.

    Args:
        directory: the folder.
        videos_to: where the videos of published clips are written, if not beside them.

    Returns:
        The training clips, with the label `"normal"` and `split="train"`, then the test clips, without a label and with
        `split="test"`, each stretch of abnormal frames an event `"anomaly"`. As published, `attributes["masks"]` of a
        test clip is the folder of its pixel-level masks, if there is one.

    Raises:
        FileNotFoundError: if the folder holds neither form, or frames or labels are missing.
        ValueError: if labels cannot be read, or a picture cannot.

    Example:
        >>> rows = read_ucsd_ped2("datasets/ucsd_ped2")  # doctest: +SKIP
        >>> during_event(rows[-1], np.arange(180) / 10).sum()  # doctest: +SKIP
        93
    """
    directory = Path(directory)
    for root in (directory, directory / "UCSDped2", directory / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped2"):
        if (root / "Train").is_dir():
            return _read_published(root, videos_to)
    if (directory / "anomalies.csv").is_file():
        return _read_videos(directory)
    raise FileNotFoundError(
        f"{directory} holds neither UCSDped2/Train (as published) nor anomalies.csv (as videos): unpack "
        "UCSD_Anomaly_Dataset.tar.gz there."
    )


def _row(path: Path, split: str, intervals: list[tuple[int, int]], attributes: dict[str, str] | None = None) -> Row:
    events = tuple(
        Event(ANOMALY, start / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND) for start, end in sorted(intervals)
    )
    label = NORMAL if split == "train" else None
    return Row(str(path), label, events=events, split=split, attributes=attributes or {})


def _read_videos(directory: Path) -> list[Row]:
    intervals: dict[Path, list[tuple[int, int]]] = defaultdict(list)
    with open(directory / "anomalies.csv", newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            try:
                intervals[directory / line["path"]].append((int(line["start_frame"]), int(line["end_frame"])))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{directory / 'anomalies.csv'} must have the columns path, start_frame and end_frame with whole "
                    f"numbers in the last two, received {line}."
                ) from error
    test = sorted((directory / "testing").glob("*.mp4"))
    if test != sorted(intervals):
        raise FileNotFoundError(
            f"{directory / 'anomalies.csv'} names {len(intervals)} videos and {directory / 'testing'} has {len(test)}; "
            f"not in both: {sorted(str(path) for path in set(test) ^ set(intervals))[:3]}."
        )
    rows = [_row(path, "train", []) for path in sorted((directory / "training").glob("*.mp4"))]
    return rows + [_row(path, "test", intervals[path]) for path in test]


def _read_published(root: Path, videos_to: str | os.PathLike[str] | None) -> list[Row]:
    train, test = (
        sorted(path for path in (root / part).iterdir() if path.is_dir() and re.fullmatch(rf"{part}\d+", path.name))
        for part in ("Train", "Test")
    )
    intervals = _read_matlab(root / "Test" / "UCSDped2.m")
    if len(intervals) != len(test):
        raise ValueError(
            f"{root / 'Test' / 'UCSDped2.m'} labels {len(intervals)} clips and {root / 'Test'} has {len(test)}."
        )
    if videos_to is not None:
        Path(videos_to).mkdir(parents=True, exist_ok=True)
    clips = [*train, *test]
    videos = [Path(videos_to or clip.parent) / f"{clip.name}.mkv" for clip in clips]
    missing = [(clip, video) for clip, video in zip(clips, videos, strict=True) if not video.is_file()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(lambda pair: _write_lossless(*pair), missing)
        for _ in show_progress(done, "Writing lossless videos", len(missing)):
            pass
    rows = [_row(video, "train", []) for video in videos[: len(train)]]
    for clip, video, found in zip(test, videos[len(train) :], intervals, strict=True):
        masks = clip.with_name(f"{clip.name}_gt")
        rows.append(_row(video, "test", found, {"masks": str(masks)} if masks.is_dir() else {}))
    return rows


def _read_matlab(path: Path) -> list[list[tuple[int, int]]]:
    """First abnormal frame counted from 0 and the first one after it, of each stretch of each test clip.

    The file says `TestVideoFile{end+1}.gt_frame = [61:180];` for each clip, both ends counted from 1 and inclusive.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: without it nobody knows which frames are abnormal.")
    found = re.findall(r"gt_frame\s*=\s*\[([^\]]*)\]", path.read_text(encoding="utf-8", errors="replace"))
    intervals = []
    for ranges in found:
        pairs = re.findall(r"(\d+)\s*:\s*(\d+)", ranges)
        if not pairs or re.sub(r"\d+\s*:\s*\d+|[,\s]", "", ranges):
            raise ValueError(f"{path}: expected frames such as [1:52, 65:115], received [{ranges}].")
        intervals.append([(int(first) - 1, int(last)) for first, last in pairs])
    return intervals


def _write_lossless(clip: Path, video: Path) -> None:
    """Write a folder of pictures to a video of the same pixels, which appears when it is whole."""
    with appearing_when_whole(video) as unfinished, av.open(str(unfinished), "w") as container:
        # Read in a third of the time that FFV1 takes, from two thirds of its bytes; a keyframe a second for seeking.
        options = {"qp": "0", "preset": "ultrafast", "g": str(FRAMES_PER_SECOND)}
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.pix_fmt = "gray"
        stream.codec_context.color_range = ColorRange.JPEG  # 0 is black: other ranges cost the lossless levels
        stream.codec_context.thread_count = 1
        for index, picture in enumerate(_pictures(clip)):
            if index == 0:
                stream.height, stream.width = picture.shape
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "gray")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _pictures(clip: Path) -> Iterator[np.ndarray]:
    """The pictures `001.tif` and so on of a folder, `uint8 (H, W)`."""
    paths = sorted(path for path in clip.glob("*.tif") if path.stem.isdigit())
    if not paths or [int(path.stem) for path in paths] != list(range(1, len(paths) + 1)):
        raise FileNotFoundError(f"{clip} must hold 001.tif and so on without a gap, it has {len(paths)} pictures.")
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise ValueError(f"{path} cannot be read as a picture: unpack the archive again.")
        yield picture

"""UCF101 as published in, rows with one of its three official splits out.

Data: 13,320 clips of 101 human actions, 27 hours, 320x240, 25 frames a second, about 6.5 GB.
Where: https://www.crcv.ucf.edu/data/UCF101.php; `sora-keras download ucf101` fetches the lists from there and the
videos from Google's copy, because the publisher's `UCF101.rar` needs a program such as `unrar` to unpack.
License: unknown; the clips are YouTube users'.
Citation: K. Soomro, A. R. Zamir and M. Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild",
CRCV-TR-12-01, 2012, https://arxiv.org/abs/1212.0402.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from sora_keras.data.manifest import Row

LISTS = "ucfTrainTestlist"
FOLDS = (1, 2, 3)
_NAME = re.compile(r"v_.+_(g\d\d)_(c\d\d)\.avi")


def read_ucf101(
    directory: str | os.PathLike[str], fold: int = 1, class_names: Sequence[str] | None = None
) -> list[Row]:
    """Read UCF101.

    The folder holds `ucfTrainTestlist/` with the published lists, and the videos as `UCF-101/CLASS/v_CLASS_gNN_cNN.avi`
    (as `UCF101.rar` unpacks), in class folders directly, or flat in `UCF101/` (as the zip file unpacks).

    A group is a class's `gNN`: clips cut from the same source. Groups are numbered anew in each class, so `g01` of two
    classes are two groups.

    Args:
        directory: the folder.
        fold: which of the three official splits, 1 to 3. Results are usually the mean over all three.
        class_names: the classes to read; by default all of `classInd.txt`.

    Returns:
        The rows of the fold's training list, then those of its test list, in the lists' order, with `label`, `group`,
        `split` (`"train"` or `"test"`) and the attribute `clip` (`c01`, ...).

    Raises:
        ValueError: if `fold` is out of range, a class is unknown, or a line of a list cannot be read.
        FileNotFoundError: if a list or a video is missing.

    Example:
        >>> parts = official_split(read_ucf101("datasets/ucf101", fold=1))  # doctest: +SKIP
    """
    directory = Path(directory)
    if fold not in FOLDS:
        raise ValueError(f"`fold` must be one of {FOLDS}, received {fold!r}.")
    numbers = _class_numbers(directory / LISTS / "classInd.txt")
    wanted = list(numbers) if class_names is None else list(class_names)
    if unknown := sorted(set(wanted) - set(numbers)):
        raise ValueError(f"UCF101 has no classes {unknown}; expected some of {', '.join(sorted(numbers))}.")
    rows = [
        row
        for split in ("train", "test")
        for row in _rows(directory, directory / LISTS / f"{split}list{fold:02d}.txt", split, numbers)
        if row.label in wanted
    ]
    missing = [row.path for row in rows if not os.path.isfile(row.path)]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(rows)} videos are missing, such as {missing[0]}: unpack all of them, or "
            "choose classes with `class_names`."
        )
    return rows


def _class_numbers(path: Path) -> dict[str, int]:
    """Names of the classes, with their numbers from 1."""
    numbers = {}
    for line_number, line in _lines(path):
        number, _, name = line.partition(" ")
        if not number.isdigit() or not name:
            raise ValueError(f"{path}, line {line_number}: expected a number and a class, received {line!r}.")
        numbers[name] = int(number)
    return numbers


def _rows(directory: Path, path: Path, split: str, numbers: dict[str, int]) -> Iterator[Row]:
    place = _place_of_videos(directory)
    for line_number, line in _lines(path):
        name, _, number = line.partition(" ")
        class_name, _, file_name = name.partition("/")
        parts = _NAME.fullmatch(file_name)
        if class_name not in numbers or parts is None:
            raise ValueError(
                f"{path}, line {line_number}: expected CLASS/v_CLASS_gNN_cNN.avi of a class in classInd.txt, received "
                f"{line!r}."
            )
        if number and number != str(numbers[class_name]):
            raise ValueError(
                f"{path}, line {line_number}: {class_name} is class {numbers[class_name]} in classInd.txt, received "
                f"{number}."
            )
        video = str(place / (file_name if place.name == "UCF101" else PurePosixPath(class_name, file_name)))
        yield Row(video, class_name, f"{class_name}_{parts[1]}", split=split, attributes={"clip": parts[2]})


def _place_of_videos(directory: Path) -> Path:
    places = (directory / "UCF-101", directory / "UCF101")
    return next((place for place in places if place.is_dir()), directory)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and content of each line that is not empty."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: unpack UCF101TrainTestSplits-RecognitionTask.zip into {path.parents[1]}."
        )
    with open(path, encoding="utf-8") as file:
        for line_number, line in enumerate(file, 1):
            if line.strip():
                yield line_number, line.strip()

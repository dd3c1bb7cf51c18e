"""A folder of videos, one sub-folder a class, to rows."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sora_keras.data.manifest import Row, read_manifest

VIDEO_EXTENSIONS = (
    ".264", ".3gp", ".avi", ".flv", ".gif", ".h264", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip


def rows_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[str] | None = "inferred",
    class_names: Sequence[str] | None = None,
    groups: str | Callable[[str], str] | None = None,
    follow_links: bool = False,
) -> list[Row]:
    """List the videos under a folder, sorted by path.

    Args:
        directory: the folder.
        labels: `"inferred"` takes the name of each sub-folder as a class, a sequence gives a label for each file in
            sorted order, `None` leaves them without.
        class_names: the sub-folders to read; by default all that hold videos.
        groups: a function from a file's path to its group, or the name of a column in a CSV file of the folder that
            has a `path` column; by default the column `group`, if a CSV file there has one, else each video is a group
            of its own.
        follow_links: whether links may lead out of the folder.

    Returns:
        A row for each video file.

    Raises:
        NotADirectoryError: if the folder is none.
        ValueError: if it holds no videos, a wanted class holds none, a video lies beside the classes' sub-folders, one
            is missing from the CSV, or a link leads out of the folder.

    Example:
        >>> rows_from_directory("fights", groups="group")
        [Row(path='fights/fight/fi001.mp4', label='fight', group='source00'), ...]
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise NotADirectoryError(f"{directory} is not a folder; name the folder that holds one sub-folder a class.")
    if isinstance(labels, str) and labels != "inferred":
        raise ValueError(f'`labels` must be "inferred", a sequence or None, received {labels!r}.')
    files = _list_videos(directory, class_names if isinstance(labels, str) else None, follow_links)
    if isinstance(labels, str):
        if class_names is None:
            _warn_of_empty_classes(directory, files)
        names = [_class_of(file, directory) for file in files]
    elif labels is not None and len(labels) != len(files):
        raise ValueError(f"`labels` must hold one label for each of the {len(files)} videos, received {len(labels)}.")
    else:
        names = [None] * len(files) if labels is None else [str(label) for label in labels]  # type: ignore[list-item]
    group_of = _group_function(directory, groups or _find_group_column(directory))
    return [Row(str(file), name, group_of(str(file))) for file, name in zip(files, names, strict=True)]


def rows_from(source: str | os.PathLike[str], groups: str | None = None) -> list[Row]:
    """List the videos of a folder with one sub-folder a class, or of a CSV manifest.

    Args:
        source: the folder or the CSV file.
        groups: the column that names the groups; by default `group`, where there is one.

    Returns:
        A row for each video.

    Raises:
        NotADirectoryError: if there is neither.
        ValueError: as `rows_from_directory` and `read_manifest` do.

    Example:
        >>> rows = rows_from("fights/clips.csv")
    """
    if Path(source).is_file() and Path(source).suffix.lower() == ".csv":
        return read_manifest(source, group=groups or "group")
    return rows_from_directory(source, groups=groups)


def _list_videos(directory: Path, class_names: Sequence[str] | None, follow_links: bool) -> list[Path]:
    files = sorted(
        path
        for path in _visible_files(directory, follow_links)
        if path.suffix.lower() in VIDEO_EXTENSIONS and path.is_file()
    )
    if class_names is not None:
        found = {file.relative_to(directory).parts[0] for file in files}
        if missing := [name for name in class_names if name not in found]:
            raise ValueError(f"{directory} has no videos in sub-folders {missing}; it has {sorted(found)}.")
        files = [file for file in files if file.relative_to(directory).parts[0] in class_names]
    if not files:
        raise ValueError(
            f"{directory} holds no videos; expected one sub-folder a class with files in it that end in "
            f"{', '.join(VIDEO_EXTENSIONS)}."
        )
    return files


def _visible_files(directory: Path, follow_links: bool) -> Iterator[Path]:
    """Every file at any depth; each folder is entered once, however many links lead to it."""
    root, entered = directory.resolve(), set()
    for folder, sub_folders, names in os.walk(directory, followlinks=True):
        sub_folders[:] = sorted(name for name in sub_folders if not name.startswith("."))
        paths = [Path(folder, name) for name in names if not name.startswith(".")]
        for path in [*(Path(folder, name) for name in sub_folders), *paths]:
            if path.is_symlink() and not follow_links and not path.resolve().is_relative_to(root):
                raise ValueError(
                    f"{path} is a link to {path.resolve()}, which lies outside of {directory}: copy the videos, or "
                    "pass `follow_links=True`."
                )
        if (real := Path(folder).resolve()) in entered:
            sub_folders.clear()
        else:
            entered.add(real)
            yield from paths


def _warn_of_empty_classes(directory: Path, files: Sequence[Path]) -> None:
    found = {file.relative_to(directory).parts[0] for file in files}
    for folder in sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if folder.name not in found:
            logging.getLogger(__name__).warning("%s holds no videos and makes no class", folder)


def _class_of(file: Path, directory: Path) -> str:
    parts = file.relative_to(directory).parts
    if len(parts) == 1:
        raise ValueError(f"{file} lies in no class's sub-folder: move it into one, or out of {directory}.")
    return parts[0]


def _find_group_column(directory: Path) -> str | None:
    return "group" if any("group" in _columns(path) for path in _manifests(directory)) else None


def _group_function(directory: Path, groups: str | Callable[[str], str] | None) -> Callable[[str], str]:
    if groups is None:
        return lambda path: path
    if callable(groups):
        return lambda path: str(groups(path))
    manifests = [path for path in _manifests(directory) if groups in _columns(path)]
    if len(manifests) != 1:
        raise ValueError(
            f"`groups={groups!r}` names a column, so exactly one CSV file in {directory} must have the columns path "
            f"and {groups}; found {[path.name for path in manifests]}."
        )
    with open(manifests[0], newline="", encoding="utf-8-sig") as file:
        group_of = {str(directory / line["path"]): line[groups] for line in csv.DictReader(file)}

    def look_up(path: str) -> str:
        if path not in group_of:
            raise ValueError(
                f"{path} has no line in {manifests[0]}, so its group is unknown: add it, or give a function as "
                "`groups`."
            )
        return group_of[path]

    return look_up


def _manifests(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*.csv") if "path" in _columns(path))


def _columns(path: Path) -> list[str]:
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        return next(csv.reader(file), [])

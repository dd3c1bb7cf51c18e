"""What a dataset is: a row for each video, with its label and the group that must not cross a split."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

VIDEO_EXTENSIONS = (
    ".264", ".3gp", ".avi", ".flv", ".gif", ".h264", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip
ATTEMPTS_PER_SHARE = 10


@dataclasses.dataclass(frozen=True)
class Row:
    """One video of a dataset.

    Args:
        path: the video file.
        label: name of its class, `None` where it is not labeled.
        group: what it shares with others so that they may not stand on both sides of a split (a person, a source
            video, a camera); by default the video itself.
    """

    path: str
    label: str | None = None
    group: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", self.group or self.path)


def rows_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[str] | None = "inferred",
    class_names: Sequence[str] | None = None,
    groups: str | Callable[[str], str] | None = None,
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

    Returns:
        A row for each video file.

    Raises:
        NotADirectoryError: if the folder is none.
        ValueError: if it holds no videos, a wanted class holds none, a video lies beside the classes' sub-folders, or
            one is missing from the CSV.

    Example:
        >>> rows_from_directory("fights", groups="group")
        [Row(path='fights/fight/fi001.mp4', label='fight', group='source00'), ...]
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise NotADirectoryError(f"{directory} is not a folder; name the folder that holds one sub-folder a class.")
    if isinstance(labels, str) and labels != "inferred":
        raise ValueError(f'`labels` must be "inferred", a sequence or None, received {labels!r}.')
    files = _list_videos(directory, class_names if isinstance(labels, str) else None)
    if isinstance(labels, str):
        names = [_class_of(file, directory) for file in files]
    elif labels is not None and len(labels) != len(files):
        raise ValueError(f"`labels` must hold one label for each of the {len(files)} videos, received {len(labels)}.")
    else:
        names = [None] * len(files) if labels is None else [str(label) for label in labels]  # type: ignore[list-item]
    group_of = _group_function(directory, groups or _find_group_column(directory))
    return [Row(str(file), name, group_of(str(file))) for file, name in zip(files, names, strict=True)]


def read_manifest(path: str | os.PathLike[str]) -> list[Row]:
    """Read a CSV file with a header and the columns path, label (optional) and group (optional).

    Args:
        path: the CSV file; paths in it are relative to its folder.

    Returns:
        A row for each line, in order.

    Raises:
        ValueError: if there is no path column, or no line.

    Example:
        >>> rows = read_manifest("fights/clips.csv")
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        lines = list(reader)
    if "path" not in columns or not lines:
        raise ValueError(
            f"{path} must have a header with a column named path and at least one line below it, received columns "
            f"{columns} and {len(lines)} lines."
        )
    folder = Path(path).parent
    return [Row(str(folder / line["path"]), line.get("label") or None, line.get("group") or "") for line in lines]


def class_names_of(rows: Sequence[Row]) -> list[str]:
    """The names of the classes in the rows, sorted."""
    return sorted({row.label for row in rows if row.label is not None})


def check_classes(directory: str | os.PathLike[str], class_names: Sequence[str]) -> None:
    """Raise a `ValueError` that names the folder if it has fewer than two classes."""
    if len(class_names) < 2:
        raise ValueError(
            f"{os.fspath(directory)} has videos of one class only, {list(class_names)}; a classifier needs at least "
            "two: put each class's videos into a sub-folder of its own."
        )


def split_rows(rows: Sequence[Row], validation_split: float, seed: int = 0) -> tuple[list[Row], list[Row]]:
    """Split into training and validation rows: no group on both sides, classes in equal shares on both.

    Args:
        rows: what to split.
        validation_split: share of the rows to validate on, between 0 and 1, in steps of at best a twentieth; met to
            within the size of a group, or missed by as little as it takes to have every class on both sides.
        seed: the same seed makes the same split.

    Returns:
        Training rows and validation rows, each in the order of `rows`.

    Raises:
        ValueError: if the share is out of range, or a class has too few groups to stand on both sides.

    Example:
        >>> train, validation = split_rows(rows, validation_split=0.2, seed=0)
    """
    if not 0 < validation_split < 1:
        raise ValueError(f"`validation_split` must lie between 0 and 1, received {validation_split!r}.")
    share = Fraction(validation_split).limit_denominator(20)
    if share in (0, 1):
        share = Fraction(1 if share == 0 else 19, 20)
    check_groups_per_class(rows, 2)
    rows_of_largest_class, num_groups = max(Counter(row.label for row in rows).values()), len({r.group for r in rows})
    most_folds = min(share.denominator, rows_of_largest_class, num_groups)
    for num_folds, attempt in itertools.product(range(most_folds, 1, -1), range(ATTEMPTS_PER_SHARE)):
        folds = list(_fold_indices(rows, num_folds, seed + attempt))
        num_chosen = min(max(1, round(share * num_folds)), num_folds - 1)
        chosen = {index for fold in folds[:num_chosen] for index in fold}
        validation = [row for index, row in enumerate(rows) if index in chosen]
        train = [row for index, row in enumerate(rows) if index not in chosen]
        if class_names_of(train) == class_names_of(validation) == class_names_of(rows) and train and validation:
            return train, validation
    raise ValueError(
        f"No split was found that has every class on both sides with about {validation_split:g} of the rows to "
        f"validate on; groups in each class: {_groups_per_class(rows)}. Add groups, or leave classes of few groups out."
    )


def k_fold(rows: Sequence[Row], num_folds: int, seed: int = 0) -> Iterator[tuple[list[Row], list[Row]]]:
    """Stratified cross-validation that keeps groups whole: each row is in exactly one validation part.

    Args:
        rows: what to split.
        num_folds: how many parts.
        seed: the same seed makes the same folds.

    Yields:
        Training rows and validation rows of each fold.

    Raises:
        ValueError: if there are fewer than two folds, or a class has fewer groups than there are folds.

    Example:
        >>> for train, validation in k_fold(read_manifest("fights/clips.csv"), num_folds=5): ...
    """
    if num_folds < 2:
        raise ValueError(f"`num_folds` must be at least 2, received {num_folds!r}.")
    check_groups_per_class(rows, num_folds)
    for fold in _fold_indices(rows, num_folds, seed):
        chosen = set(fold)
        yield (
            [row for index, row in enumerate(rows) if index not in chosen],
            [row for index, row in enumerate(rows) if index in chosen],
        )


def _fold_indices(rows: Sequence[Row], num_folds: int, seed: int) -> Iterator[list[int]]:
    """Indices of the rows in each fold."""
    import warnings

    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    labels, (names, groups) = [row.label or "" for row in rows], np.unique([r.group for r in rows], return_inverse=True)
    # Groups get random numbers, by which ties are broken: scikit-learn's own shuffling does next to nothing before 1.8.
    groups = np.random.default_rng(seed).permutation(len(names))[groups]
    with warnings.catch_warnings():
        # A class with fewer rows than folds is fine here: what matters, both sides having it, is checked afterwards.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        folds = StratifiedGroupKFold(num_folds).split(labels, labels, groups)
        yield from (list(validation) for _, validation in folds)


def _groups_per_class(rows: Sequence[Row]) -> dict[str, int]:
    pairs = {(str(row.label), row.group) for row in rows}
    return dict(Counter(label for label, _ in sorted(pairs)))


def check_groups_per_class(rows: Sequence[Row], least: int) -> None:
    """Raise a `ValueError` that names the first class with fewer groups than `least`."""
    for label, count in sorted(_groups_per_class(rows).items()):
        if count < least:
            example = next(row.path for row in rows if str(row.label) == label)
            raise ValueError(
                f"Class {label!r} has videos of {count} group{'s' * (count != 1)} (such as {example}), and splitting "
                f"needs at least {least} groups a class (a video is a group unless groups are named): add videos, "
                "leave the class out, or use fewer folds."
            )


def _list_videos(directory: Path, class_names: Sequence[str] | None) -> list[Path]:
    files = sorted(path for path in directory.rglob("*") if path.suffix.lower() in VIDEO_EXTENSIONS and path.is_file())
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(directory).parts)]
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

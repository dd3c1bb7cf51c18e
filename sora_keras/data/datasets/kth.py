"""KTH human actions as published in, rows with persons, scenarios, intervals and the official split out.

Data: 599 videos of six actions by 25 persons in four scenarios (d1 outdoors, d2 outdoors with changes of scale, d3
outdoors in other clothes, d4 indoors), 2,391 sequences in them, 160x120 gray, 25 frames a second, about 1.1 GB.
Where: https://www.csc.kth.se/cvap/actions/, or `sora-keras download kth`.
License: free for non-commercial use, with a citation.
Citation: C. Schuldt, I. Laptev and B. Caputo, "Recognizing Human Actions: A Local SVM Approach", ICPR 2004.

As published, person13_handclapping_d3 does not exist, some intervals overlap or are out of order, five videos have
three in place of four, and person01_boxing_d4 is said to break off in its last one. All of that is kept as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from sora_keras.data.downloading.unpacking import extract
from sora_keras.data.manifest import Event, Row

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
FRAMES_PER_SECOND = 25.0
PERSONS = {
    "train": (11, 12, 13, 14, 15, 16, 17, 18),
    "validation": (19, 20, 21, 23, 24, 25, 1, 4),
    "test": (22, 2, 3, 5, 6, 7, 8, 9, 10),
}
_SPLIT_OF = {f"person{number:02d}": split for split, numbers in PERSONS.items() for number in numbers}
_MISSING = "person13_handclapping_d3"
_LINE = re.compile(r"(person\d\d)_([a-z]+)_(d[1-4])\s+frames(?:\s+(.*))?")


def read_kth(directory: str | os.PathLike[str], class_names: Sequence[str] | None = None) -> list[Row]:
    """Read KTH: one row a video, with the intervals in which the action is seen as its events.

    The folder holds `00sequences.txt` and, for each action, a folder of its name with the videos
    `personNN_ACTION_dN_uncomp.avi`, or the published zip file (`walking.zip`), which is then unpacked to such a folder;
    the videos may also lie beside each other in the folder itself.

    `rows_of_events(rows)` gives one row for each of the 2,391 sequences, as most results on KTH count them, and
    `relabeled(rows, "person")` asks who in place of what.

    Args:
        directory: the folder.
        class_names: the actions to read; by default all six.

    Returns:
        The rows, sorted by person, action and scenario, with `label` (the action), `group` (the person), `split`
        (persons 11-18 train, 19-21, 23-25, 1 and 4 validate, the other nine test), the attributes `person` and
        `scenario` (`d1` to `d4`), and `events`.

    Raises:
        ValueError: if there is no such action, a line of `00sequences.txt` cannot be read, or a video has no line.
        FileNotFoundError: if a file is missing.
        ArchiveError: if a zip file is damaged.

    Example:
        >>> rows = read_kth("datasets/kth")  # doctest: +SKIP
        >>> train = official_split(rows_of_events(rows))["train"]  # doctest: +SKIP
    """
    directory = Path(directory)
    actions = ACTIONS if class_names is None else tuple(class_names)
    if unknown := sorted(set(actions) - set(ACTIONS)):
        raise ValueError(f"KTH has no actions {unknown}; expected some of {', '.join(ACTIONS)}.")
    intervals = _read_intervals(directory / "00sequences.txt")
    place_of = {action: _place_of_videos(directory, action) for action in actions}
    rows = [
        Row(
            str(place_of[action] / f"{name}_uncomp.avi"),
            action,
            person,
            events=tuple(
                Event(action, (first - 1) / FRAMES_PER_SECOND, last / FRAMES_PER_SECOND) for first, last in found
            ),
            split=_SPLIT_OF[person],
            attributes={"person": person, "scenario": scenario},
        )
        for (person, action, scenario), found in sorted(intervals.items())
        if action in actions and (name := f"{person}_{action}_{scenario}") != _MISSING
    ]
    _check_files({row.path for row in rows}, place_of)
    return rows


def _check_files(listed: set[str], place_of: dict[str, Path]) -> None:
    """Raise if a listed video is not there, or a video that is there is not listed."""
    there = {str(path) for action, place in place_of.items() for path in place.glob(f"person??_{action}_d?_uncomp.avi")}
    if missing := sorted(listed - there):
        raise FileNotFoundError(
            f"{len(missing)} of the {len(listed)} videos are missing, such as {missing[0]}: download the zip files of "
            "all actions, or choose actions with `class_names`."
        )
    if unlisted := sorted(there - listed):
        raise ValueError(
            f"00sequences.txt lists {len(listed)} videos and lacks {len(unlisted)} that are there, such as "
            f"{unlisted[0]}: is it whole?"
        )


def _place_of_videos(directory: Path, action: str) -> Path:
    """The folder that holds an action's videos, unpacked if need be."""
    folder = directory / action
    if folder.is_dir():
        return folder
    if (directory / f"{action}.zip").is_file():
        return extract(directory / f"{action}.zip", folder)
    return directory


def _read_intervals(path: Path) -> dict[tuple[str, str, str], list[tuple[int, int]]]:
    """First and last frame, counted from 1, of each interval, by person, action and scenario."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: get it from https://www.csc.kth.se/cvap/actions/00sequences.txt")
    intervals: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for line_number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.startswith("person"):
            continue  # what introduces the list, and empty lines
        parts = _LINE.fullmatch(line.strip())
        if parts is None or parts[1] not in _SPLIT_OF or parts[2] not in ACTIONS:
            if line.startswith(_MISSING):
                continue  # some copies say there that it is missing
            raise ValueError(
                f"{path}, line {line_number}: expected personNN_ACTION_dN and frames 1-95, 96-185, received {line!r}."
            )
        frames = parts[4] or ""
        found = [(int(first), int(last)) for first, last in re.findall(r"(\d+)-(\d+)", frames)]
        if re.sub(r"\d+-\d+|[,\s]", "", frames) or any(not 1 <= first <= last for first, last in found):
            raise ValueError(f"{path}, line {line_number}: expected frames such as 1-95, 96-185, received {frames!r}.")
        intervals[parts[1], parts[2], parts[3]] = found
    return intervals

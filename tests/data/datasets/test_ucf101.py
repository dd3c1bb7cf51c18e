from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sora_keras.data import official_split
from sora_keras.data.datasets.ucf101 import read_ucf101
from sora_keras.video import ClipSpec, read_clip

CLASSES = ("ApplyEyeMakeup", "BaseballPitch", "Basketball", "HandstandPushups")
CLASS_LIST = "".join(f"{number} {name}\r\n" for number, name in enumerate(CLASSES, 1))


def write_lists(
    directory: Path, train: dict[int, list[str]], test: dict[int, list[str]], classes: str = CLASS_LIST
) -> None:
    """The seven files as published: Windows line ends, numbers of the classes in the training lists alone."""
    folder = directory / "ucfTrainTestlist"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classInd.txt").write_bytes(classes.encode())
    for fold in (1, 2, 3):
        numbered = [f"{name} {CLASSES.index(name.split('/')[0]) + 1}" for name in train.get(fold, [])]
        (folder / f"trainlist{fold:02d}.txt").write_bytes("\r\n".join([*numbered, ""]).encode())
        (folder / f"testlist{fold:02d}.txt").write_bytes("\r\n".join([*test.get(fold, []), ""]).encode())


def touch(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()


NAMES = [
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02.avi",
    "Basketball/v_Basketball_g08_c01.avi",
    "HandstandPushups/v_HandStandPushups_g09_c01.avi",
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
    "Basketball/v_Basketball_g02_c03.avi",
]


@pytest.fixture
def published(tmp_path) -> Path:
    write_lists(tmp_path, {1: NAMES[:4], 2: NAMES[3:]}, {1: NAMES[4:], 2: NAMES[:3]})
    touch(tmp_path / "UCF-101", *NAMES)
    return tmp_path


class TestReadUcf101:
    def test_lists_labels_groups_and_split(self, published):
        rows = read_ucf101(published)
        assert [row.path for row in rows] == [str(published / "UCF-101" / name) for name in NAMES]
        assert [row.label for row in rows] == [name.split("/")[0] for name in NAMES]
        assert [row.split for row in rows] == ["train"] * 4 + ["test"] * 2
        assert [row.group for row in rows][:4] == [
            "ApplyEyeMakeup_g08", "ApplyEyeMakeup_g08", "Basketball_g08", "HandstandPushups_g09",
        ]  # fmt: skip
        assert [row.attributes["clip"] for row in rows] == ["c01", "c02", "c01", "c01", "c01", "c03"]

    def test_folds_differ(self, published):
        parts = official_split(read_ucf101(published, fold=2))
        assert [Path(row.path).name for row in parts["train"]] == [name.split("/")[1] for name in NAMES[3:]]
        assert [Path(row.path).name for row in parts["test"]] == [name.split("/")[1] for name in NAMES[:3]]
        with pytest.raises(ValueError, match=r"`fold` must be one of \(1, 2, 3\), received 4"):
            read_ucf101(published, fold=4)

    def test_class_folders_directly_and_flat(self, published):
        for name in NAMES:
            (published / name).parent.mkdir(exist_ok=True)
            (published / "UCF-101" / name).rename(published / name)
        shutil.rmtree(published / "UCF-101")
        assert [row.path for row in read_ucf101(published)] == [str(published / name) for name in NAMES]
        (published / "UCF101").mkdir()
        for name in NAMES:
            (published / name).rename(published / "UCF101" / Path(name).name)
        rows = read_ucf101(str(published))
        assert [row.path for row in rows] == [str(published / "UCF101" / Path(name).name) for name in NAMES]

    def test_some_classes(self, published):
        rows = read_ucf101(published, class_names=["Basketball", "HandstandPushups"])
        assert [row.label for row in rows] == ["Basketball", "HandstandPushups", "Basketball"]
        with pytest.raises(
            ValueError, match=r"no classes \['Baseball'\]; expected some of ApplyEyeMakeup, BaseballPitch"
        ):
            read_ucf101(published, class_names=["Baseball"])

    def test_missing_videos(self, published):
        for name in NAMES[1:4]:
            (published / "UCF-101" / name).unlink()
        with pytest.raises(
            FileNotFoundError, match=rf"3 of the 6 videos are missing, such as .*{NAMES[1]}: unpack all"
        ):
            read_ucf101(published)
        assert len(read_ucf101(published, class_names=["BaseballPitch"])) == 0

    def test_missing_lists(self, published):
        (published / "ucfTrainTestlist" / "testlist03.txt").unlink()
        with pytest.raises(
            FileNotFoundError, match=r"testlist03\.txt is missing: unpack UCF101TrainTestSplits.*zip into"
        ):
            read_ucf101(published, fold=3)
        assert read_ucf101(published, fold=2)

    @pytest.mark.parametrize(
        ("list_name", "line", "message"),
        [
            (
                "trainlist01",
                "Surfing/v_Surfing_g01_c01.avi 5",
                r"line 2: expected CLASS/v_CLASS.*received 'Surfing/v_Surf",
            ),
            (
                "testlist01",
                "Basketball/Basketball_01.avi",
                r"line 2: expected CLASS/v_CLASS.*received 'Basketball/Basket",
            ),
            ("trainlist01", f"{NAMES[2]} 2", r"line 2: Basketball is class 3 in classInd\.txt, received 2"),
            ("classInd", "Basketball 3", r"line 2: expected a number and a class, received 'Basketball 3'"),
        ],
    )
    def test_lines_that_cannot_be_read(self, published, list_name, line, message):
        path = published / "ucfTrainTestlist" / f"{list_name}.txt"
        lines = path.read_text().splitlines()
        path.write_text("\n".join([lines[0], line]))
        with pytest.raises(ValueError, match=message):
            read_ucf101(published)


@pytest.mark.real_data
def test_real_clips(real_data, tmp_path):
    names = [f"{name}/v_{name}_g01_c01.avi" for name in CLASSES[:3]]
    write_lists(tmp_path, {1: names[1:], 2: names, 3: names}, {1: names[:1], 2: [], 3: []})
    for name in names:
        (tmp_path / "UCF-101" / name).parent.mkdir(parents=True)
        (tmp_path / "UCF-101" / name).symlink_to(real_data / "scenes" / Path(name).name)
    rows = read_ucf101(tmp_path)
    assert [(row.label, row.split) for row in rows] == [
        ("BaseballPitch", "train"), ("Basketball", "train"), ("ApplyEyeMakeup", "test"),
    ]  # fmt: skip
    assert len({row.group for row in rows}) == 3
    for row in rows:
        assert read_clip(row.path, ClipSpec(4, 60, 80)).frames.std() > 20

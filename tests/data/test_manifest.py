from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sora_keras.data import Row, k_fold, read_manifest, rows_from_directory, split_rows


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def write_csv(path: Path, *lines: tuple[str, ...]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)


def random_rows(seed: int) -> list[Row]:
    """A random manifest in which each class has at least four groups, of one to four rows, some of two classes."""
    rng = np.random.default_rng(seed)
    rows = []
    for label in [f"class{index}" for index in range(rng.integers(2, 6))]:
        for group in range(rng.integers(4, 12)):
            rows += [
                Row(f"{label}/{group}_{index}.mp4", label, f"{label}-{group}") for index in range(rng.integers(1, 5))
            ]
    rows += [Row(f"shared/{index}.mp4", label, "shared") for index, label in enumerate(("class0", "class1"))]
    return [rows[index] for index in rng.permutation(len(rows))]


class TestRowsFromDirectory:
    def test_lists_videos_in_order_at_any_depth_and_leaves_the_rest_out(self, tmp_path):
        touch(tmp_path, "b/two.MP4", "b/deep/down/one.avi", "a/z.mov", "a/a.gif", "a/notes.txt", "readme.md")
        touch(tmp_path, "a/.hidden.mp4", "a/._z.mov", ".cache/a/x.mp4", "b/.git/y.mp4", "empty/none.csv")
        (tmp_path / "b" / "a folder named like a video.mp4").mkdir()
        rows = rows_from_directory(tmp_path)
        expected = [("a/a.gif", "a"), ("a/z.mov", "a"), ("b/deep/down/one.avi", "b"), ("b/two.MP4", "b")]
        assert rows == [Row(str(tmp_path / path), label, str(tmp_path / path)) for path, label in expected]

    def test_takes_a_folder_below_a_hidden_one(self, tmp_path):
        assert len(rows_from_directory(touch(tmp_path / ".keras" / "videos", "a/1.mp4"))) == 1

    def test_spaces_and_letters_of_other_alphabets(self, tmp_path):
        folder = touch(tmp_path / "meine Videos", "grüne Wiese/ein Film.mp4", "日本/ö #1 [x].mp4")
        rows = rows_from_directory(str(folder))
        assert {row.label for row in rows} == {"grüne Wiese", "日本"}
        assert all(Path(row.path).is_file() for row in rows)

    def test_labels_can_be_given_or_left_out(self, tmp_path):
        touch(tmp_path, "c.mp4", "a.mp4", "sub/b.mp4")
        assert [row.label for row in rows_from_directory(tmp_path, labels=None)] == [None] * 3
        rows = rows_from_directory(tmp_path, labels=np.array([7, 8, 9]))
        assert [(Path(row.path).name, row.label) for row in rows] == [("a.mp4", "7"), ("c.mp4", "8"), ("b.mp4", "9")]

    def test_wrong_labels(self, tmp_path):
        touch(tmp_path, "a/1.mp4", "a/2.mp4", "a/3.mp4")
        with pytest.raises(ValueError, match=r"one label for each of the 3 videos, received 2"):
            rows_from_directory(tmp_path, labels=["x", "y"])
        with pytest.raises(ValueError, match=r'must be "inferred", a sequence or None, received \'guessed\''):
            rows_from_directory(tmp_path, labels="guessed")

    def test_class_names_choose_sub_folders(self, tmp_path):
        touch(tmp_path, "a/1.mp4", "b/1.mp4", "c/1.mp4", "stray.mp4")
        assert [row.label for row in rows_from_directory(tmp_path, class_names=["c", "a"])] == ["a", "c"]
        with pytest.raises(ValueError, match=r"has no videos in sub-folders \['d'\]; it has \['a', 'b', 'c', "):
            rows_from_directory(tmp_path, class_names=["a", "d"])

    def test_a_video_beside_the_sub_folders_has_no_class(self, tmp_path):
        touch(tmp_path, "a/1.mp4", "stray.mp4")
        with pytest.raises(ValueError, match=rf"{tmp_path}/stray.mp4 lies in no class's sub-folder: move it into one"):
            rows_from_directory(tmp_path)

    def test_not_a_folder_and_an_empty_one(self, tmp_path):
        with pytest.raises(NotADirectoryError, match=r"nowhere is not a folder"):
            rows_from_directory(tmp_path / "nowhere")
        with pytest.raises(NotADirectoryError, match=r"file\.mp4 is not a folder"):
            rows_from_directory(touch(tmp_path, "file.mp4") / "file.mp4")
        with pytest.raises(ValueError, match=rf"{tmp_path / 'empty'} holds no videos"):
            rows_from_directory(touch(tmp_path / "empty", "a/notes.txt"))


class TestGroups:
    def test_by_function(self, tmp_path):
        touch(tmp_path, "a/jack_1.mp4", "a/tom_1.mp4", "b/jack_2.mp4")
        rows = rows_from_directory(tmp_path, groups=lambda path: Path(path).name.split("_")[0])
        assert [row.group for row in rows] == ["jack", "tom", "jack"]

    def test_by_numbers_from_a_function(self, tmp_path):
        rows = rows_from_directory(touch(tmp_path, "a/1.mp4", "a/22.mp4"), groups=lambda path: len(Path(path).stem))
        assert [row.group for row in rows] == ["1", "2"]

    def test_by_column(self, tmp_path):
        touch(tmp_path, "a/1.mp4", "a/2 ü.mp4", "b/3.mp4")
        write_csv(tmp_path / "other.csv", ("path", "camera"), ("a/1.mp4", "left"))
        write_csv(
            tmp_path / "clips.csv",
            *(("person", "path"), ("tom", "b/3.mp4"), ("jack", "./a/1.mp4"), ("", "a/2 ü.mp4"), ("ann", "gone.mp4")),
        )
        rows = rows_from_directory(tmp_path, groups="person")
        assert [row.group for row in rows] == ["jack", str(tmp_path / "a/2 ü.mp4"), "tom"]

    def test_a_video_without_a_line(self, tmp_path):
        touch(tmp_path, "a/1.mp4", "a/2.mp4")
        write_csv(tmp_path / "clips.csv", ("path", "person"), ("a/1.mp4", "jack"))
        with pytest.raises(ValueError, match=r"a/2\.mp4 has no line in .*clips\.csv, so its group is unknown"):
            rows_from_directory(tmp_path, groups="person")

    def test_no_such_column_and_two(self, tmp_path):
        touch(tmp_path, "a/1.mp4")
        with pytest.raises(ValueError, match=r"`groups='person'`.*exactly one CSV file.*found \[\]"):
            rows_from_directory(tmp_path, groups="person")
        for name in ("x.csv", "y.csv"):
            write_csv(tmp_path / name, ("path", "person"), ("a/1.mp4", "jack"))
        with pytest.raises(ValueError, match=r"found \['x\.csv', 'y\.csv'\]"):
            rows_from_directory(tmp_path, groups="person")

    def test_a_column_named_group_is_taken_by_default(self, tmp_path):
        for name in ("a/1.mp4", "a/2.mp4"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        write_csv(tmp_path / "scores.csv", ("group", "score"))
        write_csv(tmp_path / "clips.csv", ("path", "label"))
        (tmp_path / "latin.csv").write_bytes("Größe;Länge\n".encode("latin-1"))
        (tmp_path / "nothing.csv").touch()
        assert [row.group for row in rows_from_directory(tmp_path)] == [
            row.path for row in rows_from_directory(tmp_path)
        ]
        write_csv(tmp_path / "manifest.csv", ("path", "group"), ("a/1.mp4", "jack"), ("a/2.mp4", "jack"))
        assert [row.group for row in rows_from_directory(tmp_path)] == ["jack", "jack"]
        alone = rows_from_directory(tmp_path, groups=lambda path: path)
        assert [row.group for row in alone] == [row.path for row in alone]


class TestReadManifest:
    def test_paths_are_relative_to_the_file(self, tmp_path):
        (tmp_path / "clips.csv").write_text(
            "\ufeffpath,label,group,digit\nb/2.mp4,walk,jack,5\na/ö 1.mp4,,,\n/abs/3.mp4,run,tom,1\n", encoding="utf-8"
        )
        second = str(tmp_path / "a/ö 1.mp4")
        assert read_manifest(tmp_path / "clips.csv") == [
            Row(str(tmp_path / "b/2.mp4"), "walk", "jack"),
            Row(second, None, second),
            Row("/abs/3.mp4", "run", "tom"),
        ]

    def test_path_alone_is_enough(self, tmp_path):
        write_csv(tmp_path / "clips.csv", ("path",), ("1.mp4",))
        assert read_manifest(str(tmp_path / "clips.csv")) == [Row(str(tmp_path / "1.mp4"), None)]

    @pytest.mark.parametrize(
        ("text", "received"),
        [
            ("file,label\n1.mp4,a\n2.mp4,b\n3.mp4,b\n", r"columns \['file', 'label'\] and 3 lines"),
            ("path,label\n", r"columns \['path', 'label'\] and 0 lines"),
            ("", r"columns \[\] and 0 lines"),
        ],
    )
    def test_nothing_to_read(self, tmp_path, text, received):
        (tmp_path / "clips.csv").write_text(text)
        with pytest.raises(ValueError, match=rf"clips\.csv must have a header with a column named path.*{received}"):
            read_manifest(tmp_path / "clips.csv")


class TestSplitRows:
    @pytest.mark.parametrize("seed", range(25))
    @pytest.mark.parametrize("share", [0.1, 0.2, 0.25, 0.5, 0.8])
    def test_random_manifests(self, seed, share):
        rows = random_rows(seed)
        train, validation = split_rows(rows, share, seed)
        assert Counter(train) + Counter(validation) == Counter(rows)
        assert not {row.group for row in train} & {row.group for row in validation}
        labels = {row.label for row in rows}
        assert {row.label for row in train} == {row.label for row in validation} == labels
        order = {row.path: index for index, row in enumerate(rows)}
        for part in (train, validation):
            assert [order[row.path] for row in part] == sorted(order[row.path] for row in part)

    def test_every_class_keeps_its_share_where_groups_are_single_rows(self):
        rows = [Row(f"{label}{index}", label) for label, count in (("a", 100), ("b", 50)) for index in range(count)]
        _, validation = split_rows(rows, 0.2, seed=3)
        assert Counter(row.label for row in validation) == {"a": 20, "b": 10}

    @pytest.mark.parametrize(("share", "expected"), [(0.05, 10), (0.3, 60), (0.5, 100), (0.95, 190)])
    def test_share(self, share, expected):
        rows = [Row(str(index), "ab"[index % 2]) for index in range(200)]
        assert len(split_rows(rows, share)[1]) == pytest.approx(expected, abs=2)

    def test_the_share_is_met_to_within_a_group(self):
        rows = [Row(f"{group}-{index}", "ab"[group % 2], str(group)) for group in range(40) for index in range(5)]
        assert len(split_rows(rows, 0.2)[1]) == pytest.approx(40, abs=5)

    @pytest.mark.parametrize("num_videos", range(2, 8))
    @pytest.mark.parametrize("share", [0.01, 0.2, 0.45, 0.5, 0.9, 0.999])
    def test_a_few_videos_a_class_are_enough(self, num_videos, share):
        rows = [Row(f"{label}{index}", label) for label in "ab" for index in range(num_videos)]
        train, validation = split_rows(rows, share)
        assert {row.label for row in train} == {row.label for row in validation} == {"a", "b"}

    def test_two_persons_in_all_classes(self):
        rows = [Row(f"{p}/{letter}{i}", letter, p) for p in ("jack", "tom") for letter in "abcdefgh" for i in range(9)]
        train, validation = split_rows(rows, 0.2, seed=1)
        assert len({row.group for row in train}) == len({row.group for row in validation}) == 1

    def test_rows_without_labels(self):
        rows = [Row(str(index)) for index in range(10)]
        train, validation = split_rows(rows, 0.3)
        assert (len(train), len(validation)) == (7, 3)

    def test_seed(self):
        rows = random_rows(0)
        assert split_rows(rows, 0.2, seed=5) == split_rows(rows, 0.2, seed=5)
        assert len({tuple(split_rows(rows, 0.2, seed=seed)[1]) for seed in range(8)}) >= 6

    @pytest.mark.parametrize("share", [0, 1, -0.3, 1.7])
    def test_share_out_of_range(self, share):
        with pytest.raises(ValueError, match=rf"must lie between 0 and 1, received {share}\."):
            split_rows(random_rows(0), share)

    def test_a_class_of_one_group(self):
        rows = [*(Row(f"a/{index}.mp4", "a") for index in range(9)), *(Row(f"b/{i}.mp4", "b", "tom") for i in range(4))]
        with pytest.raises(
            ValueError, match=r"Class 'b' has videos of 1 group \(such as b/0\.mp4\).* at least 2 groups"
        ):
            split_rows(rows, 0.2)

    def test_groups_that_no_split_can_separate(self):
        # Each class has two groups, but a group of both of its neighbors: three groups in a ring leave one side short.
        rows = [Row(f"{a}{b}{i}", a, b) for a, b in ("ax", "ay", "by", "bz", "cz", "cx") for i in range(3)]
        with pytest.raises(ValueError, match=r"No split was found.*0\.35 of the rows.*\{'a': 2, 'b': 2, 'c': 2\}"):
            split_rows(rows, 0.35)


class TestKFold:
    @pytest.mark.parametrize("seed", range(15))
    @pytest.mark.parametrize("num_folds", [2, 3, 4])
    def test_random_manifests(self, seed, num_folds):
        rows = random_rows(seed)
        folds = list(k_fold(rows, num_folds, seed))
        assert len(folds) == num_folds
        assert Counter(row for _, validation in folds for row in validation) == Counter(rows)
        for train, validation in folds:
            assert validation
            assert Counter(train) + Counter(validation) == Counter(rows)
            assert not {row.group for row in train} & {row.group for row in validation}
            assert {row.label for row in train} == {row.label for row in rows}

    def test_every_class_in_every_fold(self):
        rows = [Row(f"{label}{index}", label) for label, count in (("a", 40), ("b", 15)) for index in range(count)]
        for _, validation in k_fold(rows, 5):
            assert Counter(row.label for row in validation) == {"a": 8, "b": 3}

    def test_seed(self):
        rows = random_rows(1)
        assert list(k_fold(rows, 3, seed=7)) == list(k_fold(rows, 3, seed=7))
        assert list(k_fold(rows, 3, seed=7)) != list(k_fold(rows, 3, seed=8))

    def test_too_many_folds_and_too_few(self):
        rows = [*(Row(f"a/{i}.mp4", "a") for i in range(9)), *(Row(f"b/{i}.mp4", "b", f"p{i % 3}") for i in range(6))]
        with pytest.raises(
            ValueError, match=r"Class 'b' has videos of 3 groups \(such as b/0\.mp4\).* at least 4 groups"
        ):
            next(k_fold(rows, 4))
        with pytest.raises(ValueError, match=r"`num_folds` must be at least 2, received 1"):
            next(k_fold(rows, 1))

    @pytest.mark.real_data
    def test_no_source_of_the_fights_on_both_sides(self, real_data):
        rows = read_manifest(real_data / "fights" / "clips.csv")
        for train, validation in k_fold(rows, 5):
            assert not {row.group for row in train} & {row.group for row in validation}
            share = np.mean([row.label == "fight" for row in validation])
            assert 0.3 < share < 0.7
            assert len(validation) == pytest.approx(len(rows) / 5, rel=0.35)

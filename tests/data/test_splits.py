from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from sora_keras.data import Row, k_fold, official_split, read_manifest, split_rows


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


class TestOfficialSplit:
    def test_parts_in_order(self):
        rows = [Row(str(index), split=split) for index, split in enumerate(("train", "test", "train", "validation"))]
        parts = official_split(rows)
        assert list(parts) == ["train", "test", "validation"]
        assert [row.path for row in parts["train"]] == ["0", "2"]

    def test_a_row_without_a_part(self):
        with pytest.raises(ValueError, match=r"second\.mp4 belongs to no official part"):
            official_split([Row("first.mp4", split="train"), Row("second.mp4")])

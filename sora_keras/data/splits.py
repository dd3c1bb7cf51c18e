"""Rows to parts that share no group: one split, cross-validation, or the dataset's official split."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction

from sora_keras.data.manifest import Row, class_names_of

ATTEMPTS_PER_SHARE = 10


def official_split(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Split as the dataset's publisher did.

    Args:
        rows: rows that all name their part in `Row.split`.

    Returns:
        The rows of each part, such as `"train"`, `"validation"` and `"test"`, in order.

    Raises:
        ValueError: if a row names no part.

    Example:
        >>> parts = official_split(read_ucf101("UCF101", fold=1))
        >>> train, test = parts["train"], parts["test"]
    """
    parts: dict[str, list[Row]] = {}
    for row in rows:
        if row.split is None:
            raise ValueError(f"{row.path} belongs to no official part: use `split_rows` or `k_fold`.")
        parts.setdefault(row.split, []).append(row)
    return parts


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

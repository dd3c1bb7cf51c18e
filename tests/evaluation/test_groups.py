from __future__ import annotations

import numpy as np
import pytest

from sora_keras.evaluation.bootstrap import resample_groups
from sora_keras.evaluation.groups import draw_groups, group_numbers_of


def test_groups_are_numbered():
    assert group_numbers_of(["b", 7, "b", "a"], 4, "frames").tolist() == [2, 0, 2, 1]
    assert group_numbers_of(None, 3, "frames").tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="each of the 5 frames, in their order, received 3"):
        group_numbers_of(["a", "b", "c"], 5, "frames")


@pytest.mark.parametrize("num_groups", [1, 5, 9001])
def test_draws_are_those_of_resampled_counts(num_groups):
    counts = np.random.default_rng(0).random((num_groups, 2))
    draws = draw_groups(num_groups, seed=4)
    assert draws.sum(axis=1).tolist() == [num_groups] * 1000
    assert draws @ counts == pytest.approx(resample_groups(counts, seed=4))

from __future__ import annotations

import numpy as np
import pytest

from sora_keras.data import Event
from sora_keras.evaluation.segments import Segment
from sora_keras.evaluation.temporal_iou import temporal_ious


def test_temporal_ious_by_hand():
    ious = temporal_ious(
        [Segment("a", 0, 4), Segment("a", 2, 2)], [Event("a", 3, 5), Event("b", 4, 6), Event("a", 1, 2)]
    )
    assert ious == pytest.approx(np.array([[1 / 5, 0, 1 / 4], [0, 0, 0]]))
    assert temporal_ious([Segment("a", 2, 2)], [Segment("a", 2, 2)]).tolist() == [[0]]
    assert temporal_ious([], [Segment("a", 0, 1)]).shape == (0, 1)

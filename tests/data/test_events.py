from __future__ import annotations

import numpy as np
import pytest

from sora_keras.data import Event, Row
from sora_keras.data.events import during_event

ROW = Row("a.mp4", events=(Event("fall", 0.4, 1.2), Event("rest", 1.0, 2.0), Event("fall", 3.0, 3.1)))


class TestDuringEvent:
    def test_from_the_start_up_to_the_end(self):
        inside = during_event(ROW, np.arange(40) / 10)
        expected = np.zeros(40, bool)
        expected[4:20] = expected[30] = True
        np.testing.assert_array_equal(inside, expected)

    def test_one_label(self):
        np.testing.assert_array_equal(np.flatnonzero(during_event(ROW, np.arange(40) / 10, "rest")), np.arange(10, 20))
        np.testing.assert_array_equal(
            np.flatnonzero(during_event(ROW, np.arange(40) / 10, "fall")), [4, 5, 6, 7, 8, 9, 10, 11, 30]
        )
        with pytest.raises(ValueError, match=r"a\.mp4 has no event 'jump', it has \['fall', 'rest'\]"):
            during_event(ROW, np.arange(3), "jump")

    @pytest.mark.parametrize("frames_per_second", [10.0, 25.0, 29.97, 30000 / 1001])
    def test_every_frame_number_survives_the_way_over_seconds(self, frames_per_second):
        times = np.arange(400) / frames_per_second
        for first in range(0, 399, 7):
            row = Row("a.mp4", events=(Event("x", first / frames_per_second, (first + 3) / frames_per_second),))
            np.testing.assert_array_equal(
                np.flatnonzero(during_event(row, times)), np.arange(first, min(400, first + 3))
            )

    def test_nothing_happens(self):
        assert not during_event(Row("b.mp4"), np.arange(5)).any()
        assert not during_event(Row("b.mp4"), np.arange(5), "fall").any()
        assert during_event(ROW, np.zeros(0)).shape == (0,)

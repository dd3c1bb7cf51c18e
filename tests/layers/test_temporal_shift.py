import keras
import numpy as np
import pytest

from sora_keras.layers import TemporalShift

FRAMES = np.random.default_rng(0).normal(size=(2, 5, 3, 4, 16)).astype("float32")


def shift(frames, **arguments):
    return keras.ops.convert_to_numpy(TemporalShift(**arguments)(frames))


@pytest.mark.parametrize(("share", "num_shifted"), [(0.125, 2), (0.25, 4), (0.01, 1), (1, 16)])
def test_a_share_of_the_channels_comes_from_the_frame_before(share, num_shifted):
    expected = FRAMES.copy()
    for step in range(5):
        expected[:, step, ..., :num_shifted] = FRAMES[:, step - 1, ..., :num_shifted] if step else 0
    np.testing.assert_array_equal(shift(FRAMES, share=share), expected)


def test_later_frames_change_nothing_before_them():
    changed = FRAMES.copy()
    changed[:, 3:] += 1
    np.testing.assert_array_equal(shift(changed)[:, :3], shift(FRAMES)[:, :3])


def test_one_frame_and_unknown_length():
    assert shift(FRAMES[:, :1]).shape == (2, 1, 3, 4, 16)
    assert TemporalShift()(keras.Input((None, 3, 4, 16))).shape == (None, None, 3, 4, 16)


def test_config_round_trip():
    layer = TemporalShift(share=0.3)
    assert TemporalShift.from_config(layer.get_config()).share == 0.3


@pytest.mark.parametrize("share", [0, 1.25])
def test_bad_shares_are_named(share):
    with pytest.raises(ValueError, match=rf"above 0 and at most 1, received {share}"):
        TemporalShift(share=share)

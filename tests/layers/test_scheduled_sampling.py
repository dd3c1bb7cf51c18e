import keras
import numpy as np
import pytest

from sora_keras.layers.scheduled_sampling import ScheduledSampling

FRAMES = np.random.default_rng(0).uniform(0, 1, (500, 6, 2, 2, 3)).astype(np.float32)


def plane(layer, training=True):
    output = keras.ops.convert_to_numpy(layer(FRAMES, training=training))
    np.testing.assert_array_equal(output[..., :3], FRAMES)
    assert np.ptp(output[..., 3], axis=(2, 3)).max() == 0
    return output[:, :, 0, 0, 3]


def test_the_share_of_frames_taken_away_rises_in_a_straight_line_and_stays():
    layer = ScheduledSampling(num_context_frames=2, num_steps=4, seed=1)
    for share in (0, 0.25, 0.5, 0.75, 1, 1):
        read = plane(layer)
        assert read[:, :2].min() == 1
        assert 1 - read[:, 2:].mean() == pytest.approx(share, abs=0.04)
        if 0 < share < 1:  # drawn for each frame of each clip
            assert np.abs(np.corrcoef(read[:, 2:].T) - np.eye(4)).max() < 0.2


def test_no_steps_take_all_away_at_once():
    np.testing.assert_array_equal(plane(ScheduledSampling(4)).mean(axis=0), [1, 1, 1, 1, 0, 0])


def test_all_are_read_outside_training_and_without_a_context():
    layer = ScheduledSampling(2)
    assert plane(layer, training=False).min() == 1
    assert float(layer.steps_done) == 0
    assert plane(ScheduledSampling()).min() == 1


def test_training_goes_on_where_the_saved_weights_stopped():
    layer, other = ScheduledSampling(2, num_steps=10), ScheduledSampling(2, num_steps=10)
    for _ in range(5):
        plane(layer)
    other.build(FRAMES.shape)
    other.steps_done.assign(layer.steps_done)
    assert plane(other)[:, 2:].mean() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_counts_beyond_what_half_precision_can(policy):
    layer = ScheduledSampling(2, num_steps=4098, dtype=policy)
    layer.build(FRAMES.shape)
    for steps_done in (256, 2048):  # from here on x + 1 == x in bfloat16, in float16
        layer.steps_done.assign(steps_done)
        read = keras.ops.convert_to_numpy(layer(FRAMES[..., :1], training=True))[:, :, 0, 0, -1].astype(np.float32)
        assert float(layer.steps_done) == steps_done + 1
        assert 1 - read[:, 2:].mean() == pytest.approx(steps_done / 4098, abs=0.04)


def test_config_round_trip():
    layer = ScheduledSampling.from_config(ScheduledSampling(3, num_steps=7, seed=5).get_config())
    assert (layer.num_context_frames, layer.num_steps, layer.seed) == (3, 7, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "`num_context_frames` must be at least 1, or None, received 0"), ((4, -2), "`num_steps`.*received -2")],
)
def test_arguments_must_be_in_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        ScheduledSampling(*arguments)

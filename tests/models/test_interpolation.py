import keras
import numpy as np
import pytest

from sora_keras.models.interpolation import FrameInterpolator


def interpolator(height=16, width=32, **arguments):
    return FrameInterpolator(height, width, **{"filters": (3, 4, 5), **arguments})


def random_frames(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("num_channels", [1, 3])
def test_makes_gray_values_between_two_frames(num_channels):
    model = interpolator(num_channels=num_channels)
    middle = model.predict(random_frames(2, 2, 16, 32, num_channels), verbose=0)
    assert middle.shape == (2, 16, 32, num_channels)
    assert middle.min() >= 0
    assert middle.max() <= 255
    still = np.repeat(random_frames(1, 1, 16, 32, num_channels) // 2 + 64, 2, axis=1)
    still[:] = still[:, :, :1, :1]  # nothing to move
    np.testing.assert_allclose(model.predict(still, verbose=0), still[:, 0], atol=1e-2)


def test_slow_motion_of_any_size_keeps_what_was_given():
    model, frames = interpolator(), random_frames(3, 21, 38, 3)
    slow = model.slow_down(frames)
    assert slow.shape == (5, 21, 38, 3)
    assert slow.dtype == np.uint8
    np.testing.assert_array_equal(slow[::2], frames)
    padded = np.pad(frames, ((0, 0), (0, 11), (0, 10), (0, 0)), mode="edge")
    middle = model.at_size(32, 48).predict(padded[None, 1:3], verbose=0)[0, :21, :38]
    np.testing.assert_array_equal(slow[3], np.round(middle))


def test_learns_which_frame_to_show():
    keras.utils.set_random_seed(0)
    pairs = random_frames(16, 2, 16, 32, 1) // 4
    pairs[:, 1] += 128
    model = interpolator(num_channels=1, learning_rate=0.02)
    model.fit(pairs, pairs[:, 1], epochs=12, verbose=0)
    target = pairs[:, 1].astype(np.float32).mean()
    assert abs(model.predict(pairs, verbose=0).mean() - target) < 0.25 * 128


def test_config_and_preset_round_trip(tmp_path):
    model = interpolator(num_channels=1, learning_rate=0.004)
    rebuilt = FrameInterpolator.from_config(model.get_config())
    assert rebuilt.get_config() == model.get_config()
    assert (rebuilt.height, rebuilt.width, rebuilt.filters, rebuilt.num_channels) == (16, 32, (3, 4, 5), 1)
    assert float(rebuilt.optimizer.learning_rate) == pytest.approx(0.004)
    model.save_to_preset(tmp_path)
    loaded, pairs = FrameInterpolator.from_preset(tmp_path), random_frames(1, 2, 16, 32, 1)
    np.testing.assert_allclose(loaded.predict(pairs, verbose=0), model.predict(pairs, verbose=0), atol=1e-4)


def test_frames_must_have_whole_cells():
    with pytest.raises(ValueError, match="sides of multiples of 16 pixels, received 24 x 32"):
        interpolator(24, 32)


def test_one_frame_has_none_between():
    with pytest.raises(ValueError, match="at least 2 frames, to have one between, received 1"):
        interpolator().slow_down(random_frames(1, 16, 32, 3))

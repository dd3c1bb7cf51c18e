import numpy as np
import pytest

from sora_keras.features import feature_names, motion_features
from sora_keras.features.motion import DIRECTIONS, motion_history, optical_flow
from sora_keras.video import Clip

NAMES = feature_names(["motion"])
SQUARE = 24
STEPS = dict(zip(DIRECTIONS, [(3, 0), (3, 3), (0, 3), (-3, 3), (-3, 0), (-3, -3), (0, -3), (3, -3)], strict=True))


def clip_of(gray):
    frames = np.repeat(np.asarray(gray, np.uint8)[..., None], 3, axis=-1)
    return Clip(frames, np.arange(len(frames)) / 10)


def column(features, name):
    return features[:, NAMES.index(name)]


def moving_square(right, down, num_frames=3, side=64):
    """A bright square of rough texture on a dark one that stays, and where it is in each frame."""
    rng = np.random.default_rng(0)
    texture = rng.integers(120, 256, (SQUARE // 4, SQUARE // 4)).repeat(4, 0).repeat(4, 1)
    background = rng.integers(0, 80, (side // 4, side // 4)).repeat(4, 0).repeat(4, 1)
    gray, places = np.repeat(background[None], num_frames, axis=0), []
    for index in range(num_frames):
        top, left = (side - SQUARE) // 2 + down * index, (side - SQUARE) // 2 + right * index
        places.append(np.s_[top : top + SQUARE, left : left + SQUARE])
        gray[(index, *places[-1])] = texture
    return gray.astype(np.uint8), places


@pytest.mark.parametrize(("right", "down"), [(1, 0), (2, 0), (0, -3), (4, -3), (-5, 4)])
def test_flow_of_a_moved_square_is_how_far_it_moved(right, down):
    gray, places = moving_square(right, down)
    flow = optical_flow(gray[0], gray[1])
    np.testing.assert_allclose(np.median(flow[places[0]], axis=(0, 1)), [right, down], atol=0.3)
    flow[places[0]] = flow[places[1]] = np.nan
    assert np.nanmedian(np.hypot(flow[..., 0], flow[..., 1])) < 0.2


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_flow_falls_into_the_bin_of_its_direction(direction):
    right, down = STEPS[direction]
    gray, _ = moving_square(right, down)
    features = motion_features(clip_of(gray))
    bins = np.stack([column(features, f"motion_flow_{name}") for name in DIRECTIONS], axis=1)
    assert [DIRECTIONS[index] for index in bins[1:].argmax(axis=1)] == [direction, direction]
    assert bins[1:].max(axis=1).min() > 0.7 * bins[1:].sum(axis=1).max()
    np.testing.assert_allclose(bins.sum(axis=1), column(features, "motion_flow_length_mean"), rtol=1e-5, atol=1e-6)


def test_flow_statistics_equal_numpy_ones():
    gray, _ = moving_square(4, -2)
    features, flow = motion_features(clip_of(gray)), optical_flow(gray[1], gray[2])
    length = np.hypot(flow[..., 0], flow[..., 1])
    expected = {
        "x_mean": flow[..., 0].mean(), "y_mean": flow[..., 1].mean(), "x_std": flow[..., 0].std(),
        "y_std": flow[..., 1].std(), "length_mean": length.mean(), "length_std": length.std(),
        "length_max": length.max(), "moving": np.mean(length >= 0.5),
    }  # fmt: skip
    assert expected["x_mean"] > 0.3
    for name, value in expected.items():
        assert column(features, f"motion_flow_{name}")[2] == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_changes_by_hand():
    gray = np.zeros((3, 8, 12), np.uint8)
    gray[1:, 2:4, 3:6] = 100  # 6 of 96 pixels, one cell of the 4 x 4 grid: row 1, column 1
    gray[2, 0, 0] = 24  # one level short of counting as changed
    features = motion_features(clip_of(gray))
    np.testing.assert_allclose(column(features, "motion_change_mean"), [0, 600 / 96, 24 / 96], rtol=1e-6)
    np.testing.assert_allclose(column(features, "motion_changed"), [0, 6 / 96, 0], rtol=1e-6)
    np.testing.assert_allclose(column(features, "motion_change_row1_column1"), [0, 100, 0])
    np.testing.assert_allclose(column(features, "motion_change_row0_column0"), [0, 0, 4])
    assert column(features, "motion_change_std")[1] == pytest.approx(np.std(np.r_[[100] * 6, [0] * 90]))


def test_motion_history_by_hand():
    gray = np.zeros((11, 8, 8), np.uint8)
    gray[1:, :4, :2] = 200  # changes once, at frame 1
    gray[3:, 0, 7] = 25
    features = motion_features(clip_of(gray))
    # A column of 8 pixels of 64 at 1 in frame 1, less by an eighth a frame; one more pixel two frames later.
    ages = np.arange(11) - 1
    first = np.where(ages < 0, 0, np.maximum(1 - ages / 8, 0))
    second = np.where(ages < 2, 0, np.maximum(1 - (ages - 2) / 8, 0))
    np.testing.assert_allclose(column(features, "motion_history_mean"), (8 * first + second) / 64, atol=1e-6)
    expected = (8 * (first > 0) + (second > 0)) / 64
    np.testing.assert_allclose(column(features, "motion_history_active"), expected, atol=1e-6)
    np.testing.assert_allclose(column(features, "motion_history_row0_column0"), first, atol=1e-6)
    np.testing.assert_allclose(column(features, "motion_history_row0_column3"), second / 4, atol=1e-6)
    assert column(features, "motion_history_hu1")[1] > 7
    assert column(features, "motion_history_hu1")[0] == 0


def test_motion_history_is_renewed_where_something_moves_again():
    history = np.array([[0.5, 0.5, 0.0625]], np.float32)
    np.testing.assert_array_equal(motion_history(history, np.array([[25, 24, 0]], np.uint8)), [[1, 0.375, 0]])


def test_the_first_frame_and_a_repeated_one_do_not_move():
    gray, _ = moving_square(3, 0, num_frames=2)
    features = motion_features(clip_of(gray[[0, 0, 1]]))
    np.testing.assert_array_equal(features[0], 0)
    np.testing.assert_allclose(features[1], 0, atol=1e-6)
    assert column(features, "motion_flow_length_max")[2] > 2


@pytest.mark.parametrize(("height", "width"), [(8, 8), (11, 40), (64, 5), (1, 1)])
def test_flow_has_the_size_of_small_frames_too(height, width):
    gray = np.random.default_rng(0).integers(0, 256, (2, height, width), dtype=np.uint8)
    assert optical_flow(*gray).shape == (height, width, 2)


def test_flow_of_a_small_frame_is_right():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8).repeat(3, 0).repeat(3, 1)
    flow = optical_flow(picture[1:13, 1:13].copy(), picture[1:13, :12].copy())
    np.testing.assert_allclose(np.median(flow[2:-2, 2:-2], axis=(0, 1)), [1, 0], atol=0.3)

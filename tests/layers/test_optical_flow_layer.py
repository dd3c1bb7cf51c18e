import itertools

import cv2
import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, read_clip
from sora_keras.features.motion import optical_flow
from sora_keras.layers import OpticalFlow

VIDEOS = ("clean/dog.mp4", "scenes/pedestrians.avi", "scenes/v_Basketball_g01_c01.avi")


def flow_of(frames, **arguments):
    return keras.ops.convert_to_numpy(OpticalFlow(**arguments)(frames[None]))[0]


def moved(picture, right, down, side):
    """A picture through a window, and through one moved against the motion, with a camera's noise."""
    rng = np.random.default_rng(0)
    windows = [picture[16 - dy : 16 - dy + side, 16 - dx : 16 - dx + side] for dx, dy in ((0, 0), (right, down))]
    return np.stack([np.clip(window + rng.normal(0, 2, window.shape), 0, 255) for window in windows]).astype(np.uint8)


def error_inside(flow, right, down):
    margin = len(flow) // 8
    inside = flow[margin:-margin, margin:-margin]
    return np.linalg.norm(inside - [right, down], axis=-1).mean()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("right", "down", "largest"), [(0, 0, 0.1), (1, 0, 0.3), (0, -2, 0.4), (5, 3, 0.7), (-8, 6, 0.7)]
)
def test_known_motion_of_real_frames_is_found(real_data, right, down, largest):
    errors, errors_of_opencv = [], []
    for video in VIDEOS:
        frames = moved(read_clip(real_data / video, ClipSpec(1, 144, 144)).frames[0], right, down, side=112)
        errors.append(error_inside(flow_of(frames)[1], right, down))
        gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        errors_of_opencv.append(error_inside(optical_flow(*gray), right, down))
    assert np.mean(errors_of_opencv) < 0.2  # the frames can be followed
    assert np.mean(errors) < largest


@pytest.mark.real_data
@pytest.mark.parametrize("video", ["clean/dog.mp4", "fights/fight/fi001.mp4"])
def test_agrees_with_opencv_on_real_motion(real_data, video):
    frames = read_clip(real_data / video, ClipSpec(8, 112, 112, 25.0)).frames
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    opencv = np.stack([optical_flow(*pair) for pair in itertools.pairwise(gray)])
    opencv = opencv.reshape(-1, 56, 2, 56, 2, 2).mean(axis=(2, 4))
    flow = flow_of(frames)[1:]
    moving = np.linalg.norm(opencv, axis=-1) > 1
    assert moving.mean() > 0.01
    assert np.corrcoef(flow[moving].ravel(), opencv[moving].ravel())[0, 1] > 0.8
    assert np.linalg.norm(flow[~moving], axis=-1).mean() < 0.3


def smooth_noise(num_frames, side=48, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (num_frames, side, side, 3), dtype=np.uint8)
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in noise])


def test_the_first_frame_and_still_frames_have_no_flow():
    frames = np.repeat(smooth_noise(1), 3, axis=0)
    np.testing.assert_array_equal(flow_of(frames), 0)


def test_later_frames_change_nothing_before_them():
    frames = smooth_noise(5)
    changed = frames.copy()
    changed[3:] = 255 - changed[3:]
    before, after = flow_of(frames), flow_of(changed)
    np.testing.assert_allclose(before[:3], after[:3], atol=1e-6)
    assert np.abs(before[3] - after[3]).max() > 0.1


def test_clips_of_a_batch_do_not_meet():
    clips = np.stack([smooth_noise(3, seed=1), smooth_noise(3, seed=2)])
    flow = keras.ops.convert_to_numpy(OpticalFlow()(clips))
    for clip, expected in zip(clips, flow, strict=True):
        np.testing.assert_allclose(flow_of(clip), expected, atol=1e-4)


def test_flat_frames_and_odd_sizes_give_finite_flow():
    frames = np.full((2, 19, 31, 3), 128, np.uint8)
    flow = flow_of(frames, stride=3, window=3, num_iterations=2)
    assert flow.shape == (2, 6, 10, 2)
    np.testing.assert_array_equal(flow, 0)


@pytest.mark.real_data
@pytest.mark.parametrize(("right", "down"), [(0, 0), (4, -3)])
def test_noise_moves_nothing_where_still_is_preferred(real_data, right, down):
    picture = read_clip(real_data / VIDEOS[1], ClipSpec(1, 144, 144)).frames[0]
    clean = moved(picture, right, down, side=112)
    frames = np.clip(clean + np.random.default_rng(0).normal(0, 30, clean.shape), 0, 255).astype(np.uint8)
    usual, still = (error_inside(flow_of(frames, window=7, prefers_still=is_so)[1], right, down) for is_so in (0, 1))
    if right or down:
        assert abs(still - usual) < 0.1
    else:
        assert usual > 0.1  # what noise alone seems to move, in pixels
        assert still < 0.6 * usual


def test_shapes_dtype_and_config():
    layer = OpticalFlow(stride=4, window=7, num_iterations=2, prefers_still=True)
    outputs = layer(keras.Input((None, 64, 48, 3), dtype="uint8"))
    assert outputs.shape == (None, None, 16, 12, 2)
    rebuilt = OpticalFlow.from_config(layer.get_config())
    assert (rebuilt.stride, rebuilt.window, rebuilt.num_iterations) == (4, 7, 2)
    assert rebuilt.prefers_still
    assert layer.weights == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stride": 0}, r"`stride` must be at least 1, received 0"),
        ({"num_iterations": -2}, r"`num_iterations` must be at least 1, received -2"),
        ({"window": 6}, r"`window` must be odd.*received 6"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        OpticalFlow(**arguments)

import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, read_clip
from sora_keras.layers.halfway_frames import HalfwayFrames


@pytest.mark.real_data
@pytest.mark.parametrize(("right", "down"), [(0, 0), (4, -2), (-6, 8)])
def test_a_real_picture_in_motion_is_met_halfway(real_data, right, down):
    picture = read_clip(real_data / "clean" / "dog.mp4", ClipSpec(1, 128, 128)).frames[0]
    steps = [(part * down // 2, part * right // 2) for part in range(3)]
    before, middle, after = (picture[16 - dy : 112 - dy, 16 - dx : 112 - dx] for dy, dx in steps)
    moved_before, moved_after, flow = (
        keras.ops.convert_to_numpy(part)[0, 16:-16, 16:-16] for part in HalfwayFrames()(np.stack([before, after])[None])
    )
    middle = middle[16:-16, 16:-16].astype(np.float32)
    for moved in (moved_before, moved_after):
        assert np.abs(moved - middle).mean() < 2.0
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [right / 2, down / 2], atol=0.2)


def test_frames_that_are_the_same_stay():
    frame = np.random.default_rng(0).integers(0, 256, (1, 1, 32, 48, 1), dtype=np.uint8)
    before, after, flow = HalfwayFrames()(np.repeat(frame, 2, axis=1))
    np.testing.assert_allclose(before, frame[:, 0], atol=1e-3)
    np.testing.assert_allclose(after, frame[:, 0], atol=1e-3)
    np.testing.assert_allclose(flow, 0, atol=1e-5)


def test_config_round_trip():
    layer = HalfwayFrames.from_config(HalfwayFrames(name="middle").get_config())
    assert layer.name == "middle"

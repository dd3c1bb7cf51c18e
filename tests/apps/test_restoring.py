import numpy as np
import pytest
from scipy.ndimage import correlate
from small_restorer import SmallRestorer

from sora_keras.apps import restoring
from sora_keras.apps.restoring import restored_frames


@pytest.fixture(scope="module")
def frames():
    return list(np.random.default_rng(3).integers(0, 256, (6, 48, 64, 3), np.uint8))


def blurred(model, frame):
    kernel = model._kernel[..., 0]
    channels = [correlate(frame[..., index].astype(float), kernel[..., index], mode="constant") for index in range(3)]
    return np.stack(channels, axis=-1)


def test_each_frame_in_its_turn_with_the_state_carried_on(frames):
    model = SmallRestorer()
    expected = np.zeros((48, 64, 3))
    received = list(restored_frames(iter(frames), model))
    assert len(received) == 6
    for frame, restored in zip(frames, received, strict=True):
        expected = 0.5 * blurred(model, frame) + 0.5 * expected
        np.testing.assert_allclose(restored, expected, atol=1e-2)


@pytest.mark.parametrize(("look_ahead", "ends"), [(2, [4, 4, 6, 6, 6, 6]), (4, [6] * 6), (9, [6] * 6)])
def test_frames_to_come_count_as_much_as_those_before(frames, look_ahead, ends):
    """`ends`: of which frame on nothing is seen, by hand: the end of the next group, or of the video."""
    model = SmallRestorer()

    def restored(run):
        expected = np.zeros((48, 64, 3))
        for frame in run:
            expected = 0.5 * blurred(model, frame) + 0.5 * expected
        return expected

    received = list(restored_frames(iter(frames), model, look_ahead=look_ahead))
    assert len(received) == 6
    for index, (frame, end) in enumerate(zip(received, ends, strict=True)):
        both = restored(frames[: index + 1]) + restored(frames[index:end][::-1])
        np.testing.assert_allclose(frame, both / 2, atol=1e-2)


def test_no_more_frames_are_held_than_said(frames):
    read = []
    first = next(restored_frames((read.append(0) or frame for frame in frames), SmallRestorer(), look_ahead=2))
    assert first.shape == (48, 64, 3)
    assert len(read) == 4


@pytest.mark.parametrize("look_ahead", [-3, 1.5, True])
def test_looking_ahead_by_what_is_no_number_of_frames(frames, look_ahead):
    with pytest.raises(ValueError, match=rf"`look_ahead` must be a number of frames .* 0, received {look_ahead}"):
        restored_frames(frames, SmallRestorer(), look_ahead=look_ahead)


@pytest.mark.parametrize("look_ahead", [0, 2])
def test_no_frames_are_no_frames(look_ahead):
    assert list(restored_frames(iter([]), SmallRestorer(), look_ahead=look_ahead)) == []


def test_frames_that_are_too_large_for_the_memory_are_cut(frames, monkeypatch):
    model = SmallRestorer()
    large = [np.tile(frame, (8, 7, 1)) for frame in frames]
    sizes = []
    whole = list(restored_frames(large, model))
    make = SmallRestorer.step_model
    monkeypatch.setattr(SmallRestorer, "step_model", lambda *sizes_: (sizes.append(sizes_[1:]), make(*sizes_))[1])
    # The step takes 25 times the 12 bytes of state for each pixel.
    monkeypatch.setattr(restoring, "FRAME_BYTES", 25 * 12 * 384 * 448)
    assert len(list(restored_frames(large[:1], model))) == 1
    assert sizes.pop() == (384, 448)
    monkeypatch.setattr(restoring, "FRAME_BYTES", 25 * 12 * 384 * 448 - 1)
    monkeypatch.setattr(restoring, "TILE_BYTES", 25 * 12 * 200 * 200)
    cut = list(restored_frames(large, model))
    assert sizes == [(176, 192)]
    np.testing.assert_allclose(cut, whole, atol=1e-3)
    assert next(restored_frames(large[:1], model, tile_size=144)).shape == (384, 448, 3)
    assert sizes.pop() == (144, 144)

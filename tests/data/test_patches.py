import numpy as np
import pytest

from sora_keras import ClipSpec
from sora_keras.data.patches import patch_dataset

SPEC = ClipSpec(num_frames=3, height=4, width=6)


def numbered(num_frames, height, width):
    """A video that tells of each pixel its frame, row and column."""
    grid = np.meshgrid(np.arange(num_frames), np.arange(height), np.arange(width), indexing="ij")
    return np.stack(grid, axis=-1).astype(np.uint8)


def differences(clip):
    """By how much frame, row and column change from one to the next along each axis; must be the same everywhere."""
    found = []
    for axis in range(3):
        steps = np.diff(clip.astype(int), axis=axis).reshape(-1, 3)
        assert np.all(steps == steps[0])
        found.append(tuple(steps[0]))
    return tuple(found)


def test_clips_are_windows_of_the_videos_in_all_directions():
    batches = list(patch_dataset([numbered(20, 9, 30), numbered(4, 4, 6)], SPEC, batch_size=50).take(4))
    clips = np.concatenate([batch.numpy() for batch in batches])
    assert (clips.shape, clips.dtype) == ((200, 3, 4, 6, 3), np.uint8)
    seen = {differences(clip) for clip in clips}
    times = {step[0][0] for step in seen}
    assert times == {-2, -1, 1, 2}
    assert all(abs(step[1][1]) == abs(step[2][2]) == 1 for step in seen)
    assert len({step[1:] for step in seen}) == 4  # mirrored or not, upside down or not
    starts = {tuple(clip[0, 0, 0]) for clip in clips}
    assert len(starts) > 60


def test_squares_are_turned_as_well():
    spec = ClipSpec(num_frames=2, height=5, width=5)
    clips = np.concatenate([batch.numpy() for batch in patch_dataset([numbered(5, 8, 8)], spec, seed=1).take(5)])
    turned = [differences(clip)[1][2] != 0 for clip in clips]
    assert 0 < sum(turned) < len(turned)


def test_pairs_are_cut_alike_and_seeds_repeat():
    good = numbered(8, 10, 10)
    first, second = (next(iter(patch_dataset([good], SPEC, 6, spoiled=[good + 100], seed=seed))) for seed in (7, 7))
    np.testing.assert_array_equal(first[0].numpy(), first[1]["frames"].numpy() + 100)
    np.testing.assert_array_equal(first[0], second[0])
    other = next(iter(patch_dataset([good], SPEC, 6, seed=8)))
    assert np.any(other.numpy() != first[1]["frames"].numpy())


def test_videos_too_small_and_pairs_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"3 frames of 4 x 6 pixels, received \(3, 4, 5, 3\) as video 1"):
        patch_dataset([numbered(9, 9, 9), numbered(3, 4, 5)], SPEC)
    with pytest.raises(ValueError, match=r"received \[\(9, 9, 8, 3\)\]"):
        patch_dataset([numbered(9, 9, 9)], SPEC, spoiled=[numbered(9, 9, 8)])
    with pytest.raises(ValueError, match="received none"):
        patch_dataset([], SPEC)

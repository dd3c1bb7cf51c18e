import itertools

import keras
import numpy as np
import pytest
from small_restorer import SmallRestorer

from sora_keras.apps.tiles import TiledRestoration, blend_weights, even_tile, tile_starts


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(3).integers(0, 256, (4, 150, 229, 3), np.uint8)


@pytest.mark.parametrize(("side", "tile", "overlap"), [(720, 512, 64), (1280, 208, 32), (449, 256, 64), (64, 64, 16)])
def test_weights_sum_to_one_and_spare_the_edges(side, tile, overlap):
    side = 16 * -(-side // 16)
    starts = tile_starts(side, tile, overlap)
    assert (starts[0], starts[-1]) == (0, side - tile)
    assert all(start % 16 == 0 for start in starts)
    assert all(later - earlier <= tile - overlap for earlier, later in itertools.pairwise(starts))
    total = np.zeros(side)
    for start, weights in zip(starts, blend_weights(starts, tile, side, overlap), strict=True):
        assert weights.min() >= 0
        total[start : start + tile] += weights
        if start > 0:
            assert not weights[: overlap // 4].any()
        if start + tile < side:
            assert not weights[-(overlap // 4) :].any()
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_known_blend():
    np.testing.assert_allclose(
        blend_weights([0, 4], 8, 12, 4), [[1, 1, 1, 1, 1, 0.75, 0.25, 0], [0, 0.25, 0.75, 1, 1, 1, 1, 1]]
    )


def test_even_tiles_are_no_more_and_no_larger():
    for side in range(16, 2000, 16):
        for largest, overlap in ((144, 64), (512, 64), (208, 32)):
            tile = even_tile(side, largest, overlap)
            assert tile <= min(largest, side)
            assert len(tile_starts(side, tile, overlap)) == len(tile_starts(side, min(largest, side), overlap))
    assert even_tile(720, 512, 64) == 400


@pytest.mark.parametrize(("scale", "tiles_at_once"), [(1, 1), (1, 4), (2, 3)])
def test_tiles_give_what_the_whole_frame_gives(frames, scale, tiles_at_once):
    """The model sees 2 pixels around, and after 4 frames still: its state is a sum of blurred frames."""
    model = SmallRestorer(scale)
    whole = TiledRestoration(model, 150, 229, tile_size=1024)
    tiled = TiledRestoration(model, 150, 229, 64, overlap=16, tiles_at_once=tiles_at_once)
    assert (whole.num_tiles, tiled.num_tiles) == (1, 15)
    for frame in frames:
        expected, received = whole.step(frame), tiled.step(frame)
        assert received.shape == (scale * 150, scale * 229, 3)
        assert received.dtype == np.float32
        np.testing.assert_allclose(received, expected, atol=1e-3)
    whole.forget()
    np.testing.assert_allclose(whole.step(frames[0]), TiledRestoration(model, 150, 229).step(frames[0]), atol=1e-4)


def test_frames_that_fit_are_not_changed_by_tiling(frames):
    """Against the model itself, called by hand on a frame padded by hand."""
    model = SmallRestorer()
    padded = np.concatenate([frames[0], frames[0, :-11:-1]])
    padded = np.concatenate([padded, padded[:, :-12:-1]], axis=1)
    direct = model.step_model(160, 240)({"frame": padded[None], **model.initial_state(1, 160, 240)})
    received = TiledRestoration(model, 150, 229).step(frames[0])
    np.testing.assert_allclose(received, keras.ops.convert_to_numpy(direct["frame"])[0, :150, :229], atol=1e-4)


@pytest.mark.parametrize("side", [1, 5, 16])
def test_tiny_frames(side):
    """Half of the frame, half of nothing, but where the blur sees beyond the padding."""
    frame = np.full((side, side, 3), 200, np.uint8)
    restored = TiledRestoration(SmallRestorer(), side, side).step(frame)
    assert restored.shape == (side, side, 3)
    np.testing.assert_allclose(restored[2:14, 2:14], 100, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile_size": 100}, r"multiple of 16 above twice the overlap of 64, received 100"),
        ({"tile_size": 128}, r"received 128; take 144"),
        ({"tile_size": 128, "overlap": -3}, r"overlap of -3"),
        ({"tiles_at_once": 0}, r"`tiles_at_once` must be at least 1, received 0"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        TiledRestoration(SmallRestorer(), 64, 64, **options)

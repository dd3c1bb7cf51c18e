import keras
import numpy as np
import pytest
from scipy.special import softmax

from sora_keras.layers.local_motion import LocalMotion

SIZE = 2


def move(picture, row_scores, column_scores):
    """Cells `(B, h, w, K, columns, C, rows)` back to pictures `(B, K, H, W, C)`."""
    cells = keras.ops.convert_to_numpy(LocalMotion(SIZE)(picture, row_scores, column_scores))
    batch_size, height, width, num_motions, _, channels, _ = cells.shape
    pictures = cells.transpose(0, 3, 1, 6, 2, 4, 5)
    return pictures.reshape(batch_size, num_motions, height * SIZE, width * SIZE, channels)


def slowly_moved(picture, row_scores, column_scores):
    """Pixel by pixel; beyond the border its cells are repeated."""
    batch_size, height, width, channels = picture.shape
    rows, columns = softmax(row_scores, axis=-1), softmax(column_scores, axis=-1)
    num_motions = rows.shape[3]
    padded = picture.reshape(batch_size, height // SIZE, SIZE, width // SIZE, SIZE, channels)
    padded = np.pad(padded, ((0, 0), (1, 1), (0, 0), (1, 1), (0, 0), (0, 0)), mode="edge")
    padded = padded.reshape(batch_size, height + 2 * SIZE, width + 2 * SIZE, channels)
    moved = np.zeros((batch_size, num_motions, height, width, channels))
    for b, k, y, x in np.ndindex(batch_size, num_motions, height, width):
        kernel = np.outer(rows[b, y // SIZE, x // SIZE, k], columns[b, y // SIZE, x // SIZE, k])
        around = padded[b, y : y + 2 * SIZE + 1, x : x + 2 * SIZE + 1]
        moved[b, k, y, x] = np.einsum("ij,ijc->c", kernel, around)
    return moved


@pytest.mark.parametrize("channels", [1, 3])
def test_is_an_average_of_the_pixels_around_each(channels):
    rng = np.random.default_rng(0)
    picture = rng.uniform(0, 1, (2, 6, 8, channels)).astype(np.float32)
    row_scores, column_scores = rng.normal(0, 2, (2, 2, 3, 4, 3, 2 * SIZE + 1)).astype(np.float32)
    expected = slowly_moved(picture, row_scores, column_scores)
    np.testing.assert_allclose(move(picture, row_scores, column_scores), expected, atol=1e-6)


def test_certain_scores_shift_the_picture():
    picture = np.random.default_rng(1).uniform(0, 1, (1, 12, 12, 3)).astype(np.float32)
    scores = np.full((1, 6, 6, 1, 5), -50, np.float32)
    row_scores, column_scores = scores.copy(), scores
    row_scores[..., 0], column_scores[..., 3] = 50, 50  # from two above, from one to the right
    moved = move(picture, row_scores, column_scores)[0, 0]
    np.testing.assert_allclose(moved[2:, :-1], picture[0, :-2, 1:], atol=1e-6)


def test_learns_the_farthest_motion_from_pixels_alone():
    keras.utils.set_random_seed(0)
    pictures = np.random.default_rng(2).uniform(0, 1, (64, 16, 16, 1)).astype(np.float32)
    cells = np.roll(pictures, (2, -2), axis=(1, 2)).reshape(64, 8, SIZE, 8, SIZE, 1).transpose(0, 1, 3, 4, 5, 2)
    picture, ones = keras.Input((16, 16, 1)), keras.Input((8, 8, 1, 1))
    scores = [keras.layers.Dense(5, use_bias=False, name=name)(ones) for name in ("rows", "columns")]
    model = keras.Model([picture, ones], LocalMotion(SIZE)(picture, *scores))
    model.compile(keras.optimizers.Adam(0.3), "mse")
    model.fit([pictures, np.ones((64, 8, 8, 1, 1))], cells[:, :, :, None], epochs=20, verbose=0)
    rows, columns = (softmax(model.get_layer(name).get_weights()[0][0]) for name in ("rows", "columns"))
    assert rows[0] > 0.9  # from two above
    assert columns[4] > 0.9  # from two to the right


def test_config_round_trip():
    assert LocalMotion.from_config(LocalMotion(7).get_config()).cell_size == 7


def test_cells_must_have_a_size():
    with pytest.raises(ValueError, match=r"`cell_size` must be at least 1, received -3"):
        LocalMotion(-3)

import keras
import numpy as np
from scipy.special import softmax

from sora_keras.layers.cell_mixing import mix_cells


def test_every_pixel_is_an_average_weighted_by_its_scores():
    rng = np.random.default_rng(0)
    height, width, num_pictures, size, channels = 2, 3, 4, 5, 3
    pictures = rng.uniform(0, 1, (2, num_pictures, height * size, width * size, channels))
    scores = rng.normal(0, 2, (2, num_pictures, height * size, width * size, 1))
    expected = np.sum(softmax(scores, axis=1) * pictures, axis=1)

    def in_cells(maps):  # (B, h, w, P, columns, C, rows)
        cells = maps.reshape(2, num_pictures, height, size, width, size, -1)
        return cells.transpose(0, 2, 4, 1, 5, 6, 3).astype(np.float32)

    mixed = mix_cells(in_cells(pictures), in_cells(scores).reshape(2, height, width, -1))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(mixed), expected, atol=1e-6)

import numpy as np

from sora_keras.features.gray import gray_frames
from sora_keras.video import Clip


def test_gray_is_the_weighted_sum_of_the_colors():
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 3), dtype=np.uint8)
    gray = gray_frames(Clip(frames, np.arange(2)))
    assert gray.dtype == np.uint8
    np.testing.assert_allclose(gray, frames @ [0.299, 0.587, 0.114], atol=0.51)

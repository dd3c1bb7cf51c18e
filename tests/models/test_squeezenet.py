import h5py
import numpy as np
import pytest

from sora_keras import read_clip
from sora_keras.models import SqueezeNet
from sora_keras.video import ClipSpec


def windows(x, size, stride):
    """`(H, W, C)` to `(h, w, C, size, size)`, no padding."""
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride]


def reference(weights, image):
    """SqueezeNet 1.1 in NumPy, from the file's own names."""

    def conv(x, name, stride=1):
        group = weights[name]
        names = [key.decode() if isinstance(key, bytes) else key for key in group.attrs["weight_names"]]
        kernel, bias = (np.asarray(group[key]) for key in names)
        if stride == 1 and len(kernel) == 3:
            x = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        return np.maximum(
            np.einsum("hwcij,ijco->hwo", windows(x, len(kernel), stride), kernel, optimize=True) + bias, 0
        )

    x = conv(image[..., ::-1] - np.array([103.939, 116.779, 123.68]), "conv1", stride=2)
    for fire in range(2, 10):
        if fire in (2, 4, 6):
            x = windows(x, 3, 2).max(axis=(-2, -1))
        x = conv(x, f"fire{fire}/squeeze1x1")
        x = np.concatenate([conv(x, f"fire{fire}/expand1x1"), conv(x, f"fire{fire}/expand3x3")], axis=-1)
    return x.mean(axis=(0, 1))


@pytest.mark.real_data
def test_features_equal_the_network_written_out(real_data):
    path = real_data / "weights" / "squeezenet1.1_imagenet_notop.h5"
    frames = read_clip(real_data / "clean" / "dog.mp4", ClipSpec(2, 96, 128)).frames.astype("float32")
    with h5py.File(path) as weights:
        expected = [reference(weights, frame) for frame in frames]
    features = SqueezeNet(96, 128, path).predict(frames, verbose=0)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-3)
    assert features.shape == (2, 512)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no SqueezeNet weights at .*absent\.h5"):
        SqueezeNet(64, 64, tmp_path / "absent.h5")

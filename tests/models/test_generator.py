import keras
import numpy as np
import pytest

from sora_keras.data.datasets.moving_mnist import moving_mnist_sequences
from sora_keras.data.idx import read_idx
from sora_keras.models.generator import SoraGenerator
from sora_keras.training import layer_precision
from sora_keras.video.clip import ClipSpec

SPEC = ClipSpec(num_frames=5, height=16, width=32)


def generator(**arguments):
    return SoraGenerator(SPEC, **{"filters": (4, 5, 6), "num_channels": 3, **arguments})


def random_frames(num_channels=3, num_frames=5):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, num_frames, 16, 32, num_channels), dtype=np.uint8)


@pytest.mark.slow
def test_passes_the_shared_check(check_video_model):
    def shapes(batch_size, num_frames):
        return (batch_size, num_frames, *SPEC.shape[1:])

    check_video_model(generator, SPEC, shapes, targets=random_frames(num_frames=8))


@pytest.mark.parametrize("num_channels", [1, 3])
def test_frame_by_frame_and_rolled_out_give_the_same_frames(num_channels):
    model, frames = generator(num_channels=num_channels), random_frames(num_channels)
    expected = model.predict(frames, verbose=0)
    assert expected.dtype == np.float32
    assert 1 < np.ptp(expected) <= 255
    state = None
    for index in range(5):
        next_frame, state = model.predict_next_frame(frames[:, index], state)
        np.testing.assert_allclose(next_frame, expected[:, index], atol=1e-3)
    rolled = model.predict_frames(frames, num_frames=3)
    assert rolled.shape == (2, 3, 16, 32, num_channels)
    np.testing.assert_allclose(rolled[:, 0], expected[:, -1], atol=1e-3)
    np.testing.assert_allclose(model.predict_frames(frames, 1), rolled[:, :1], atol=1e-3)


def test_the_rollout_reads_its_own_predictions():
    model, frames = generator(), random_frames()
    rolled = model.predict_frames(frames, num_frames=3)
    # Rounded, as a user would feed them back: off by half a gray at most.
    shown = np.concatenate([frames, np.round(rolled[:, :2]).astype(np.uint8)], axis=1)
    np.testing.assert_allclose(model.predict(shown, verbose=0)[:, -3:], rolled, atol=1.0)


def test_training_without_true_frames_is_the_rollout():
    model, frames = generator(num_context_frames=2), random_frames()
    inputs, targets = frames[:, :-1], frames[:, 1:]
    model.compile(keras.optimizers.SGD(0.0), "mean_squared_error")
    trained = model.fit(inputs, targets, verbose=0).history["loss"][0]
    first = model.predict(inputs[:, :1], verbose=0)
    rolled = np.concatenate([first, model.predict_frames(inputs[:, :2], 3)], axis=1)
    assert trained == pytest.approx(np.mean((rolled - targets) ** 2), rel=1e-5)
    shown = model.evaluate(inputs, targets, verbose=0)
    assert shown == pytest.approx(np.mean((model.predict(inputs, verbose=0) - targets) ** 2), rel=1e-5)
    assert abs(shown - trained) > 1e-3


@pytest.mark.parametrize("num_motions", [0, 2])
def test_learns_in_half_precision(num_motions):
    arguments = {"num_motions": num_motions, "num_context_frames": 2, "sampling_steps": 2}
    model, frames = generator(**arguments), random_frames()
    expected = model.predict(frames, verbose=0)
    with layer_precision("mixed_bfloat16"):
        half = generator(**arguments)
    half.set_weights(model.get_weights())
    np.testing.assert_allclose(half.predict(frames, verbose=0), expected, atol=4.0)  # eight bits of 255, added up
    losses = half.fit(frames[:, :-1], frames[:, 1:], epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert {weight.dtype for weight in half.weights} == {"float32"}


@pytest.mark.slow
@pytest.mark.real_data
def test_learns_how_digits_move(real_data):
    keras.utils.set_random_seed(0)
    digits = read_idx(real_data / "mnist" / "t10k-images-idx3-ubyte.gz")
    train = moving_mnist_sequences(digits[:8000], 320, seed=0, num_frames=8)[..., None]
    held_out = moving_mnist_sequences(digits[8000:], 16, seed=1, num_frames=8)[..., None]
    model = SoraGenerator(ClipSpec(8, 64, 64), (12, 16, 24), num_channels=1, learning_rate=3e-3)
    model.fit(train[:, :-1], train[:, 1:], batch_size=8, epochs=2, verbose=0)
    true = held_out[:, 1:].astype(np.float32)
    error = np.mean((model.predict(held_out[:, :-1], verbose=0) - true) ** 2)
    copy_last = np.mean((held_out[:, :-1] - true) ** 2)
    assert error < 0.5 * copy_last


def test_config_round_trip():
    model = generator(
        num_motions=3, cell_size=2, num_channels=1, num_context_frames=7, sampling_steps=11, learning_rate=0.003
    )
    rebuilt = SoraGenerator.from_config(model.get_config())
    assert rebuilt.get_config() == model.get_config()
    assert rebuilt.clip_spec == SPEC
    assert (rebuilt.num_motions, rebuilt.cell_size, rebuilt.num_channels) == (3, 2, 1)
    assert (rebuilt.num_context_frames, rebuilt.sampling_steps) == (7, 11)
    assert float(rebuilt.optimizer.learning_rate) == pytest.approx(0.003)


def test_preset_round_trip(tmp_path):
    model, frames = generator(num_context_frames=2, sampling_steps=9), random_frames()
    model.fit(frames[:, :-1], frames[:, 1:], epochs=2, verbose=0)
    model.save_to_preset(tmp_path)
    loaded = SoraGenerator.from_preset(tmp_path)
    np.testing.assert_allclose(loaded.predict_frames(frames, 2), model.predict_frames(frames, 2), atol=1e-3)
    assert float(loaded.get_layer("scheduled_sampling").steps_done) == 2
    assert len(loaded.trainable_variables) == len(model.trainable_variables)


def test_a_frozen_one_stays_frozen(tmp_path):
    model = generator()
    model.trainable = False
    model.save_to_preset(tmp_path)
    assert SoraGenerator.from_preset(tmp_path).trainable_variables == []


def test_channels_must_be_gray_or_color():
    with pytest.raises(ValueError, match=r"`num_channels` must be 1 for gray or 3 for RGB, received 4"):
        generator(num_channels=4)


def test_at_least_one_frame_is_predicted():
    with pytest.raises(ValueError, match=r"`num_frames` must be at least 1, received -2"):
        generator().predict_frames(random_frames(), -2)


@pytest.mark.parametrize(
    ("frames", "received"),
    [
        (np.zeros((5, 16, 32, 3), np.uint8), r"received uint8 of shape \(5, 16, 32, 3\)"),
        (np.zeros((1, 5, 16, 32, 1), np.uint8), r"received uint8 of shape \(1, 5, 16, 32, 1\)"),
        (np.zeros((1, 5, 16, 32, 3), np.float32), r"received float32 of shape"),
    ],
)
def test_frames_must_be_those_of_the_model(frames, received):
    with pytest.raises(ValueError, match=r"uint8 of shape \(B, T, 16, 32, 3\), " + received):
        generator().predict_frames(frames, 2)

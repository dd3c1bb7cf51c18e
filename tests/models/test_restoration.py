import cv2
import keras
import numpy as np
import pytest
from PIL import Image

from sora_keras import ClipSpec, SoraBackbone
from sora_keras.data.patches import patch_dataset
from sora_keras.layers.frame_noise import FrameNoise
from sora_keras.models.enhancer import SoraEnhancer

SPEC = ClipSpec(num_frames=4, height=16, width=24)


def enhancer(**arguments):
    return SoraEnhancer(mode="restore", clip_spec=SPEC, **{"filters": 6, "num_blocks": 1, **arguments})


def stirred(model, seed=0):
    """The model with weights that let everything take part; as made, it adds nothing."""
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(0, 0.1, weights.shape) for weights in model.get_weights()])
    return model


def clips(num_clips=2, num_frames=4, height=16, width=24, seed=0):
    """A smooth picture that moves by a pixel a frame."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(num_clips):
        coarse = generator.uniform(0, 255, (6, 8, 3))
        picture = cv2.resize(coarse, (width + num_frames, height), interpolation=cv2.INTER_CUBIC)
        made.append(np.stack([picture[:, t : t + width] for t in range(num_frames)]))
    return np.clip(np.stack(made), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("scale", [1, 4])
def test_passes_the_shared_check(check_video_model, scale):
    def shapes(batch_size, num_frames):
        return {"frames": (batch_size, num_frames, 16 * scale, 24 * scale, 3)}

    targets = {"frames": np.full((2, 7, 16 * scale, 24 * scale, 3), 90, np.uint8)}
    check_video_model(lambda: enhancer(scale=scale), SPEC, shapes, targets=targets, atol=1e-3)


@pytest.mark.parametrize(("scale", "is_recurrent"), [(1, True), (2, True), (4, True), (1, False)])
def test_frame_by_frame_equals_the_whole_clip(scale, is_recurrent):
    model = stirred(enhancer(scale=scale, is_recurrent=is_recurrent))
    frames = clips(num_frames=5)
    whole = model.predict(frames, verbose=0)["frames"]
    step, state = model.step_model(16, 24), model.initial_state(2, 16, 24)
    for index in range(5):
        state = step.predict_on_batch({"frame": frames[:, index], **state})
        np.testing.assert_allclose(state.pop("frame"), whole[:, index], atol=2e-3)


@pytest.mark.parametrize("is_recurrent", [True, False])
def test_only_the_recurrent_network_depends_on_the_past_and_none_on_the_future(is_recurrent):
    frames = clips(num_frames=4)
    changed = frames.copy()
    changed[:, 1] = 255 - changed[:, 1]
    model = stirred(enhancer(is_recurrent=is_recurrent))
    before, after = (model.predict(clip, verbose=0)["frames"] for clip in (frames, changed))
    differences = np.abs(before - after).max(axis=(0, 2, 3, 4))
    assert differences[0] == 0
    assert differences[1] > 1
    assert np.all((differences[2:] > 0) == is_recurrent)


def test_a_new_network_enlarges_like_a_bicubic_filter():
    frames = clips(num_frames=1, height=32, width=32)
    model = SoraEnhancer(mode="restore", clip_spec=ClipSpec(1, 32, 32), scale=4, is_recurrent=False)
    enlarged = model.predict(frames, verbose=0)["frames"][0, 0]
    expected = np.asarray(Image.fromarray(frames[0, 0]).resize((128, 128), Image.Resampling.BICUBIC))
    assert np.abs(np.clip(enlarged, 0, 255) - expected)[8:-8, 8:-8].max() < 2  # Pillow rounds twice


def test_other_sizes_than_trained_on_are_restored_frame_by_frame():
    model = stirred(enhancer())
    step = model.step_model(32, 16)
    state = step.predict_on_batch({"frame": clips(3, 1, 32, 16)[:, 0], **model.initial_state(3, 32, 16)})
    assert state["frame"].shape == (3, 32, 16, 3)
    assert state["last_features"].shape == (3, 16, 8, 1)


def test_it_learns_to_remove_noise_and_the_past_helps():
    keras.utils.set_random_seed(0)
    noise = FrameNoise(40.0, seed=1)
    spec = ClipSpec(4, 32, 32)
    pairs = patch_dataset(list(clips(6, 12, 32, 32, seed=2)), spec, batch_size=6)
    pairs = pairs.map(lambda good: (noise(good), {"frames": good}))
    model = SoraEnhancer(mode="restore", clip_spec=spec, filters=8, num_blocks=1, learning_rate=5e-3)
    model.fit(pairs, steps_per_epoch=60, epochs=1, shuffle=False, verbose=0)
    good = clips(4, 6, 32, 32, seed=3)
    bad = np.asarray(noise(good))
    errors = np.square(model.predict(bad, verbose=0)["frames"] - good).mean(axis=(0, 2, 3, 4))
    assert errors.mean() < 0.6 * np.square(bad.astype(float) - good).mean()
    assert errors[3:].mean() < 0.7 * errors[0]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="multiples of 4, received 18 x 24"):
        SoraEnhancer(mode="restore", clip_spec=ClipSpec(4, 18, 24))
    with pytest.raises(ValueError, match=r"one of \(1, 2, 4\), received 3"):
        enhancer(scale=3)
    with pytest.raises(ValueError, match="`num_blocks` must be at least 1, received 0"):
        enhancer(num_blocks=0)
    with pytest.raises(ValueError, match="clip_spec=None"):
        SoraEnhancer(mode="restore")
    with pytest.raises(ValueError, match="received scale=2"):
        SoraEnhancer(SoraBackbone(SPEC, filters=(4,), units=(4,), motion=None), scale=2)
    with pytest.raises(ValueError, match="this model has mode='parameters'"):
        SoraEnhancer(SoraBackbone(SPEC, filters=(4,), units=(4,), motion=None)).step_model(16, 24)


def test_a_preset_is_loaded_for_other_clips(tmp_path):
    stirred(enhancer()).save_to_preset(tmp_path / "a")
    kept = SoraEnhancer.from_preset(tmp_path / "a")
    larger = SoraEnhancer.from_preset(tmp_path / "a", ClipSpec(5, 32, 20))
    frames = np.random.default_rng(0).integers(0, 256, (1, 4, 32, 20, 3), dtype=np.uint8)
    step, state, expected = kept.step_model(32, 20), kept.initial_state(1, 32, 20), []
    for frame in np.moveaxis(frames, 1, 0):
        state = step.predict_on_batch({"frame": frame, **state})
        expected.append(state.pop("frame"))
    restored = larger.predict(frames, verbose=0)["frames"]
    np.testing.assert_allclose(restored, np.stack(expected, axis=1), atol=1e-3)
    assert larger.clip_spec == ClipSpec(5, 32, 20)


def test_only_a_model_that_restores_is_loaded_for_other_clips(tmp_path):
    backbone = SoraBackbone(ClipSpec(4, 16, 16), filters=(4,), units=(4,), motion=None)
    SoraEnhancer(backbone).save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="has mode='parameters': leave `clip_spec` out"):
        SoraEnhancer.from_preset(tmp_path, ClipSpec(4, 32, 48))

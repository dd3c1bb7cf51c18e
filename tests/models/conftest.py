"""The one test that every video model passes."""

import keras
import numpy as np
import pytest


@pytest.fixture
def check_video_model(tmp_path):
    """Check a model that `build()` makes: shapes, a fit step, `.keras` and SavedModel equality, two values of T."""

    def check(build, clip_spec, output_shapes, targets, inputs_of=lambda frames: frames, atol=1e-5):
        model = build()
        rng = np.random.default_rng(0)
        for num_frames in (clip_spec.num_frames, clip_spec.num_frames + 3):
            frames = inputs_of(rng.integers(0, 256, (2, num_frames, *clip_spec.shape[1:]), dtype=np.uint8))
            outputs = model.predict(frames, verbose=0)
            assert keras.tree.map_structure(np.shape, outputs) == output_shapes(2, num_frames)
        if targets is not None:
            before = model.get_weights()
            model.fit(frames, targets, verbose=0)
            assert any(np.any(old != new) for old, new in zip(before, model.get_weights(), strict=True))
        expected = model.predict(frames, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert type(loaded) is type(model)
        # A new graph may add in another order, by the last bit of a float.
        keras.tree.map_structure(
            lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-5, atol=atol),
            loaded.predict(frames, verbose=0),
            expected,
        )
        model.export(tmp_path / "saved_model", verbose=False)
        served = keras.layers.TFSMLayer(tmp_path / "saved_model", call_endpoint="serve")(frames)
        keras.tree.map_structure(
            lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-5, atol=atol),
            dict_or_array(served),
            expected,
        )

    def dict_or_array(outputs):
        return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

    return check

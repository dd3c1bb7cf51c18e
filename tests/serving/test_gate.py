import numpy as np
import pytest
import tensorflow as tf

from sora_keras.serving.gate import check_in_session, example_inputs, refuse_unservable

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3), dtype=np.uint8)
SPEC = tf.TensorSpec((None, None, 4, 5, 3), tf.uint8, name="frames")


class Model(tf.Module):
    """The mean of each clip, times a weight."""

    def __init__(self, weight, ensures=True):
        super().__init__()
        self.weight, self.ensures = tf.Variable(weight), ensures
        self.serve = tf.function(self.answer, input_signature=[SPEC])
        self.serve.get_concrete_function()

    def answer(self, frames):
        frames = tf.ensure_shape(frames, SPEC.shape) if self.ensures else frames
        means = tf.reduce_mean(tf.reshape(tf.cast(frames, tf.float32), (tf.shape(frames)[0], -1)), axis=1)
        return {"mean": self.weight * means, "name": tf.fill(tf.shape(means), "a")}


def saved(model, path):
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.serve})
    return {"serving_default": model.serve}


def test_what_a_session_answers_is_reported(tmp_path):
    functions = saved(Model(2.0), tmp_path)
    report = check_in_session(tmp_path, functions, CLIPS)["serving_default"]
    assert sorted(report) == ["batch_1", "batch_5", "wrong_rank"]
    assert max(report["batch_1"], report["batch_5"]) < 1e-3
    assert "not compatible" in report["wrong_rank"]


def test_another_answer_is_named(tmp_path):
    saved(Model(2.0), tmp_path)
    with pytest.raises(ValueError, match=r"differs from the model by .* in mean of serving_default\.batch_1, and may"):
        check_in_session(tmp_path, {"serving_default": Model(2.01).serve}, CLIPS)


def test_a_wrong_rank_must_be_refused(tmp_path):
    functions = saved(Model(1.0, ensures=False), tmp_path)
    with pytest.raises(ValueError, match=r"answers inputs of a wrong rank \(serving_default\.wrong_rank\)"):
        check_in_session(tmp_path, functions, CLIPS)


class Told(tf.Module):
    """A text, once for each index; without a check, for any rank of indices."""

    def __init__(self, ensures):
        super().__init__()

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, name="index")])
        def serve(index):
            return {"text": tf.fill(tf.shape(tf.ensure_shape(index, (None,)) if ensures else index), "a")}

        serve.get_concrete_function()
        self.serve = serve


def test_indices_are_asked_for_too(tmp_path):
    functions = saved(Told(ensures=True), tmp_path / "told")
    report = check_in_session(tmp_path / "told", functions, CLIPS)["serving_default"]
    assert (report["batch_1"], report["batch_5"]) == (0.0, 0.0)
    assert "not compatible" in report["wrong_rank"]
    functions = saved(Told(ensures=False), tmp_path / "unchecked")
    with pytest.raises(ValueError, match=r"answers inputs of a wrong rank \(serving_default\.wrong_rank\)"):
        check_in_session(tmp_path / "unchecked", functions, CLIPS)


def test_encoded_clips_are_asked_for_as_pictures():
    function = tf.function(input_signature=[tf.TensorSpec((None, None), tf.string, name="frames")])(lambda frames: {})
    function.get_concrete_function()
    for name in ("encoded", "embed_encoded"):
        frames = example_inputs(name, function, CLIPS)["frames"]
        pictures = [[tf.io.decode_png(frame).numpy() for frame in clip] for clip in frames]
        np.testing.assert_array_equal(pictures, CLIPS)


def test_a_process_that_ends_is_told(tmp_path):
    functions = saved(Model(1.0), tmp_path)
    (tmp_path / "variables" / "variables.index").write_bytes(b"")
    with pytest.raises(ValueError, match=r"(?s)ended the process that loaded it.*exit status 1.*variables"):
        check_in_session(tmp_path, functions, CLIPS)


def traced(function, **arguments):
    function = tf.function(function, input_signature=[tf.TensorSpec((None,), tf.float32, name="x")], **arguments)
    function.get_concrete_function()
    return function


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: {"y": tf.numpy_function(np.sqrt, [x], tf.float32)}, r"cannot run: \['PyFunc'\]"),
        (lambda x: {"y": tf.function(tf.sqrt, jit_compile=True)(x)}, "functions with `jit_compile=True`"),
        (lambda x: {"y": tf.cast(x, tf.float16)}, "signature 'embed' takes or gives float16"),
        (lambda x: {"y": tf.cast(x, tf.bfloat16)}, "signature 'embed' takes or gives bfloat16"),
    ],
)
def test_what_a_server_cannot_run_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        refuse_unservable("embed", traced(function))


def test_what_it_can_run_passes():
    refuse_unservable("embed", traced(lambda x: {"y": tf.sqrt(x)}))

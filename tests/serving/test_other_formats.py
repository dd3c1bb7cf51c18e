"""Keras's own `model.export(path, format=...)` on our models, beside `sora_keras.export`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier

SPEC = ClipSpec(num_frames=12, height=24, width=32)
CLIP = np.random.default_rng(0).integers(0, 256, (1, *SPEC.shape), dtype=np.uint8)
# LiteRT's LSTM wants to know how many clips and frames there are.
ONE_CLIP = [keras.InputSpec(shape=CLIP.shape, dtype="uint8", name="frames")]
KERAS = tuple(int(number) for number in keras.__version__.split(".")[:2])


@pytest.fixture(scope="module", params=["lstm", "bidirectional_lstm", "attention"])
def model(request):
    keras.utils.set_random_seed(0)
    backbone = SoraBackbone(SPEC, filters=(4, 6), units=(8,), sequence=request.param)
    return SoraClassifier(backbone, ["still", "moving", "falling"])


@pytest.mark.skipif(KERAS < (3, 13), reason="Keras exports LiteRT from 3.13 on")
@pytest.mark.filterwarnings("ignore")
def test_litert_answers_as_the_model(model, tmp_path):
    model.export(tmp_path / "model.tflite", format="litert", verbose=False, input_signature=ONE_CLIP)
    interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    interpreter.allocate_tensors()
    [frames], [logits] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(frames["index"], CLIP)
    interpreter.invoke()
    np.testing.assert_allclose(interpreter.get_tensor(logits["index"]), model.predict(CLIP, verbose=0), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_onnx_runtime_answers_as_the_model(model, tmp_path):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    if model.backbone.sequence == "attention":
        pytest.skip("tf2onnx knows no Erfc, by which TensorFlow computes GELU (onnx/tensorflow-onnx#2463)")
    model.predict(CLIP, verbose=0)  # Keras exports to ONNX only what was called
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for clips in (CLIP, CLIP[:, :3], np.concatenate([CLIP, CLIP[:, ::-1]]), np.concatenate([CLIP] * 3, axis=1)[:, 1:]):
        [logits] = session.run(None, {"frames": clips})
        np.testing.assert_allclose(logits, model.predict(clips, verbose=0), atol=1e-5)

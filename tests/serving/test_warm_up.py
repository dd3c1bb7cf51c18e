import numpy as np
import pytest
import tensorflow as tf

from sora_keras.serving.warm_up import write_warm_up

prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


def test_requests_are_read_back(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (1, 2, 4, 5, 3), dtype=np.uint8)
    encoded = np.array([[b"\x89PNG", b"\xff\xd8"]], object)
    file = write_warm_up(tmp_path, "fights", {"serving_default": {"frames": frames}, "encoded": {"frames": encoded}})
    assert file == tmp_path / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(r) for r in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    ]
    requests = [log.predict_log.request for log in logs]
    assert [(of.model_spec.name, of.model_spec.signature_name) for of in requests] == [
        ("fights", "serving_default"),
        ("fights", "encoded"),
    ]
    np.testing.assert_array_equal(tf.make_ndarray(requests[0].inputs["frames"]), frames)
    np.testing.assert_array_equal(tf.make_ndarray(requests[1].inputs["frames"]), encoded)

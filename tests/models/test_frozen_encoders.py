import keras
import numpy as np
import pytest

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier
from sora_keras.models import split_after_encoders

SPEC = ClipSpec(num_frames=5, height=16, width=16)
CLIPS = np.random.default_rng(0).integers(0, 256, (4, 5, 16, 16, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 1, 0])


def image_network(trainable=False):
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    network = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x), name="image_network")
    network.trainable = trainable
    return network


def classifier(**arguments):
    encoder = image_network()
    streams = {"filters": (), "frame_encoder": encoder, "motion_encoder": encoder, **arguments}
    return SoraClassifier(SoraBackbone(SPEC, units=(7,), **streams), ["a", "b"], dropout=0.0, l2=0.01)


def test_training_the_rest_trains_the_model_as_training_it_whole_does():
    split, whole = classifier(), classifier()
    whole.set_weights(split.get_weights())
    reader, rest = split_after_encoders(split)
    features = reader.predict(CLIPS, verbose=0)
    assert [array.shape for array in features] == [(4, 5, 6), (4, 5, 6)]
    histories = [
        model.fit(inputs, LABELS, epochs=3, batch_size=4, shuffle=False, verbose=0).history
        for model, inputs in ((rest, features), (whole, CLIPS))
    ]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)
    assert histories[0].keys() == histories[1].keys() == {"loss", "accuracy"}
    np.testing.assert_allclose(split.predict(CLIPS, verbose=0), whole.predict(CLIPS, verbose=0), atol=1e-5)
    np.testing.assert_array_equal(split.predict(CLIPS, verbose=0), rest.predict(features, verbose=0))


def test_other_inputs_stay_inputs_of_the_rest():
    model = classifier(frame_encoder=None, num_features=3)
    reader, rest = split_after_encoders(model)
    inputs = {"frames": CLIPS, "features": np.random.default_rng(1).normal(size=(4, 5, 3)).astype("float32")}
    (encoded,) = keras.tree.flatten(reader.predict(inputs, verbose=0))
    got = rest.predict([encoded, inputs["features"]], verbose=0)
    np.testing.assert_array_equal(got, model.predict(inputs, verbose=0))


def test_a_backbone_splits_too():
    backbone = classifier().backbone
    reader, rest = split_after_encoders(backbone)
    expected = backbone.predict(CLIPS, verbose=0)["embedding"]
    np.testing.assert_array_equal(rest.predict(reader.predict(CLIPS, verbose=0), verbose=0)["embedding"], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": (4,), "frame_encoder": None, "motion_encoder": None}, r"have frozen encoders, received \[\]"),
        ({"motion_encoder": image_network(True)}, r"received \['image_network', 'image_network'\]"),
        ({"filters": (4, 9), "frame_encoder": None}, r"reads the frames by \(4, 9\) Conv2D filters"),
    ],
)
def test_what_cannot_be_split_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        split_after_encoders(classifier(**arguments))

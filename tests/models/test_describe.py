import keras
import pytest
import tensorflow as tf

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier, SoraEnhancer, SoraGenerator
from sora_keras.models import EfficientNetLite0, ModelDescription, SqueezeNet, describe_model, image_encoder
from sora_keras.models.sequence import read_sequence

SPEC = ClipSpec(num_frames=5, height=16, width=24)


def profiled(model, shape):
    """What TensorFlow's own profiler counts for the products."""
    graph = tf.function(lambda image: model(image, training=False)).get_concrete_function(tf.TensorSpec(shape)).graph
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    options["account_type_regexes"] = ["Conv2D", "DepthwiseConv2dNative", "MatMul"]
    return tf.compat.v1.profiler.profile(graph=graph, cmd="op", options=options).total_float_ops


@pytest.mark.parametrize(
    "build",
    [EfficientNetLite0, SqueezeNet, lambda height, width: image_encoder("MobileNetV2", height, width)],
)
def test_operations_of_a_frame_are_those_that_tensorflow_counts(build):
    encoder = build(64, 48)
    expected = profiled(encoder, (1, 64, 48, 3))
    assert expected > 1e6
    assert describe_model(encoder, num_frames=1, repeats=0).flops_per_clip == expected
    backbone = SoraBackbone(ClipSpec(7, 64, 48), (4,), (5,), motion=None, frame_encoder=encoder)
    sequence = 2 * 7 * 4 * 5 * (encoder.output_shape[1] + 5)
    assert describe_model(backbone, repeats=0).flops_per_clip == 7 * expected + sequence


@pytest.mark.parametrize(
    ("build", "step"),
    [
        (
            lambda spec: SoraGenerator(spec, (5, 6, 7), num_motions=0, cell_size=2),
            lambda model, frame: model.get_layer("recurrence").cell(
                tf.concat([frame, frame[..., :1]], axis=-1), model.get_layer("recurrence").cell.get_initial_state(1)
            ),
        ),
        (
            lambda spec: SoraEnhancer(mode="restore", clip_spec=spec, filters=8),
            lambda model, frame: model._cell(frame, model._cell.get_initial_state(1)),
        ),
    ],
)
def test_operations_of_recurrent_frames_are_those_that_tensorflow_counts(build, step):
    model = build(ClipSpec(7, 48, 32))
    expected = profiled(lambda frame, training: step(model, frame), (1, 48, 32, 3))
    assert expected > 1e6
    assert describe_model(model, repeats=0).flops_per_clip == 7 * expected


def test_operations_of_the_blocks_by_hand():
    blocks = 16 * 24 * 9 * 6 * 4 + 8 * 12 * 9 * 4 * 6
    lstm = 4 * 7 * (6 + 7)
    for num_frames in (5, 11):
        backbone = SoraBackbone(SPEC, filters=(4, 6), units=(7,))
        described = describe_model(backbone, num_frames, repeats=0)
        assert described.flops_per_clip == 2 * num_frames * (blocks + lstm)


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ("lstm", 9 * 4 * 8 * (6 + 8)),
        ("gru", 9 * 3 * 8 * (6 + 8)),
        ("bidirectional_lstm", 2 * 9 * 4 * 8 * (6 + 8)),
        ("lstm_attention", 9 * 4 * 8 * (6 + 8) + 9 * (8 * 8 + 8 + 8)),
        # Width, four projections, products of queries with keys and of weights with values, expand and contract.
        ("attention", 9 * 6 * 8 + 4 * 9 * 8 * 8 + 2 * 9 * 9 * 8 + 2 * 9 * 8 * 32),
    ],
)
def test_operations_of_the_sequence_by_hand(sequence, expected):
    features = keras.Input((None, 6))
    model = keras.Model(features, read_sequence(features, sequence, (8,), 0.0, 0.0, None))
    assert describe_model(model, num_frames=9, repeats=0).flops_per_clip == 2 * expected


def test_parameters_and_time_of_a_classifier():
    backbone = SoraBackbone(SPEC, filters=(4,), units=(7,), motion="flow", has_padding=True)
    backbone.trainable = False
    described = describe_model(SoraClassifier(backbone, ["a", "b"]), repeats=2)
    convolutions = 2 * (9 * 3 * 4 + 4)
    lstm = 4 * 7 * (8 + 7 + 1)
    assert described.parameters == convolutions + lstm + (7 + 2 * 8 + 1) * 2
    assert described.trainable_parameters == (7 + 2 * 8 + 1) * 2
    assert described.milliseconds_per_clip > 0
    assert isinstance(described, ModelDescription)


def test_a_model_that_says_nothing_of_its_clips_is_named():
    inputs = keras.Input((None, 6))
    model = keras.Model(inputs, keras.layers.GRU(2)(inputs), name="mine")
    with pytest.raises(ValueError, match=r"'mine' has no `clip_spec`.*give `num_frames`"):
        describe_model(model)

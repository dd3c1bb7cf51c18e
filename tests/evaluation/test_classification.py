from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sora_keras.data import Row
from sora_keras.evaluation import classification_metrics, evaluate_classifier

NAMES = ["dark", "gray", "bright"]


def build_brightness_classifier(activation=None):
    """Logits grow along with how near the mean brightness is to 0, 0.5 and 1."""
    frames = keras.Input((None, 4, 4, 3), dtype="uint8")
    brightness = keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(frames))
    head = keras.layers.Dense(3, activation=activation)
    logits = head(brightness)
    levels = np.array([0.0, 0.5, 1.0])
    head.set_weights([np.tile(20 * levels / 3, (3, 1)), -10 * levels**2])
    return keras.Model(frames, logits)


@pytest.fixture(scope="module")
def model():
    return build_brightness_classifier()


def clips(*brightnesses):
    return np.stack([np.full((2, 4, 4, 3), brightness, np.uint8) for brightness in brightnesses])


FRAMES = clips(0, 128, 255, 10, 120, 250, 255)
LABELS = np.array([0, 1, 2, 1, 1, 0, 1])  # wrong: clips 3 (dark), 5 and 6 (bright)
WRONG = [6, 5, 3]


def dataset_of(frames=FRAMES, labels=LABELS, batch_size=3):
    return tf.data.Dataset.from_tensor_slices((frames, labels)).batch(batch_size)


class Named:
    """A dataset with what `video_dataset_from_directory` leaves on its own."""

    def __init__(self, dataset, **attributes):
        self.dataset = dataset
        vars(self).update(attributes)

    def __iter__(self):
        return iter(self.dataset)


def rows_of(paths, groups=None):
    return [Row(path, "gray", group) for path, group in zip(paths, groups or paths, strict=True)]


def test_evaluation_agrees_with_keras_predict(model):
    evaluation = evaluate_classifier(model, dataset_of(), NAMES)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(FRAMES, verbose=0)))
    assert evaluation.labels.tolist() == LABELS.tolist()
    assert evaluation.probabilities == pytest.approx(expected, abs=1e-6)
    assert evaluation.metrics == classification_metrics(evaluation.labels, evaluation.probabilities, NAMES)
    assert evaluation.metrics["accuracy"] == pytest.approx(4 / 7)


def test_mistakes_are_the_most_confident_ones(model):
    paths = [f"videos/{index}.mp4" for index in range(7)]
    evaluation = evaluate_classifier(model, Named(dataset_of(), rows=rows_of(paths)), NAMES)
    assert [mistake.path for mistake in evaluation.mistakes] == [paths[index] for index in WRONG]
    worst = evaluation.mistakes[0]
    assert (worst.true_name, worst.predicted_name) == ("gray", "bright")
    assert worst.probability == evaluation.probabilities[6].max()
    assert worst.frames.tolist() == FRAMES[6].tolist()


@pytest.mark.parametrize("num_mistakes", [0, 1, 2])
@pytest.mark.parametrize("batch_size", [1, 7])
def test_only_so_many_mistakes_are_kept(model, num_mistakes, batch_size):
    evaluation = evaluate_classifier(model, dataset_of(batch_size=batch_size), NAMES, num_mistakes=num_mistakes)
    expected = [FRAMES[index].tolist() for index in WRONG[:num_mistakes]]
    assert [mistake.frames.tolist() for mistake in evaluation.mistakes] == expected
    assert all(mistake.frames.base is None for mistake in evaluation.mistakes)


@pytest.mark.parametrize("labels", [np.eye(3)[LABELS], LABELS[:, None], LABELS.astype(np.uint8)])
def test_labels_may_be_one_hot_or_a_column(model, labels):
    assert evaluate_classifier(model, dataset_of(labels=labels), NAMES).labels.tolist() == LABELS.tolist()


def test_probabilities_are_taken_when_said_so(model):
    expected = evaluate_classifier(model, dataset_of(), NAMES).probabilities
    softmax_model = build_brightness_classifier("softmax")
    evaluation = evaluate_classifier(softmax_model, dataset_of(), NAMES, from_logits=False)
    assert evaluation.probabilities == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="from_logits=False"):
        evaluate_classifier(softmax_model, dataset_of(), NAMES)
    with pytest.raises(ValueError, match="Apply softmax"):
        evaluate_classifier(model, dataset_of(), NAMES, from_logits=False)


def test_class_names_come_from_the_model_else_the_dataset_else_numbers():
    model, dataset = build_brightness_classifier(), Named(dataset_of(), class_names=NAMES)
    assert evaluate_classifier(model, dataset_of()).metrics["class_names"] == ["0", "1", "2"]
    assert evaluate_classifier(model, dataset).metrics["class_names"] == NAMES
    model.class_names = ["x", "y", "z"]
    assert evaluate_classifier(model, dataset_of()).metrics["class_names"] == ["x", "y", "z"]
    with pytest.raises(ValueError, match=r"received \['x', 'y', 'z'\] and \['dark', 'gray', 'bright'\]"):
        evaluate_classifier(model, dataset)
    assert evaluate_classifier(model, dataset, ["l", "m", "n"]).metrics["class_names"] == ["l", "m", "n"]


def test_groups_reach_the_metrics(model):
    metrics = evaluate_classifier(model, dataset_of(), NAMES, groups=list("aabbccd")).metrics
    assert metrics["num_groups"] == 4


def test_groups_of_the_rows_count_where_clips_share_them(model):
    rows = rows_of([f"{index}.mp4" for index in range(7)], groups="aabbccd")
    assert evaluate_classifier(model, Named(dataset_of(), rows=rows), NAMES).metrics["num_groups"] == 4
    alone = rows_of([f"{index}.mp4" for index in range(7)], groups="abcdefg")
    assert evaluate_classifier(model, Named(dataset_of(), rows=alone), NAMES).metrics["num_groups"] is None


def test_skipped_files_do_not_shift_the_names(model):
    rows = rows_of(["broken.mp4"] + [f"{index}.mp4" for index in range(7)], groups="zaabbccd")
    evaluation = evaluate_classifier(model, Named(dataset_of(), rows=rows, faults=rows[:1]), NAMES)
    assert [mistake.path for mistake in evaluation.mistakes] == [f"{index}.mp4" for index in WRONG]
    assert evaluation.metrics["num_groups"] == 4


def test_rows_of_a_shuffled_dataset_are_not_trusted(model):
    dataset = Named(dataset_of(), rows=rows_of([f"{index}.mp4" for index in range(7)], "aabbccd"), is_shuffled=True)
    with pytest.warns(UserWarning, match="shuffled, so mistakes stay without names"):
        evaluation = evaluate_classifier(model, dataset, NAMES)
    assert {mistake.path for mistake in evaluation.mistakes} == {None}
    assert evaluation.metrics["num_groups"] is None


def test_rows_that_do_not_fit_are_not_trusted(model):
    with pytest.warns(UserWarning, match=r"5 readable rows but yielded 7 clips"):
        evaluation = evaluate_classifier(model, Named(dataset_of(), rows=rows_of(["a.mp4"] * 5)), NAMES)
    assert {mistake.path for mistake in evaluation.mistakes} == {None}


def test_progress_stays_off_what_is_no_terminal(model, capfd):
    evaluate_classifier(model, dataset_of(), NAMES)
    captured = capfd.readouterr()
    assert (captured.out + captured.err).strip() == ""


def test_any_iterable_of_batches_will_do(model):
    evaluation = evaluate_classifier(model, [(FRAMES, LABELS), (FRAMES[:2], LABELS[:2], np.ones(2))], NAMES)
    assert evaluation.metrics["num_clips"] == 9


def test_a_diverged_model_is_refused():
    model = build_brightness_classifier()
    model.layers[-1].set_weights([np.full((3, 3), np.nan), np.zeros(3)])
    with pytest.raises(ValueError, match=r"NaN or infinity for 7 of 7 clips"):
        evaluate_classifier(model, dataset_of(), NAMES)


@pytest.mark.parametrize(
    ("dataset", "names", "message"),
    [
        (dataset_of().take(0), NAMES, r"at least 1 clip, received 0"),
        (dataset_of().repeat(), NAMES, r"never ends.* without repeat"),
        (dataset_of().map(lambda frames, labels: frames), NAMES, r"yield \(frames, labels\), received EagerTensor"),
        (dataset_of().unbatch(), NAMES, r"shape \(B, T, H, W, 3\), received \(2, 4, 4, 3\)"),
        (dataset_of(), list("abcde"), r"one array of shape \(3, 5\), .* received ndarray of shape \(3, 3\)"),
    ],
)
def test_datasets_that_do_not_fit_are_refused(model, dataset, names, message):
    with pytest.raises(ValueError, match=message):
        evaluate_classifier(model, dataset, names)


def test_a_model_that_is_no_classifier_is_refused():
    frames = keras.Input((2, 4, 4, 3), dtype="uint8")
    features = {"embedding": keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(frames))}
    with pytest.raises(ValueError, match=r"one array of shape \(3, K\), .* received dict of shape \(\)"):
        evaluate_classifier(keras.Model(frames, features), dataset_of())

import logging

import numpy as np
import pytest

from sora_keras import ClipSpec, video_dataset_from_manifest
from sora_keras.data import Event, Faults, Row, vocabulary_labels
from sora_keras.data.timed_labels import check_vocabularies
from sora_keras.video import write_video

VOCABULARIES = {"event": ["walk", "fall"], "person": ["anna", "ben", "eve"]}
TIMES = np.array([0.5, 1.5, 2.5, 3.5])


def labels_of(**arguments):
    labels = vocabulary_labels(Row("a.mp4", **arguments), VOCABULARIES, TIMES)
    return {name: array.tolist() for name, array in labels.items()}


def test_events_label_frames_and_the_clip():
    events = (Event("walk", 0, 1), Event("walk", 3, 9), Event("ben", 1, 3, "person"))
    labels = labels_of(events=events)
    assert labels["event"] == [1, 0]
    assert labels["event_frames"] == [[1, 0], [0, 0], [0, 0], [1, 0]]
    assert labels["person"] == [0, 1, 0]
    assert labels["person_frames"] == [[0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_a_clip_has_the_events_that_it_shows():
    row = Row("a.mp4", events=(Event("fall", 20, 21), Event("walk", 1.6, 1.9)))
    labels = vocabulary_labels(row, VOCABULARIES, TIMES)
    assert labels["event"].tolist() == [1, 0]  # the walk is over between two frames
    assert labels["event_frames"].sum() == 0
    assert vocabulary_labels(row, VOCABULARIES, np.zeros(0))["event"].tolist() == [1, 1]
    assert vocabulary_labels(row, VOCABULARIES, np.array([20.5]))["event"].tolist() == [0, 1]
    told = Row("a.mp4", labels=("fall", "walk"), events=(Event("fall", 20, 21),))
    labels = vocabulary_labels(told, VOCABULARIES, TIMES)
    assert labels["event"].tolist() == [1, 0]
    assert labels["event_frames"].tolist() == [[-1, 0]] * 4


def test_the_first_vocabulary_goes_by_two_names():
    row = Row("a.mp4", label="fall", attributes={"event": "walk"})
    assert vocabulary_labels(row, VOCABULARIES, TIMES)["event"].tolist() == [1, 1]


def test_clip_labels_say_where_nothing_is():
    labels = labels_of(labels=("fall",), attributes={"person": "eve;anna"})
    assert labels["event"] == [0, 1]
    assert labels["event_frames"] == [[0, -1]] * 4
    assert labels["person"] == [1, 0, 1]
    assert labels["person_frames"] == [[-1, 0, -1]] * 4


def test_both_kinds_in_one_row():
    labels = labels_of(labels=("walk", "fall"), events=(Event("walk", 1, 2),))
    assert labels["event"] == [1, 1]
    assert labels["event_frames"] == [[0, -1], [1, -1], [0, -1], [0, -1]]


def test_what_is_not_said_is_unknown():
    labels = labels_of(label="walk")
    assert labels["person"] == [-1, -1, -1]
    assert labels["person_frames"] == [[-1, -1, -1]] * 4
    assert labels_of()["event"] == [-1, -1]


@pytest.mark.parametrize("name", ["", "event"])
def test_annotated_without_events_is_a_negative(name):
    labels = labels_of(annotated=(name,))
    assert labels["event"] == [0, 0]
    assert labels["event_frames"] == [[0, 0]] * 4
    assert labels["person"] == [-1, -1, -1]


def test_frames_that_repeat_the_last_one_are_unknown():
    row = Row("a.mp4", events=(Event("fall", 0, 9),))
    times = np.array([0.5, 1.5, 1.8, 1.8])
    assert vocabulary_labels(row, {"event": ["fall"]}, times)["event_frames"][:, 0].tolist() == [1, 1, 1, -1]
    at_rate = vocabulary_labels(row, {"event": ["fall"]}, times, frames_per_second=1.0)
    assert at_rate["event_frames"][:, 0].tolist() == [1, 1, -1, -1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ("run", "walk")}, r"a.mp4 has the labels \['run'\], the vocabulary 'event' has \['walk', 'fall'\]"),
        ({"events": (Event("walk", 1, 2, "person"),)}, r"a.mp4 has the labels \['walk'\], the vocabulary 'person'"),
        ({"attributes": {"person": "eve;tom"}}, r"a.mp4 has the labels \['tom'\], the vocabulary 'person'"),
        (
            {"labels": ("walk",), "events": (Event("fall", 1, 2),)},
            r"a.mp4 has events \['fall'\], but its own labels are \['walk'\]",
        ),
        ({"events": (Event("walk", 1, 2, "mood"),)}, r"a.mp4 has events of the vocabulary 'mood', expected one of"),
        ({"annotated": ("persn",)}, r"a.mp4 has events of the vocabulary 'persn', expected one of"),
    ],
)
def test_rows_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_vocabularies([Row("b.mp4", label="walk"), Row("a.mp4", **arguments)], VOCABULARIES)


def test_vocabularies_that_cannot_be():
    with pytest.raises(ValueError, match="at least one vocabulary, received none"):
        check_vocabularies([], {})
    with pytest.raises(ValueError, match=r"'event' must hold at least one label, none twice, received \['a', 'a'\]"):
        check_vocabularies([], {"event": ["a", "a"]})


def test_a_label_that_never_occurs_is_told(caplog):
    rows = [Row("a.mp4", label="walk", attributes={"person": "ben"}), Row("b.mp4", events=(Event("fall", 0, 1),))]
    with caplog.at_level(logging.WARNING):
        check_vocabularies(rows, VOCABULARIES)
    assert "['anna', 'eve'] of the vocabulary 'person'" in caplog.text
    assert "'event'" not in caplog.text


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two videos of 3 and 1.5 seconds at 4 frames a second, and what happens in them."""
    folder = tmp_path_factory.mktemp("videos")
    for name, num_frames in (("a", 12), ("b", 6)):
        write_video(folder / f"{name}.mp4", np.full((num_frames, 32, 32, 3), 90, np.uint8), 4.0)
    events = (Event("walk", 0.5, 1.0), Event("fall", 2.0, 2.5))
    return [
        Row(str(folder / "a.mp4"), events=events, attributes={"person": "anna"}),
        Row(str(folder / "b.mp4"), label="fall", attributes={"person": "ben"}),
    ]


@pytest.mark.parametrize("cache", [False, True])
def test_a_dataset_yields_labels_at_the_times_of_its_frames(videos, cache):
    spec = ClipSpec(8, 16, 16, frames_per_second=4.0)
    dataset = video_dataset_from_manifest(
        videos, spec, vocabularies=VOCABULARIES, batch_size=2, shuffle=False, cache=cache
    )
    ((frames, labels),) = list(dataset)
    assert frames.shape == (2, 8, 16, 16, 3)
    assert {name: tuple(array.shape) for name, array in dataset.element_spec[1].items()} == {
        "event": (None, 2), "event_frames": (None, 8, 2), "person": (None, 3), "person_frames": (None, 8, 3),
    }  # fmt: skip
    # The middle window of the first video begins at 0.5 s; the second is shorter than a window.
    np.testing.assert_array_equal(labels["event_frames"][0, :, 0], [1, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(labels["event_frames"][0, :, 1], [0, 0, 0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(labels["event_frames"][1, :, 0], [0, 0, 0, 0, 0, 0, -1, -1])
    np.testing.assert_array_equal(labels["event"], [[1, 1], [0, 1]])
    np.testing.assert_array_equal(labels["person"], [[1, 0, 0], [0, 1, 0]])


def test_random_windows_are_labeled_where_they_fall(videos):
    spec = ClipSpec(4, 16, 16, frames_per_second=4.0)
    dataset = video_dataset_from_manifest(
        videos[:1], spec, vocabularies=VOCABULARIES, batch_size=None, sampling="random_window", seed=0
    ).repeat(12)
    both = [(labels["event_frames"].numpy(), labels["event"].numpy()) for _, labels in dataset]
    assert len({int(frames[:, 0].sum()) for frames, _ in both}) > 1
    assert all((clip >= frames.max(axis=0)).all() for frames, clip in both)
    assert any((clip == 0).any() for _, clip in both)


def test_no_substitutes(videos):
    with pytest.raises(ValueError, match='"skip" and "raise", received "substitute"'):
        video_dataset_from_manifest(videos, ClipSpec(), vocabularies=VOCABULARIES, faults=Faults(policy="substitute"))

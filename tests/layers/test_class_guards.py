import numpy as np
import pytest

from sora_keras.data.datasets.moving_digits import MOTIONS
from sora_keras.layers import classes_changed
from sora_keras.layers.class_guards import check_classes, label_order, swap_labels

UCF101 = ["ApplyEyeMakeup", "BaseballPitch", "HandstandPushups", "JumpingJack", "PullUps", "PushUps", "WalkingWithDog"]
KTH = ["boxing", "handclapping", "handwaving", "jogging", "running", "walking"]
CEILING = ["walk", "sitdown", "sit", "standup", "lying", "sleeping", "falling", "falled", "active"]


def test_moving_digits():
    assert classes_changed(MOTIONS, "mirrored") == ["clockwise", "counter_clockwise", "left", "right"]
    assert classes_changed(MOTIONS, "upside_down") == ["clockwise", "counter_clockwise", "down", "up"]
    assert classes_changed(MOTIONS, "turned") == ["down", "left", "right", "up"]
    assert classes_changed(MOTIONS, "reversed") == list(MOTIONS)


@pytest.mark.parametrize("names", [UCF101, KTH, ["fight", "no_fight"], list("ABCDEF")])
@pytest.mark.parametrize("change", ["mirrored", "upside_down", "turned", "reversed"])
def test_names_without_a_direction(names, change):
    assert classes_changed(names, change) == []


def test_falls_and_sitting_down():
    assert classes_changed(CEILING, "reversed") == ["sitdown", "standup", "falling", "falled"]
    assert classes_changed(CEILING, "mirrored") == []


@pytest.mark.parametrize(
    "name",
    ["swipe_left", "Swipe Left", "SwipeLeft", "swipe-left", "LEFT", "left", "moving it left2right", "12 left"],
)
def test_words_however_they_are_written(name):
    assert classes_changed([name], "mirrored") == [name]


@pytest.mark.parametrize("name", ["cleft", "bright", "leftover", "playright"])
def test_parts_of_words_do_not_count(name):
    assert classes_changed([name], "mirrored") == []


def test_pairs_of_words():
    names = ["turning the light on", "turn_on_light", "SwitchOff", "stand on one leg", "zoom in", "walk in"]
    assert classes_changed(names, "reversed") == ["turn_on_light", "SwitchOff", "zoom in"]


def test_swaps_lift_the_guard_for_the_classes_they_name():
    names = ["left", "right", "clockwise", "wave"]
    with pytest.raises(ValueError, match=r"Flip shows clips mirrored, and the class names \['clockwise'\] .*`swaps`"):
        check_classes(names, {"left": "right"}, "mirrored", "Flip", "swaps")
    check_classes(names[:2] + names[3:], {"left": "right"}, "mirrored", "Flip", "swaps")
    check_classes(None, None, "mirrored", "Flip", "swaps")


def test_label_order():
    assert label_order(["a", "b", "c", "d"], {"d": "a"}, "swaps") == [3, 1, 2, 0]
    assert label_order(["a", "b"], {"a": "b", "b": "a"}, "swaps") == [1, 0]
    assert label_order(["a", "b"], None, "swaps") is None
    assert label_order(["a", "b"], {"a": "a"}, "swaps") == [0, 1]
    with pytest.raises(ValueError, match=r"`swaps` names 'x', expected one of `class_names`, received \['a', 'b'\]"):
        label_order(["a", "b"], {"a": "x"}, "swaps")
    with pytest.raises(ValueError, match=r"`swaps` names 'a', expected one of `class_names`, received \[\]"):
        label_order(None, {"a": "b"}, "swaps")
    with pytest.raises(ValueError, match=r"`swaps` gives 'b' two partners, 'a' and 'c'"):
        label_order(["a", "b", "c"], {"a": "b", "c": "b"}, "swaps")


def test_swap_labels():
    is_swapped, order = np.array([True, False, True, True]), [2, 1, 0]
    labels = np.array([0, 0, 1, 2])
    np.testing.assert_array_equal(swap_labels(labels, is_swapped, order), [2, 0, 1, 0])
    one_hot = np.eye(3, dtype="float32")[labels]
    np.testing.assert_array_equal(np.argmax(swap_labels(one_hot, is_swapped, order), axis=1), [2, 0, 1, 0])
    with pytest.raises(ValueError, match=r"one-hot \(B, 3\), a column a class, received shape \(4, 2\)"):
        swap_labels(np.zeros((4, 2), "float32"), is_swapped, order)


def test_unknown_change_is_named():
    with pytest.raises(ValueError, match=r"`change` must be one of .*, received 'rotated'"):
        classes_changed(["left"], "rotated")

"""Class names in; out comes which of them a mirrored, turned or reversed clip would be mistaken for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

from keras import ops

Change = Literal["mirrored", "upside_down", "turned", "reversed"]

SIDES = "left right leftward rightward leftwards rightwards east west eastward westward"
HEIGHTS = (
    "up down upward downward upwards downwards upstairs downstairs rise rising raise raising lift lifting lower "
    "lowering fall falls falling falled fallen drop dropping ascend ascending descend descending climb climbing "
    "sitdown standup liedown getup"
)
TURNS = "clockwise counterclockwise anticlockwise cw ccw"
# Apart from the places above, these pairs are each other's reverse. What merely looks odd when reversed is not here.
ORDERS = (
    "open opens opening close closes closing enter enters entering exit exits exiting leave leaves leaving arrive "
    "arriving depart departing approach approaching recede receding grow grows growing shrink shrinks shrinking expand "
    "expanding contract contracting inflate inflating deflate deflating appear appearing disappear disappearing vanish "
    "vanishing increase increasing decrease decreasing accelerate accelerating decelerate decelerating forward "
    "forwards backward backwards pushing pulling inserting removing attaching detaching loading unloading filling "
    "emptying folding unfolding tying untying buttoning unbuttoning locking unlocking plugging unplugging wrapping "
    "unwrapping assembling disassembling mounting dismounting throwing catching brightening darkening melting freezing"
)
PAIRS_OF_WORDS = (
    "turn on,turn off,switch on,switch off,zoom in,zoom out,get in,get out,get on,get off,put on,take off,fade in,"
    "fade out,pick up,put down"
)


def _words_in(*texts: str) -> frozenset[str]:
    return frozenset(word for text in texts for word in text.split())


WORDS: dict[str, frozenset[str]] = {
    "mirrored": _words_in(SIDES, TURNS),
    "upside_down": _words_in(HEIGHTS, TURNS),
    "turned": _words_in(SIDES, HEIGHTS),
    "reversed": _words_in(SIDES, HEIGHTS, TURNS, ORDERS) | frozenset(PAIRS_OF_WORDS.split(",")),
}


def classes_changed(class_names: Sequence[str], change: Change) -> list[str]:
    """Name the classes whose clips would show another class, or none, once changed.

    English words decide: left and right when mirrored, up and down when upside down, both when turned by a right angle
    or more, and when played in reverse these, clockwise, open and close, enter and leave, growing and shrinking ...

    Args:
        class_names: names of the classes, words set apart by anything but letters, or written inCamelCase.
        change: `"mirrored"` (left to right), `"upside_down"`, `"turned"` (by 45 degrees or more), or `"reversed"` (in
            time).

    Returns:
        Those of `class_names` with such a word, in their order.

    Raises:
        ValueError: if `change` is unknown.

    Example:
        >>> classes_changed(["swipe_left", "wave", "SitDown"], "mirrored")
        ['swipe_left']
    """
    if change not in get_args(Change):
        raise ValueError(f"`change` must be one of {get_args(Change)}, received {change!r}.")
    return [name for name in class_names if _words(name) & WORDS[change]]


def check_classes(
    class_names: Sequence[str] | None, swaps: Mapping[str, str] | None, change: Change, what: str, argument: str
) -> None:
    """Refuse a change that would give clips of some classes the look of others.

    Args:
        class_names: names of the classes; `None` asks for no check.
        swaps: which classes become one another when a clip is changed so.
        change: see `classes_changed`.
        what: what makes the change, for the message.
        argument: the argument that `swaps` came by, for the message; empty if such a swap is not offered.

    Raises:
        ValueError: if the change has a class of `class_names` taken for another, and `swaps` does not say which.

    Example:
        >>> check_classes(["left", "right"], {"left": "right"}, "mirrored", "RandomFlip", "flip_labels")
    """
    swapped = {*(swaps or {}), *(swaps or {}).values()}
    changed = [name for name in classes_changed(class_names or (), change) if name not in swapped]
    if changed:
        way_out = f"say what becomes what with `{argument}`, " if argument else ""
        raise ValueError(
            f"{what} shows clips {change.replace('_', ' ')}, and the class names {changed} tell such clips apart: "
            f"leave it out, {way_out}or leave out `class_names` if these names mean something else."
        )


def label_order(class_names: Sequence[str] | None, swaps: Mapping[str, str] | None, argument: str) -> list[int] | None:
    """Where each class goes when its clips are changed: `order[label]` is the label after the change.

    Args:
        class_names: names of the classes in the order of the labels.
        swaps: pairs of classes that become one another; one direction is enough.
        argument: the argument that `swaps` came by, for messages.

    Returns:
        One label a class, or `None` if nothing is swapped.

    Raises:
        ValueError: if a name in `swaps` is no class, or has two partners.

    Example:
        >>> label_order(["left", "right", "wave"], {"left": "right"}, "flip_labels")
        [1, 0, 2]
    """
    if not swaps:
        return None
    names = list(class_names or ())
    order = list(range(len(names)))
    for one, other in swaps.items():
        for name in (one, other):
            if name not in names:
                raise ValueError(f"`{argument}` names {name!r}, expected one of `class_names`, received {names}.")
        for source, target in ((one, other), (other, one)):
            index = names.index(source)
            if order[index] not in (index, names.index(target)):
                raise ValueError(
                    f"`{argument}` gives {source!r} two partners, {names[order[index]]!r} and {target!r}; expected one."
                )
            order[index] = names.index(target)
    return order


def swap_labels(labels: Any, is_swapped: Any, order: Sequence[int]) -> Any:
    """Move the labels of changed clips.

    Args:
        labels: whole numbers `(B,)`, or one-hot `(B, K)`.
        is_swapped: `bool (B,)`, which clips were changed.
        order: as `label_order` gives it, K numbers; its own inverse.

    Returns:
        Labels of the same shape and dtype.

    Example:
        >>> swap_labels([0, 0, 2], [True, False, True], [1, 0, 2])
        [1, 0, 2]
    """
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) == 1:
        return ops.where(is_swapped, ops.cast(ops.take(ops.convert_to_tensor(order), labels), labels.dtype), labels)
    if labels.shape[-1] != len(order):
        raise ValueError(
            f"Labels must be whole numbers (B,) or one-hot (B, {len(order)}), a column a class, received shape "
            f"{tuple(labels.shape)}."
        )
    return ops.where(ops.expand_dims(is_swapped, -1), ops.take(labels, ops.convert_to_tensor(order), axis=-1), labels)


def _words(name: str) -> set[str]:
    """Lower-case words and pairs of words: `SwitchOn_lamp` is switch, on, lamp, switch on, on lamp."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    return {*words, *(f"{one} {other}" for one, other in pairwise(words))}

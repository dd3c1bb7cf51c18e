from __future__ import annotations

import pytest

from sora_keras.training import class_weights


def test_every_class_counts_the_same():
    labels = ["walk"] * 6 + ["fall"] * 2 + ["sit"] * 4
    weights = class_weights(labels, ["walk", "fall", "sit"])
    assert weights == pytest.approx({0: 12 / 18, 1: 2.0, 2: 1.0})
    assert sum(weights[["walk", "fall", "sit"].index(label)] for label in labels) == pytest.approx(12)


def test_a_class_without_clips():
    with pytest.raises(ValueError, match=r"needs clips to be weighed by, received none of \['sit'\]"):
        class_weights(["walk", "fall"], ["walk", "fall", "sit"])


def test_a_label_that_is_no_class():
    with pytest.raises(ValueError, match=r"among \['walk'\], received \['None', 'fall'\]"):
        class_weights(["walk", None, "fall"], ["walk"])

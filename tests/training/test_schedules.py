from __future__ import annotations

import math

import pytest

from sora_keras.training import warmup_cosine


def test_rises_in_a_line_and_falls_in_half_a_cosine():
    schedule = warmup_cosine(0.5, num_steps=100, warmup=0.2)
    rates = [float(schedule(step)) for step in range(101)]
    expected = [0.5 * step / 20 for step in range(20)]
    expected += [0.25 * (1 + math.cos(math.pi * step / 80)) for step in range(81)]
    assert rates == pytest.approx(expected, abs=1e-6)


def test_without_a_rise():
    schedule = warmup_cosine(0.5, num_steps=10, warmup=0.0)
    expected = [0.25 * (1 + math.cos(math.pi * step / 10)) for step in range(11)]
    assert [float(schedule(step)) for step in range(11)] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-2.5, 10), r"`learning_rate` must be a positive number, received -2\.5"),
        ((0.5, 0), r"`num_steps` must be at least 1, received 0"),
        ((0.5, 10, 1.75), r"`warmup` must be a share from 0 to below 1, received 1\.75"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        warmup_cosine(*arguments)

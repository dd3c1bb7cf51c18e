from __future__ import annotations

import os

import pytest

from sora_keras.apps.captions import clock_text, drawable_text


@pytest.mark.parametrize(
    ("seconds", "decimals", "expected"),
    [
        (0.0, 0, "0:00"), (59.6, 0, "1:00"), (59.96, 1, "1:00.0"), (75.04, 1, "1:15.0"), (3599.9, 0, "1:00:00"),
        (3661.25, 2, "1:01:01.25"), (36_000.0, 0, "10:00:00"),
    ],
)  # fmt: skip
def test_times_as_a_player_tells_them(seconds, decimals, expected):
    assert clock_text(seconds, decimals) == expected


def test_text_that_fits():
    assert drawable_text("walk", 4) == "walk"
    assert drawable_text("walking", 5) == "walk\N{HORIZONTAL ELLIPSIS}"


def test_bytes_that_are_no_characters():
    drawable_text(os.fsdecode(b"caf\xe9.mp4"), 30).encode()

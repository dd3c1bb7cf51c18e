from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from sora_keras.video import Clip, ClipSpec


def test_shape_and_duration_come_from_the_numbers() -> None:
    spec = ClipSpec(num_frames=12, height=30, width=40, frames_per_second=8)
    assert spec.shape == (12, 30, 40, 3)
    assert spec.duration_seconds == 1.5
    assert ClipSpec(12, 30, 40).duration_seconds is None


def test_config_round_trip_and_equality() -> None:
    spec = ClipSpec(np.int64(5), 6, 7, 2)
    assert spec.get_config() == {"num_frames": 5, "height": 6, "width": 7, "frames_per_second": 2.0}
    assert all(type(value) in (int, float) for value in spec.get_config().values())
    assert ClipSpec.from_config(spec.get_config()) == spec
    assert hash(ClipSpec.from_config(spec.get_config())) == hash(spec)


def test_spec_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ClipSpec().height = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("num_frames", 0, "0"),
        ("height", -7, "-7"),
        ("width", 2.5, "2.5"),
        ("width", True, "True"),
        ("height", "64", "'64'"),
        ("frames_per_second", -3.5, "-3.5"),
        ("frames_per_second", float("nan"), "nan"),
        ("frames_per_second", 0, "0"),
    ],
)
def test_numbers_that_are_not_positive_are_named(name: str, value: object, shown: str) -> None:
    with pytest.raises(ValueError, match=rf"ClipSpec\.{name} must be .* received {shown}"):
        ClipSpec(**{name: value})  # type: ignore[arg-type]


def test_clip_refuses_other_frames_and_times() -> None:
    with pytest.raises(ValueError, match=r"uint8 of shape \(T, H, W, 3\), received float32 of shape \(2, 4, 5, 3\)"):
        Clip(np.zeros((2, 4, 5, 3), np.float32), np.zeros(2))
    with pytest.raises(ValueError, match=r"received uint8 of shape \(2, 4, 5, 1\)"):
        Clip(np.zeros((2, 4, 5, 1), np.uint8), np.zeros(2))
    with pytest.raises(ValueError, match=r"each of the 2 frames, received shape \(3,\)"):
        Clip(np.zeros((2, 4, 5, 3), np.uint8), np.zeros(3))


def test_clip_times_become_float64() -> None:
    assert Clip(np.zeros((2, 4, 5, 3), np.uint8), np.array([0, 1])).times.dtype == np.float64


def test_the_room_needs_neither_tensorflow_nor_keras() -> None:
    code = "import sora_keras.video, sys; sys.exit(bool({'tensorflow', 'keras', 'torch', 'jax'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

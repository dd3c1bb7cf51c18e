import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sora_keras.features import (
    FAMILIES,
    color_features,
    extract_features,
    feature_names,
    motion_features,
    shape_features,
    texture_features,
)
from sora_keras.video import Clip, ClipSpec, read_clip

FUNCTIONS = {"color": color_features, "texture": texture_features, "shape": shape_features, "motion": motion_features}


def clip_of(frames):
    return Clip(frames, np.arange(len(frames)) / 10)


def random_clip(*shape):
    return clip_of(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))


def test_names_are_unique_and_as_many_as_columns():
    names = feature_names()
    assert len(set(names)) == len(names)
    assert extract_features(random_clip(2, 16, 16)).shape == (2, len(names))
    for family, function in FUNCTIONS.items():
        own = feature_names([family])
        assert function(random_clip(2, 16, 16)).shape == (2, len(own))
        assert all(name.startswith(f"{family}_") for name in own)


def test_families_stand_side_by_side_in_the_order_asked_for():
    clip = random_clip(3, 20, 24)
    features = extract_features(clip, ["motion", "color"])
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, np.concatenate([motion_features(clip), color_features(clip)], axis=1))
    assert feature_names(["motion", "color"]) == feature_names(["motion"]) + feature_names(["color"])
    assert list(FUNCTIONS) == list(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_later_frames_change_nothing_earlier(family):
    clip = random_clip(6, 32, 40)
    changed = clip.frames.copy()
    changed[4:] //= 3
    before, after = extract_features(clip, [family]), extract_features(clip_of(changed), [family])
    np.testing.assert_allclose(after[:4], before[:4], rtol=1e-5, atol=1e-5)
    assert np.abs(after[4:] - before[4:]).max() > 0.01
    cut_short = extract_features(clip_of(clip.frames[:2]), [family])
    np.testing.assert_allclose(cut_short, before[:2], rtol=1e-5, atol=1e-5)


def test_the_same_clip_has_the_same_features_whoever_else_computes():
    frames = np.random.default_rng(0).integers(0, 256, (16, 24, 32, 32, 3), dtype=np.uint8)
    clips = [clip_of(clip) for clip in frames]
    expected = [texture_features(clip) for clip in clips]
    motion = motion_features(clips[0])
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(texture_features, clips * 4):
            expected.append(again)
        for again in pool.map(motion_features, clips[:1] * 16):
            np.testing.assert_array_equal(again, motion)
    np.testing.assert_array_equal(np.stack(expected[16:]), np.stack(expected[:16] * 4))


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 8, 8), (2, 1, 1), (2, 3, 90), (2, 70, 5)])
@pytest.mark.parametrize("level", [None, 0, 90, 255])
def test_small_flat_and_single_frames_give_finite_features(shape, level):
    clip = random_clip(*shape) if level is None else clip_of(np.full((*shape, 3), level, np.uint8))
    features = extract_features(clip)
    assert features.shape == (shape[0], len(feature_names()))
    assert np.isfinite(features).all()


def test_frames_need_not_be_contiguous():
    clip = random_clip(3, 20, 24)
    flipped = clip_of(clip.frames[:, :, ::-1])
    expected = extract_features(clip_of(flipped.frames.copy()))
    np.testing.assert_array_equal(extract_features(flipped), expected)


@pytest.mark.real_data
def test_real_clips_give_finite_features_that_tell_them_apart(real_data):
    videos = sorted((real_data / "fights").rglob("*.mp4"))[:12:4] + [next((real_data / "scenes").glob("*.avi"))]
    features = np.stack([extract_features(read_clip(video, ClipSpec(8, 48, 64))) for video in videos])
    assert np.isfinite(features).all()
    spread = features.std(axis=(0, 1))
    assert [name for name, value in zip(feature_names(), spread, strict=True) if value == 0] == []


@pytest.mark.parametrize(
    ("families", "message"),
    [
        (
            ["motion", "sound"],
            r"some of \['color', 'texture', 'shape', 'motion'\], each once, received \['motion', 'sou",
        ),
        (["color", "color"], r"each once, received \['color', 'color'\]"),
        ([], r"received \[\]"),
        ("shape", r"a sequence of names, received 'shape': write \['shape'\]"),
    ],
)
@pytest.mark.parametrize("function", [feature_names, lambda families: extract_features(random_clip(1, 8, 8), families)])
def test_unknown_families_are_named(function, families, message):
    with pytest.raises(ValueError, match=message):
        function(families)


def test_the_room_imports_neither_tensorflow_nor_keras():
    code = "import sys, sora_keras.features; print(sorted({'tensorflow', 'keras', 'scipy'} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"

import numpy as np
import pytest

from sora_keras.features import feature_names, texture_features
from sora_keras.video import Clip

NAMES = feature_names(["texture"])


def features_of(gray):
    frames = np.repeat(np.asarray(gray, np.uint8)[None, ..., None], 3, axis=-1)
    return dict(zip(NAMES, texture_features(Clip(frames, np.zeros(1)))[0], strict=True))


def wave(degrees, wavelength, side=64, amplitude=100):
    rows, columns = np.mgrid[:side, :side]
    along = columns * np.cos(np.deg2rad(degrees)) + rows * np.sin(np.deg2rad(degrees))
    return np.rint(127 + amplitude * np.cos(2 * np.pi * along / wavelength))


def test_co_occurrence_of_a_two_by_two_frame_by_hand():
    # Gray levels 0 and 3 of 16, side by side: rows and columns of pairs, and two diagonals, at a distance of 1.
    # Along the row (0, 3) twice; down the column (0, 0) and (3, 3); each diagonal one (0, 3) or (3, 0).
    features = features_of([[0, 48], [0, 48]])
    contrast, homogeneity = np.array([9, 0, 9, 9]), np.array([0.1, 1, 0.1, 0.1])
    assert features["texture_contrast_1px"] == pytest.approx(contrast.mean())
    assert features["texture_dissimilarity_1px"] == pytest.approx(np.sqrt(contrast).mean())
    assert features["texture_homogeneity_1px"] == pytest.approx(homogeneity.mean())
    assert features["texture_energy_1px"] == pytest.approx(np.sqrt(0.5))  # two cells of one half in every direction
    assert features["texture_correlation_1px"] == pytest.approx(np.mean([-1, 1, -1, -1]))


def test_co_occurrence_equals_pairs_counted_in_numpy():
    gray = np.random.default_rng(0).integers(0, 256, (9, 12), dtype=np.uint8)
    features, levels = features_of(gray), gray.astype(int) // 16
    for distance, diagonal in ((1, 1), (3, 2)):  # two steps along both sides are 2.8 pixels apart
        pairs = [
            (levels[:, :-distance], levels[:, distance:]),
            (levels[diagonal:, :-diagonal], levels[:-diagonal, diagonal:]),
            (levels[:-distance], levels[distance:]),
            (levels[:-diagonal, :-diagonal], levels[diagonal:, diagonal:]),
        ]
        expected = {"contrast": [], "homogeneity": [], "energy": [], "correlation": []}
        for first, second in pairs:
            a, b = (np.concatenate([x.ravel(), y.ravel()]) for x, y in ((first, second), (second, first)))
            expected["contrast"].append(np.mean((a - b) ** 2))
            expected["homogeneity"].append(np.mean(1 / (1 + (a - b) ** 2)))
            expected["energy"].append(np.sqrt(np.sum((np.bincount(16 * a + b) / len(a)) ** 2)))
            expected["correlation"].append(np.corrcoef(a, b)[0, 1])
        for name, values in expected.items():
            assert features[f"texture_{name}_{distance}px"] == pytest.approx(np.mean(values), rel=1e-5), name


@pytest.mark.parametrize("wavelength", [4, 8])
@pytest.mark.parametrize("degrees", [0, 45, 90, 135])
def test_gabor_energy_tells_direction_and_length_of_waves(degrees, wavelength):
    features = features_of(wave(degrees, wavelength))
    energies = {name: value for name, value in features.items() if "gabor" in name}
    assert max(energies, key=energies.get) == f"texture_gabor_{wavelength}px_{degrees}deg"


def test_gabor_energy_grows_with_the_contrast_and_is_blind_to_brightness():
    name = "texture_gabor_4px_45deg"
    strong, weak = features_of(wave(45, 4, amplitude=100))[name], features_of(wave(45, 4, amplitude=50))[name]
    assert strong == pytest.approx(2 * weak, rel=0.03)
    assert features_of(wave(45, 4, amplitude=50) + 60)[name] == pytest.approx(weak, rel=1e-3)
    assert features_of(np.full((64, 64), 200))[name] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("degrees", "expected_bin"), [(10, 0), (50, 2), (90, 4), (170, 8)])
def test_gradients_fall_into_the_bin_of_their_direction(degrees, expected_bin):
    features = features_of(wave(degrees, 32))
    histogram = np.zeros(9)
    for name, value in features.items():
        if "gradient" in name:
            histogram[int(name[-1])] += value
    assert histogram.argmax() == expected_bin


def test_gradients_stay_in_their_cell_and_do_not_depend_on_the_frame_size():
    gray = np.zeros((96, 64))
    gray[24:48, 36:] = 200 * (np.arange(28) % 16 >= 8)  # stripes in row 1, columns 2 and 3
    features = features_of(gray)
    strength = {
        (row, column): sum(features[f"texture_gradient_row{row}_column{column}_bin{index}"] ** 2 for index in range(9))
        for row in range(4)
        for column in range(4)
    }
    assert sum(strength.values()) == pytest.approx(1, rel=1e-3)
    assert strength[1, 2] + strength[1, 3] > 0.75
    assert strength[3, 0] == strength[3, 3] == 0
    twice = features_of(np.kron(gray, np.ones((2, 2))))
    names = [name for name in NAMES if "gradient" in name]
    np.testing.assert_allclose([twice[n] for n in names], [features[n] for n in names], atol=1e-6)


def test_a_flat_frame_is_smooth():
    features = features_of(np.full((20, 30), 77))
    assert features["texture_contrast_1px"] == features["texture_dissimilarity_3px"] == 0
    assert features["texture_homogeneity_1px"] == features["texture_energy_3px"] == 1
    assert all(value == 0 for name, value in features.items() if "gradient" in name)

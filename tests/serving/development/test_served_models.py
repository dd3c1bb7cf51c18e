import shutil

import pytest
import tensorflow as tf

from sora_keras.serving.development.served_models import ServedModels


def write_config(folder, *models):
    file = folder / "models.config"
    file.write_text("model_config_list {\n" + "".join(f"  config {{ {model} }}\n" for model in models) + "}\n")
    return file


@pytest.fixture
def base(conformance_folder, tmp_path):
    for version in (1, 2, 3):
        shutil.copytree(conformance_folder / "scale" / str(min(version, 2)), tmp_path / "m" / str(version))
    return tmp_path / "m"


def available(models, name):
    return [state.number for state in models.states(name) if state.state == "AVAILABLE"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", [3]),
        ("model_version_policy { latest { num_versions: 2 } }", [3, 2]),
        ("model_version_policy { specific { versions: 1 versions: 2 versions: 9 } }", [2, 1]),
        ("model_version_policy { all {} }", [3, 2, 1]),
    ],
)
def test_the_policy_chooses_versions(base, policy, expected):
    config = write_config(base.parent, f'name: "m" base_path: "{base}" model_platform: "tensorflow" {policy}')
    models = ServedModels(config)
    models.poll()
    assert available(models, "m") == expected
    with models.servable("m") as servable:
        assert servable.number == expected[0]
    models.close()
    assert available(models, "m") == []


def test_a_label_of_a_version_that_is_not_served(base):
    labels = 'version_labels { key: "old" value: 1 }'
    config = write_config(base.parent, f'name: "m" base_path: "{base}" model_platform: "tensorflow" {labels}')
    models = ServedModels(config)
    models.poll()
    with (
        pytest.raises(tf.errors.NotFoundError, match=r"Servable not found for request: Specific\(m, 1\)"),
        models.servable("m", label="old"),
    ):
        pass
    models.close()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (['name: "m" base_path: "saved/m" model_platform: "tensorflow"'], "'m' must be absolute, received 'saved/m'"),
        (['name: "m" base_path: "{base}" model_platform: "onnx"'], """must be "tensorflow", received 'onnx'"""),
        (['name: "m" base_path: "{base}"'], """must be "tensorflow", received ''"""),
        (['name: "m" base_path: "{base}" model_platform: "tensorflow"'] * 2, "names two models 'm'"),
        (["nonsense"], "is no models.config: "),
    ],
)
def test_a_wrong_configuration_is_refused(base, entries, message):
    config = write_config(base.parent, *[entry.replace("{base}", str(base)) for entry in entries])
    with pytest.raises(ValueError, match=message):
        ServedModels(config)

import json
import os
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

from sora_keras.serving.deployment import models_config, server_arguments, write_deployment
from sora_keras.serving.development.batching_queue import batching_options

Field = descriptor_pb2.FieldDescriptorProto
NAMES = ["fights", "Läufer & 'Katzen' $HOME", '2nd: "model"']


def make_model(folder, versions=(1,)):
    for version in versions:
        (folder / str(version)).mkdir(parents=True)
    return folder


@pytest.fixture(params=NAMES)
def model(request, tmp_path):
    return make_model(tmp_path / request.param, (3, 12, 7))


def parsed_models(text):
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    [model] = config.model_config_list.config
    return model


def test_models_config_is_the_servers_own_message(model):
    write_deployment(model)
    parsed = parsed_models((model / "models.config").read_text(encoding="utf-8"))
    assert parsed.name == model.name
    assert parsed.base_path == f"/models/{model.name}"
    assert parsed.model_platform == "tensorflow"
    assert parsed.model_version_policy.latest.num_versions == 3
    assert dict(parsed.version_labels) == {"stable": 7, "canary": 12}


def test_labels_move_on_with_each_version(tmp_path):
    model = make_model(tmp_path / "a")
    write_deployment(model)
    assert dict(parsed_models((model / "models.config").read_text()).version_labels) == {"stable": 1, "canary": 1}
    make_model(model, (2,))
    write_deployment(model)
    assert dict(parsed_models((model / "models.config").read_text()).version_labels) == {"stable": 1, "canary": 2}


def test_files_that_somebody_changed_stay(tmp_path):
    model = make_model(tmp_path / "a")
    write_deployment(model)
    (model / "kubernetes.yaml").write_text("mine")
    (model / "models.config").write_text("not mine")
    files = write_deployment(model)
    assert (model / "kubernetes.yaml").read_text() == "mine"
    assert parsed_models((model / "models.config").read_text()).name == "a"
    assert sorted(files) == sorted(path for path in model.iterdir() if path.is_file())


def message(name, fields):
    """A message by the names, numbers and types that TensorFlow Serving's .proto files give, which no package has."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="test", syntax="proto3")
    for kind, type_ in {"Int64": Field.TYPE_INT64, "Bool": Field.TYPE_BOOL}.items():
        wrapper = file.message_type.add(name=f"{kind}Value")
        wrapper.field.add(name="value", number=1, type=type_, label=Field.LABEL_OPTIONAL)
    for message_name, parts in fields.items():
        described = file.message_type.add(name=message_name)
        for number, (field, (type_, type_name, label)) in enumerate(parts.items(), 1):
            described.field.add(name=field, number=number, type=type_, type_name=type_name, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.{name}"))()


def test_batching_config_is_what_both_servers_read(model):
    write_deployment(model)
    text = (model / "batching.config").read_text()
    wrapped = (Field.TYPE_MESSAGE, ".test.Int64Value", Field.LABEL_OPTIONAL)
    fields = ("max_batch_size", "batch_timeout_micros", "num_batch_threads", "max_enqueued_batches")
    parts = {name: wrapped for name in fields}
    parts["allowed_batch_sizes"] = (Field.TYPE_INT64, None, Field.LABEL_REPEATED)
    parsed = text_format.Parse(text, message("BatchingParameters", {"BatchingParameters": parts}))
    assert parsed.allowed_batch_sizes[-1] == parsed.max_batch_size.value == 32
    assert parsed.batch_timeout_micros.value == 1000
    options = batching_options(model / "batching.config")
    assert options == {name: getattr(parsed, name).value for name in fields} | {
        "allowed_batch_sizes": list(parsed.allowed_batch_sizes)
    }


def test_monitoring_config(model):
    write_deployment(model)
    parts = {
        "PrometheusConfig": {
            "enable": (Field.TYPE_BOOL, None, Field.LABEL_OPTIONAL),
            "path": (Field.TYPE_STRING, None, Field.LABEL_OPTIONAL),
        },
        "MonitoringConfig": {"prometheus_config": (Field.TYPE_MESSAGE, ".test.PrometheusConfig", Field.LABEL_OPTIONAL)},
    }
    parsed = text_format.Parse((model / "monitoring.config").read_text(), message("MonitoringConfig", parts))
    assert parsed.prometheus_config.enable
    assert parsed.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_kubernetes_accepts_its_manifest(model):
    write_deployment(model)
    manifests = list(yaml.safe_load_all((model / "kubernetes.yaml").read_text(encoding="utf-8")))
    assert [manifest["kind"] for manifest in manifests] == ["Deployment", "Service"]
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.33", strict=True)
    deployment, service = manifests
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    expected = ["--port=8500", "--rest_api_port=8501"]
    expected += server_arguments(f"/models/{model.name}/models.config", f"/models/{model.name}")
    assert [argument.replace("$$", "$") for argument in container["args"]] == expected
    assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= set(container)
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    labels = {"fights": "fights", NAMES[1]: "l-ufer-katzen-home", NAMES[2]: "model-2nd-model"}
    assert deployment["metadata"]["name"] == labels[model.name]


def test_compose_accepts_its_file(model):
    write_deployment(model)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    done = subprocess.run(command, cwd=model, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    [service] = yaml.safe_load((model / "compose.yaml").read_text(encoding="utf-8"))["services"].values()
    expected = ["--port=8500", "--rest_api_port=8501"]
    expected += server_arguments(f"/models/{model.name}/models.config", f"/models/{model.name}")
    assert [argument.replace("$$", "$") for argument in service["command"]] == expected
    assert service["volumes"][0]["target"].replace("$$", "$") == f"/models/{model.name}"


def test_requests_are_joined_where_that_is_asked_for():
    joined = set(server_arguments("/a/models.config", "/a", is_batching=True))
    assert joined - set(server_arguments("/a/models.config", "/a")) == {
        "--enable_batching=true",
        "--batching_parameters_file=/a/batching.config",
    }


def test_nothing_to_serve_is_an_error(tmp_path):
    make_model(tmp_path, ("export-5",))
    with pytest.raises(ValueError, match=f"{tmp_path.name} has no versions of a model"):
        write_deployment(tmp_path)
    assert os.listdir(tmp_path) == ["export-5"]


def test_a_models_config_for_where_the_folder_is(tmp_path):
    model = make_model(tmp_path / "a")
    parsed = parsed_models(models_config(model, json.loads(json.dumps(str(model)))))
    assert parsed.base_path == str(model)

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from sora_keras import ClipSpec, SoraBackbone, SoraClassifier, export
from sora_keras.serving.serve import serve, server_command

# In place of a server: says what it was told and with which configuration, then waits to be ended.
STAND_IN = """#!{python}
import pathlib, sys, time
flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:] if "=" in argument and argument.startswith("--"))
print(sys.argv[1:], repr(pathlib.Path(flags["model_config_file"]).read_text()), flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = SoraClassifier(SoraBackbone(ClipSpec(4, 16, 16), filters=(4,), units=(4,)), ["a", "b"])
    base = tmp_path_factory.mktemp("models") / "two words"
    export(model, base)
    return base


def add_program(folder, name, text):
    program = folder / name
    program.write_text(text)
    program.chmod(0o755)


def start(arguments, path):
    environment = {**os.environ, "PATH": str(path), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "sora_keras.cli", "serve", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def served_by(url, label):
    """The number of the version that has a label."""
    answer = httpx.get(f"{url}/labels/{label}/metadata")
    assert answer.status_code == 200, answer.text
    return answer.json()["model_spec"]["version"]


def test_the_program_of_the_path_runs_with_the_files_of_the_bundle(exported, tmp_path):
    add_program(tmp_path, "tensorflow_model_server", STAND_IN.format(python=sys.executable))
    process = start([exported, "--rest-port", 8601, "--grpc-port", 8600, "--batching"], tmp_path)
    try:
        command = shlex.split(process.stderr.readline())
        line = process.stdout.readline()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert command[0] == str(tmp_path / "tensorflow_model_server")
    assert str(command[1:]) in line
    assert {"--port=8600", "--rest_api_port=8601", "--enable_batching=true"} <= set(command)
    assert f"--batching_parameters_file={exported}/batching.config" in command
    assert f"--monitoring_config_file={exported}/monitoring.config" in command
    assert f'base_path: "{exported}"' in line
    assert process.returncode != 0


def test_else_an_image(exported, tmp_path, monkeypatch):
    listed = 'echo "$@" > {folder}/asked\nprintf "tensorflow/serving:2.20.0\\ntensorflow/serving:2.19.1\\n"\n'
    add_program(tmp_path, "docker", "#!/bin/sh\n" + listed.format(folder=tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    command = server_command(exported, tmp_path / "models.config", 8601, 8600, "127.0.0.1")
    assert (tmp_path / "asked").read_text().split()[:2] == ["image", "ls"]
    assert command[:4] == ["docker", "run", "--rm", "--init"]
    assert {"127.0.0.1:8601:8501", "127.0.0.1:8600:8500"} <= set(command)
    assert f"type=bind,source={exported},target={exported},readonly" in command
    assert f"type=bind,source={tmp_path},target={tmp_path},readonly" in command
    told = command[command.index("tensorflow/serving:2.20.0") :]
    assert told[1:4] == ["--port=8500", "--rest_api_port=8501", f"--model_config_file={tmp_path / 'models.config'}"]
    assert "--enable_batching=true" not in told


@pytest.mark.parametrize(("status", "said"), [(0, ""), (1, "Docker gives no images: no daemon")])
def test_an_image_that_is_not_here_is_not_pulled(exported, tmp_path, monkeypatch, capsys, status, said):
    add_program(tmp_path, "docker", f"#!/bin/sh\n[ {status} = 0 ] || echo no daemon >&2\nexit {status}\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_command(exported, tmp_path / "unused", 8601, 8600, "127.0.0.1") is None
    assert capsys.readouterr().err.strip() == said


def test_without_both_the_development_server_answers_and_says_so(exported, tmp_path):
    process = start([exported, "--rest-port", 0, "--grpc-port", 0], tmp_path)
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        said = process.stderr.readline()
        assert "neither tensorflow_model_server nor an image tensorflow/serving is here" in said
        url = re.search(r"http://\S+(?=,)", process.stderr.readline()).group()
        status = httpx.get(url).json()["model_version_status"]
        assert [(version["version"], version["state"]) for version in status] == [("1", "AVAILABLE")]
        body = (exported / "1" / "assets.extra" / "request.json").read_bytes()
        answers = [httpx.post(f"{url}{at}:predict", content=body) for at in ("", "/labels/stable", "/labels/canary")]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert json.loads(answers[0].content)["predictions"][0]["class_names"] == ["a", "b"]
        shutil.copytree(exported / "1", exported / ".2")
        (exported / ".2").rename(exported / "2")
        deadline = time.monotonic() + 60
        while served_by(url, "canary") != "2" and time.monotonic() < deadline:
            assert served_by(url, "stable") == "1"
            time.sleep(0.2)
        assert (served_by(url, "stable"), served_by(url, "canary")) == ("1", "2")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def test_nothing_to_serve(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path.name} has no versions of a model"):
        serve(tmp_path)

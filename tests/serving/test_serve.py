import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading

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


def test_the_program_of_the_path_runs_with_the_files_of_the_bundle(exported, tmp_path):
    add_program(tmp_path, "tensorflow_model_server", STAND_IN.format(python=sys.executable))
    process = start([exported, "--rest-port", 8601, "--grpc-port", 8600], tmp_path)
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


def test_else_the_image(exported, tmp_path, monkeypatch):
    add_program(tmp_path, "docker", '#!/bin/sh\n[ "$1 $2 $3" = "image inspect tensorflow/serving" ]\n')
    monkeypatch.setenv("PATH", str(tmp_path))
    command = server_command(exported, tmp_path / "unused", 8601, 8600, "127.0.0.1")
    assert command[:2] == [str(tmp_path / "docker"), "run"]
    assert "127.0.0.1:8601:8501" in command
    assert "127.0.0.1:8600:8500" in command
    assert f"type=bind,source={exported},target=/models/two words,readonly" in command
    assert command.index("tensorflow/serving") < command.index("--model_config_file=/models/two words/models.config")


def test_an_image_that_is_not_here_is_not_pulled(exported, tmp_path, monkeypatch):
    add_program(tmp_path, "docker", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_command(exported, tmp_path / "unused", 8601, 8600, "127.0.0.1") is None


def test_without_both_the_development_server_answers_and_says_so(exported, tmp_path):
    process = start([exported, "--rest-port", 0, "--grpc-port", 0], tmp_path)
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        said = process.stderr.readline()
        assert "neither tensorflow_model_server nor the image tensorflow/serving is here" in said
        url = re.search(r"http://\S+(?=,)", process.stderr.readline()).group()
        status = httpx.get(url).json()["model_version_status"]
        assert [(version["version"], version["state"]) for version in status] == [("1", "AVAILABLE")]
        body = (exported / "1" / "assets.extra" / "request.json").read_bytes()
        answers = [httpx.post(f"{url}{at}:predict", content=body) for at in ("", "/labels/stable", "/labels/canary")]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert json.loads(answers[0].content)["predictions"][0]["class_names"] == ["a", "b"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def test_nothing_to_serve(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path.name} has no versions of a model"):
        serve(tmp_path)

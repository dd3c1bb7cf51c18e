"""A folder of exported versions in, the files that start TensorFlow Serving on them out."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sora_keras.atomic import appearing_when_whole
from sora_keras.serving.bundle import versions_in

MOUNTED = "/models"  # where the containers have the folder
MODELS_FILE, BATCHING_FILE, MONITORING_FILE = "models.config", "batching.config", "monitoring.config"
COMPOSE_FILE, KUBERNETES_FILE = "compose.yaml", "kubernetes.yaml"
BATCHING = """# Requests that arrive within a millisecond run together, once the server is told
#   --enable_batching=true --batching_parameters_file=.../batching.config
# It pays where one clip leaves the processor or GPU idle. All clips must then have as many frames as each other, and
# one request that cannot be run fails those beside it.
max_batch_size { value: 32 }
batch_timeout_micros { value: 1000 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 100 }
allowed_batch_sizes: 1
allowed_batch_sizes: 2
allowed_batch_sizes: 4
allowed_batch_sizes: 8
allowed_batch_sizes: 16
allowed_batch_sizes: 32
"""
METRICS_PATH = "/monitoring/prometheus/metrics"
MONITORING = f'prometheus_config {{ enable: true path: "{METRICS_PATH}" }}\n'
COMPOSE = """# `docker compose up`, then ask http://localhost:8501/v1/models/{url_name}
services:
  {label}:
    image: tensorflow/serving  # name the release that you tested
    init: true
    entrypoint: ["tensorflow_model_server"]  # not the image's script, which keeps signals from it
    command: {arguments}
    ports:
      - "127.0.0.1:8501:8501"
      - "127.0.0.1:8500:8500"
    volumes:
      - type: bind
        source: .
        target: {folder}
        read_only: true
    healthcheck:
      test: ["CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8500"]
      interval: 10s
      start_period: 60s
    deploy:
      resources:
        limits:
          cpus: "2"
          memory: 2g
    restart: unless-stopped
"""
KUBERNETES = """# `kubectl apply -f kubernetes.yaml`; the volume behind the claim `models` has a copy of this folder.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {label}
  labels: {{app: {label}}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: {label}}}
  strategy:
    rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata:
      labels: {{app: {label}}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: {metrics_path}
    spec:
      securityContext: {{runAsNonRoot: true, runAsUser: 1000}}
      containers:
        - name: serving
          image: tensorflow/serving  # name the release that you tested
          command: ["tensorflow_model_server"]
          args: {arguments}
          lifecycle: {{preStop: {{exec: {{command: ["sleep", "10"]}}}}}}  # until no more requests are sent here
          ports:
            - {{name: rest, containerPort: 8501}}
            - {{name: grpc, containerPort: 8500}}
          # The ports open only after the model has been loaded and warmed up.
          startupProbe: {{tcpSocket: {{port: grpc}}, periodSeconds: 5, failureThreshold: 60}}
          readinessProbe: {{httpGet: {{path: {probe}, port: rest}}, periodSeconds: 5}}
          livenessProbe: {{tcpSocket: {{port: grpc}}, periodSeconds: 10}}
          resources:
            requests: {{cpu: "1", memory: 1Gi}}
            limits: {{cpu: "2", memory: 2Gi}}
          volumeMounts:
            - {{name: models, mountPath: /models, readOnly: true}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: models, readOnly: true}}
---
apiVersion: v1
kind: Service
metadata:
  name: {label}
spec:
  selector: {{app: {label}}}
  ports:
    - {{name: rest, port: 8501, targetPort: rest}}
    - {{name: grpc, port: 8500, targetPort: grpc}}
"""


def write_deployment(path: str | os.PathLike[str]) -> list[Path]:
    """Write what starts TensorFlow Serving on a model, beside its versions.

    `models.config` is written anew each time, because it names versions; a server that runs reads it again. The other
    files are yours to change, and stay as they are where they exist.

    Args:
        path: the folder of a model's versions.

    Returns:
        The files: `models.config`, `batching.config`, `monitoring.config`, `compose.yaml` and `kubernetes.yaml`.

    Raises:
        ValueError: if there is no version.
        OSError: if they cannot be written.

    Example:
        >>> write_deployment("saved_models/fights")

    Reference:
        https://www.tensorflow.org/tfx/serving/serving_config
    """
    base = Path(path).resolve()
    folder = f"{MOUNTED}/{base.name}"
    models = models_config(base, folder)
    arguments = ["--port=8500", "--rest_api_port=8501", *server_arguments(f"{folder}/{MODELS_FILE}", folder)]
    url_name = quote(base.name, safe="")
    values = {
        # Compose and Kubernetes both read `$` as the start of a variable, and `$$` as itself.
        "arguments": _quoted(arguments).replace("$", "$$"), "folder": _quoted(folder).replace("$", "$$"),
        "label": _label(base.name), "metrics_path": METRICS_PATH, "probe": _quoted(f"/v1/models/{url_name}"),
        "url_name": url_name,
    }  # fmt: skip
    kept = {
        BATCHING_FILE: BATCHING,
        MONITORING_FILE: MONITORING,
        COMPOSE_FILE: COMPOSE.format(**values),
        KUBERNETES_FILE: KUBERNETES.format(**values),
    }
    texts = {MODELS_FILE: f"# Paths as in the containers; `sora-keras serve` writes its own.\n{models}"}
    texts |= {name: text for name, text in kept.items() if not (base / name).exists()}
    for name, text in texts.items():
        with appearing_when_whole(base / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return [base / name for name in (MODELS_FILE, *kept)]


def models_config(path: str | os.PathLike[str], served_from: str) -> str:
    """The text of a `models.config`: the newest version is `canary`, the one before it `stable`.

    Requests without a label go to the newest. A third version stays loaded, so that no label is ever without one while
    versions change.

    Args:
        path: the folder of a model's versions.
        served_from: where the server has that folder.

    Returns:
        A `ModelServerConfig` as text; a label is on the only version, if there is but one.

    Raises:
        ValueError: if there is no version.

    Example:
        >>> models_config("saved_models/fights", "/models/fights")
    """
    base = Path(path).resolve()
    versions = versions_in(base)[-2:]
    if not versions:
        raise ValueError(
            f"{base} has no versions of a model: expected numbered folders that `sora-keras export` writes."
        )
    return f"""model_config_list {{
  config {{
    name: {_quoted(base.name)}
    base_path: {_quoted(served_from)}
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 3 }} }}
    version_labels {{ key: "stable" value: {versions[0]} }}
    version_labels {{ key: "canary" value: {versions[-1]} }}
  }}
}}
"""


def server_arguments(models_file: str, folder: str, is_batching: bool = False) -> list[str]:
    """What `tensorflow_model_server` is told, but for the ports.

    Args:
        models_file: its `models.config`.
        folder: where it has the folder of the model's versions.
        is_batching: join requests as `batching.config` says.

    Returns:
        The flags. Labels may name versions that are still being loaded, because all are at the start.

    Example:
        >>> server_arguments("/models/fights/models.config", "/models/fights")
    """
    batching = ["--enable_batching=true", f"--batching_parameters_file={folder}/{BATCHING_FILE}"]
    return [
        f"--model_config_file={models_file}",
        "--model_config_file_poll_wait_seconds=30",
        "--allow_version_labels_for_unavailable_models=true",
        f"--monitoring_config_file={folder}/{MONITORING_FILE}",
        *(batching if is_batching else []),
    ]


def _quoted(value: Any) -> str:
    """As JSON, which YAML and protobuf's text form read, too."""
    return json.dumps(value, ensure_ascii=False)


def _label(name: str) -> str:
    """A name that Kubernetes accepts, of at most 63 small letters, digits and hyphens, the first a letter."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (label if re.match("[a-z]", label) else f"model-{label}")[:63].strip("-")

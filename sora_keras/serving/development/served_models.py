"""Folders of models to the versions that are served, kept up to date while folders come and go."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from sora_keras.serving.development.json_tensors import invalid_argument
from sora_keras.serving.development.servable_version import ServableVersion

LARGEST_VERSION = 2**63 - 1
logger = logging.getLogger(__name__)


@dataclasses.dataclass
class VersionState:
    """Where a version is in its life.

    Args:
        number: the version.
        state: `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        error_code: number of the status of loading it, 0 where all is well.
        error_message: what went wrong.
    """

    number: int
    state: str = "LOADING"
    error_code: int = 0
    error_message: str = ""
    servable: ServableVersion | None = dataclasses.field(default=None, repr=False)
    files: object = dataclasses.field(default=None, repr=False)


class ServedModels:
    """The models of a server by name.

    Args:
        base_path_or_models: the folder of one model's versions, which is served under the folder's name; or a
            `models.config`; or folders by name.
        batching: the fields of `batching.config`, or None.

    Raises:
        ValueError: if a `models.config` is no such file, or what it says cannot be.
        FileNotFoundError: if a folder is not there.
    """

    def __init__(
        self,
        base_path_or_models: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]],
        batching: Mapping[str, Any] | None = None,
    ) -> None:
        self._configurations = _configurations(base_path_or_models)
        for configuration in self._configurations.values():
            if not Path(configuration.base_path).is_dir():
                raise FileNotFoundError(
                    f"{configuration.base_path} is no folder: expected the folder of a model's numbered versions; "
                    "write one with `sora-keras export`."
                )
        path = None if isinstance(base_path_or_models, Mapping) else Path(base_path_or_models)
        self._file = path if path is not None and path.is_file() else None
        self._batching = batching
        self._lock = threading.Lock()
        self._versions: dict[str, dict[int, VersionState]] = {name: {} for name in self._configurations}

    def __contains__(self, name: str) -> bool:
        return name in self._configurations

    def states(self, name: str, number: int | None = None) -> list[VersionState]:
        """What became of each version of a model, newest first, or of one of them.

        Raises:
            tf.errors.NotFoundError: if there is none.
        """
        with self._lock:
            versions = self._versions.get(name, {})
            found = [versions[key] for key in sorted(versions, reverse=True) if number in (None, key)]
        if not found and number is not None:
            raise tf.errors.NotFoundError(None, None, f"Could not find version {number} of model {name}")
        if not found:
            raise tf.errors.NotFoundError(None, None, f"Could not find any versions of model {name}")
        return found

    @contextlib.contextmanager
    def servable(self, name: str, number: int | None = None, label: str | None = None) -> Iterator[ServableVersion]:
        """A version that stays loaded until it is left.

        Args:
            name: of the model.
            number: of the version; by default the latest that is served.
            label: in place of the number, a label that `models.config` gives.

        Raises:
            tf.errors.NotFoundError: if it is not served.
            tf.errors.InvalidArgumentError: if the name is empty, or the label unknown.
        """
        if not name:
            raise invalid_argument("ModelSpec has no name specified.")
        if label is not None:
            configuration = self._configurations.get(name)
            if configuration is None or label not in configuration.version_labels:
                raise invalid_argument(f"Unrecognized servable version label: {label}")
            number = configuration.version_labels[label]
        with self._lock:
            available = {s.number: s for s in self._versions.get(name, {}).values() if s.state == "AVAILABLE"}
            state = available.get(max(available, default=0) if number is None else number)
            if state is None or state.servable is None:
                wanted = f"Latest({name})" if number is None else f"Specific({name}, {number})"
                raise tf.errors.NotFoundError(None, None, f"Servable not found for request: {wanted}")
            servable = state.servable
            servable.users += 1
        try:
            yield servable
        finally:
            with self._lock:
                servable.users -= 1
            self._close_if_left(state)

    def poll(self) -> None:
        """Load the versions that have come, and then give up those that have been replaced."""
        for name, configuration in self._configurations.items():
            try:
                folders = _wanted(_version_folders(Path(configuration.base_path)), configuration)
            except OSError as error:
                logger.warning("The versions of %s cannot be listed: %s", name, error)
                continue
            for number, folder in folders.items():
                self._load(name, number, folder)
            self._retire(name, set(folders))
        # After loading, so that a label moves to a version that is there.
        self._read_again()

    def _read_again(self) -> None:
        """Take up the labels and the policies that `models.config` says by now."""
        if self._file is None:
            return
        try:
            configurations = _read_models_config(self._file)
        except (OSError, ValueError) as error:
            logger.warning("%s is not taken up: %s", self._file, error)
            return
        self._configurations = {name: configurations.get(name, kept) for name, kept in self._configurations.items()}

    def close(self) -> None:
        """Give up every version; those in use close when they are left."""
        for name in self._configurations:
            with self._lock:
                states = list(self._versions[name].values())
            for state in states:
                self._give_up(state)

    def _load(self, name: str, number: int, folder: Path) -> None:
        state = self._versions[name].get(number)
        if state is not None and (state.state != "END" or state.servable is not None):
            return
        files = _files(folder)
        if state is not None and state.files == files:
            return  # it failed, and nothing in it has changed since
        state = VersionState(number, files=files)
        with self._lock:
            self._versions[name][number] = state
        try:
            servable = ServableVersion(folder, number, self._batching)
        except Exception as error:  # whatever a broken folder brings up, the server lives on
            logger.warning("Version %d of %s cannot be loaded: %s", number, name, error)
            code = error.error_code if isinstance(error, tf.errors.OpError) else tf.errors.UNKNOWN
            with self._lock:
                state.state, state.error_code, state.error_message = "END", code, str(getattr(error, "message", error))
            return
        with self._lock:
            state.servable, state.state = servable, "AVAILABLE"
        logger.info("Version %d of %s is served", number, name)

    def _retire(self, name: str, wanted: set[int]) -> None:
        with self._lock:
            available = [state for state in self._versions[name].values() if state.state == "AVAILABLE"]
        if any(state.number in wanted for state in available):
            for state in available:
                if state.number not in wanted:
                    self._give_up(state)

    def _give_up(self, state: VersionState) -> None:
        with self._lock:
            if state.state == "AVAILABLE":
                state.state = "UNLOADING"
        self._close_if_left(state)

    def _close_if_left(self, state: VersionState) -> None:
        with self._lock:
            servable = state.servable
            if state.state != "UNLOADING" or servable is None or servable.users:
                return
            state.state, state.servable, state.files = "END", None, None
        servable.close()


def _configurations(models: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]) -> dict[str, Any]:
    """A `ModelConfig` for each model."""
    if not isinstance(models, Mapping) and Path(models).is_file():
        return _read_models_config(Path(models))
    if not isinstance(models, Mapping):
        models = {Path(models).resolve().name: models}
    return {
        name: model_server_config_pb2.ModelConfig(name=name, base_path=os.path.abspath(path))
        for name, path in models.items()
    }


def _read_models_config(path: Path) -> dict[str, Any]:
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no models.config: {error}.") from error
    configurations: dict[str, Any] = {}
    for model in config.model_config_list.config:
        if model.name in configurations:
            raise ValueError(f"{path} names two models {model.name!r}: give each a name of its own.")
        if not os.path.isabs(model.base_path):
            raise ValueError(
                f"{path}: the `base_path` of {model.name!r} must be absolute, received {model.base_path!r}."
            )
        if model.model_platform != "tensorflow":
            raise ValueError(
                f'{path}: the `model_platform` of {model.name!r} must be "tensorflow", '
                f"received {model.model_platform!r}."
            )
        configurations[model.name] = model
    return configurations


def _version_folders(base: Path) -> dict[int, Path]:
    folders = {}
    for entry in base.iterdir():
        if entry.name.isascii() and entry.name.isdigit() and int(entry.name) <= LARGEST_VERSION and entry.is_dir():
            folders[int(entry.name)] = entry
    return folders


def _wanted(folders: dict[int, Path], configuration: Any) -> dict[int, Path]:
    policy = configuration.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return folders
    if kind == "specific":
        return {number: folders[number] for number in policy.specific.versions if number in folders}
    return {number: folders[number] for number in sorted(folders)[-(policy.latest.num_versions or 1) :]}


def _files(folder: Path) -> object:
    """What tells whether anything in a folder has changed."""
    try:
        files = [(path, path.stat()) for path in sorted(folder.rglob("*"))]
        return [(str(path), status.st_size, status.st_mtime_ns) for path, status in files]
    except OSError:
        return None  # it changes while it is read

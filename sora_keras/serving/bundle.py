"""What `export` wrote, read back: a SavedModel with its clip specification and class names."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sora_keras.video import ClipSpec

CLIP_SPEC_FILE = "assets.extra/clip_spec.json"


@dataclasses.dataclass(frozen=True)
class Bundle:
    """One version of an exported model.

    Args:
        path: folder of the version.
        clip_spec: the clips it reads.
        class_names: names of its K classes.
        signature: the SavedModel's `serving_default`.
    """

    path: Path
    clip_spec: ClipSpec
    class_names: list[str]
    signature: Callable[..., dict[str, Any]] = dataclasses.field(repr=False)

    def predict(self, frames: np.ndarray) -> np.ndarray:
        """Probabilities of the classes.

        Args:
            frames: `uint8 (B, T, H, W, 3)`.

        Returns:
            `float32 (B, K)`.
        """
        import tensorflow as tf

        return self.signature(frames=tf.constant(frames, tf.uint8))["probabilities"].numpy()


def load_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Load what `export` wrote.

    Args:
        path: the folder of a model's versions, of which the highest is taken, or of one version.

    Returns:
        The loaded version.

    Raises:
        ValueError: if there is no such model, or it is damaged.

    Example:
        >>> bundle = load_bundle("saved_models/fights")
        >>> bundle.predict(clip.frames[None])
    """
    import tensorflow as tf

    folder, clip_spec, class_names = _description(Path(path))
    try:
        loaded = tf.saved_model.load(os.fspath(folder))
        signature = loaded.signatures["serving_default"]
    except (ValueError, LookupError, TypeError, OSError, tf.errors.OpError) as error:
        raise _damaged(folder, error) from error
    signature._loaded = loaded  # the signature alone does not keep the model's variables alive
    return Bundle(folder, clip_spec, class_names, signature)


def read_clip_spec(path: str | os.PathLike[str]) -> ClipSpec:
    """What clips an exported model reads, without loading it.

    Args:
        path: as of `load_bundle`.

    Returns:
        Its clip specification.

    Raises:
        ValueError: if there is no such model, or it is damaged.

    Example:
        >>> read_clip_spec("saved_models/fights")
        ClipSpec(num_frames=16, height=112, width=112, frames_per_second=8.0)
    """
    return _description(Path(path))[1]


def versions_in(path: str | os.PathLike[str]) -> list[int]:
    """The version numbers under a model's folder, as TensorFlow Serving sees them: folders named by digits alone."""
    return sorted(int(entry.name) for entry in _version_folders(Path(path)))


def _version_folders(base: Path) -> list[Path]:
    entries = base.iterdir() if base.is_dir() else []
    return [entry for entry in entries if entry.name.isascii() and entry.name.isdigit() and entry.is_dir()]


def _description(base: Path) -> tuple[Path, ClipSpec, list[str]]:
    """The folder of a version, its clip specification and its class names."""
    folder = max(_version_folders(base), key=lambda entry: int(entry.name), default=base)
    if not (folder / "saved_model.pb").is_file() or not (folder / CLIP_SPEC_FILE).is_file():
        raise ValueError(
            f"{base} holds no exported model: expected a folder with numbered versions, each with saved_model.pb and "
            f"{CLIP_SPEC_FILE}; write one with `sora-keras export`."
        )
    try:
        description = json.loads((folder / CLIP_SPEC_FILE).read_text(encoding="utf-8"))
        return folder, ClipSpec.from_config(description["clip_spec"]), list(description["class_names"])
    except (ValueError, LookupError, TypeError, OSError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> ValueError:
    return ValueError(f"{folder} is damaged ({type(error).__name__}: {error}): export the model again.")

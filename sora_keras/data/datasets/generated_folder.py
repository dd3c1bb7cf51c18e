"""A function that writes files in, a folder of them that appears when it is whole out."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def generated_folder(
    directory: str | os.PathLike[str] | None,
    name: str,
    is_made: Callable[[Path], bool],
    write: Callable[[Path], None],
) -> Path:
    """Generate a folder, unless it is there already.

    Args:
        directory: the folder; by default one of that name under Keras's data cache (`KERAS_HOME`, else `~/.keras`).
        name: what to call its contents.
        is_made: tells whether a folder holds them, whole.
        write: writes them into an empty folder; if it fails, nothing is left.

    Returns:
        The folder.

    Raises:
        FileExistsError: if `directory` holds something else.

    Example:
        >>> folder = generated_folder(None, "digits_seed0", lambda folder: (folder / "manifest.csv").exists(), write)
    """
    directory = _cache_directory() / name if directory is None else Path(directory)
    if is_made(directory):
        return directory
    if directory.exists() and any(directory.iterdir()):
        raise FileExistsError(f"{directory} holds something other than {name}: remove it, or name another folder.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        write(partial)
        partial.chmod(0o755)
        if directory.exists():
            directory.rmdir()
        partial.replace(directory)
    except OSError:
        if not is_made(directory):  # by another process, meanwhile
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return directory


def _cache_directory() -> Path:
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "datasets" / "sora_keras"

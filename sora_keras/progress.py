"""A long loop, shown as a bar on a terminal and not at all elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def show_progress(iterable: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """Go through an iterable with a progress bar on the error output, where that is a terminal.

    Args:
        iterable: what to go through.
        description: what is being done.
        total: how many elements there are, if that is known.

    Returns:
        The same elements.

    Example:
        >>> for path in show_progress(paths, "Checking videos", total=len(paths)): ...
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        return iterable
    return track(iterable, description, total, console=console, transient=True)

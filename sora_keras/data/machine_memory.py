"""Nothing in, the bytes of memory that this process may count on out."""

from __future__ import annotations

import os
from pathlib import Path

BYTES_IF_UNKNOWN = 8 * 2**30
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory_bytes() -> int:
    """Ask for the machine's memory, or the container's where that is less.

    Returns:
        Bytes; 8 GiB where the system does not say.

    Example:
        >>> machine_memory_bytes() / 2**30
        23.5
    """
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        machine = BYTES_IF_UNKNOWN
    return min([machine, *_container_limits()])


def _container_limits() -> list[int]:
    """What control groups, of version 2 or 1, allow; a group without a limit says so in a word, or a huge number."""
    texts = [Path(path).read_text().strip() for path in CONTAINER_LIMITS if os.access(path, os.R_OK)]
    return [int(text) for text in texts if text.isdigit()]

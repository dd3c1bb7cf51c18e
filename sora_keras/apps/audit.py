"""A manifest to what leaks across its split: lines to print, a file for programs, a picture to look at."""

from __future__ import annotations

import os
from pathlib import Path

from sora_keras.atomic import appearing_when_whole
from sora_keras.data.audit import Audit, Severity, audit_rows
from sora_keras.data.datasets.directory import rows_from


def audit_manifest(
    source: str | os.PathLike[str],
    to: str | os.PathLike[str] | None = None,
    near_duplicates: bool = True,
    same_scene: Severity = "leak",
) -> Audit:
    """Look for what stands on several sides of a split, and write it down.

    Args:
        source: a CSV manifest with a column `split`, or without one, or a folder of videos: what leaks between groups.
        to: folder for `audit.jsonl` and, if there are findings, `leaks.jpg`, the worst pairs side by side.
        near_duplicates: whether to read the videos and compare their pictures.
        same_scene: whether one scene on both sides is a `"leak"` or a `"notice"`.

    Returns:
        The audit.

    Raises:
        ValueError: as `audit_rows` and `read_manifest` do.
        OSError: if `to` cannot be written.

    Example:
        >>> audit_manifest("fights/manifest.csv", to="audit").is_clean
        True
    """
    if to is not None:
        Path(to).mkdir(parents=True, exist_ok=True)
    audit = audit_rows(rows_from(source), near_duplicates, same_scene)
    if to is not None:
        with appearing_when_whole(Path(to) / "audit.jsonl") as unfinished:
            unfinished.write_text("".join(f"{line}\n" for line in audit.json_lines()), encoding="utf-8")
        if audit.findings:
            from sora_keras.data.audit_sheet import draw_findings

            draw_findings(audit.findings, Path(to) / "leaks.jpg")
    return audit

"""Names of presets, or folders of saved models, to a table of what each costs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence

import keras
from rich.table import Table

from sora_keras.models import ModelDescription, SoraBackbone, describe_model
from sora_keras.models.presets import BACKBONES, load_preset
from sora_keras.video import ClipSpec


@dataclasses.dataclass(frozen=True)
class PresetDescription:
    """What one preset costs.

    Args:
        name: its name, or its folder.
        clip_spec: the clips it reads; `None` where it cannot be built.
        costs: its parameters, operations and time; `None` where it cannot be built.
        error: why it cannot be built, else `None`.
    """

    name: str
    clip_spec: ClipSpec | None
    costs: ModelDescription | None
    error: str | None = None


def describe_presets(
    names_or_paths: Sequence[str | os.PathLike[str]] = tuple(BACKBONES),
    clip_spec: ClipSpec | None = None,
    repeats: int = 5,
) -> Iterator[PresetDescription]:
    """Build or load each preset, count its parameters and operations, and measure its time.

    Args:
        names_or_paths: names of backbones, by default all, or folders that `save_to_preset` wrote.
        clip_spec: the clips that named backbones read; a folder has its own.
        repeats: predictions measured; 0 for no measurement.

    Yields:
        A description for each, in order; one whose weights are not installed yields its error.

    Raises:
        ValueError: if there is no such preset.

    Example:
        >>> for preset in describe_presets(["small", "base"]):
        ...     print(preset.name, preset.costs.parameters)
    """
    for name in names_or_paths:
        try:
            model = SoraBackbone.from_preset(name, clip_spec) if name in BACKBONES else load_preset(name, keras.Model)
        except FileNotFoundError as error:
            yield PresetDescription(os.fspath(name), None, None, str(error))
            continue
        yield PresetDescription(os.fspath(name), model.clip_spec, describe_model(model, repeats=repeats))


def preset_table(descriptions: Sequence[PresetDescription]) -> Table:
    """Lay descriptions out as a table for a terminal.

    Args:
        descriptions: what `describe_presets` yielded.

    Returns:
        A table to print with `rich`.

    Example:
        >>> rich.print(preset_table(list(describe_presets())))
    """
    table = Table("preset", "clip", title="GFLOP: 10^9 floating-point operations; ms: median here, one clip at a time")
    for column in ("parameters", "trained", "GFLOP a clip", "ms a clip"):
        table.add_column(column, justify="right")
    for one in descriptions:
        if one.costs is None or one.clip_spec is None:
            table.add_row(one.name, one.error)
            continue
        costs, spec = one.costs, one.clip_spec
        table.add_row(
            one.name,
            f"{spec.num_frames} x {spec.height} x {spec.width}",
            f"{costs.parameters:,}",
            f"{costs.trainable_parameters:,}",
            f"{costs.flops_per_clip / 1e9:.3g}",
            "" if costs.milliseconds_per_clip is None else f"{costs.milliseconds_per_clip:.1f}",
        )
    return table

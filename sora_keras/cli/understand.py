"""The command that tells what happens when in a video."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from sora_keras.cli.outcome import PIPED_WIDTH, Actions


def add_commands(actions: Actions) -> None:
    """Add `understand`."""
    understand = actions.add_parser("understand", help="a trained model on a video of any length, to what happens when")
    understand.add_argument("model", help="folder that `SoraUnderstanding.save_to_preset` wrote")
    understand.add_argument("video", help="video file")
    understand.add_argument("--to", required=True, metavar="DIR", help="where timeline, pictures and highlights go")
    understand.add_argument(
        "--minimum-seconds", type=float, default=0.5, metavar="S", help="shortest segment (default: %(default)s)"
    )
    understand.set_defaults(action=_understand)


def _understand(options: argparse.Namespace) -> int:
    from sora_keras.apps import understand
    from sora_keras.models import SoraUnderstanding

    model = SoraUnderstanding.from_preset(options.model)
    timeline = understand(options.video, model, options.to, options.minimum_seconds)
    table = Table("from", "to", Column("what", overflow="fold"), "vocabulary", "score")
    for vocabulary, segment in timeline.all_segments:
        times = (f"{seconds:.2f}" for seconds in (segment.start_seconds, segment.end_seconds))
        table.add_row(*times, escape(segment.label), vocabulary, f"{segment.score:.3f}")
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    print(f"timeline, subtitles, pictures and highlights: {options.to}")
    if timeline.error:
        print(f"{timeline.path} cannot be read to its end: {timeline.error}", file=sys.stderr)
    return 1 if timeline.error else 0

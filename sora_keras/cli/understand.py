"""The commands that tell what happens when in a video, and when somebody is there."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from sora_keras.cli.outcome import PIPED_WIDTH, Actions


def add_commands(actions: Actions) -> None:
    """Add `understand` and `people`."""
    understand = actions.add_parser("understand", help="a trained model on a video of any length, to what happens when")
    understand.add_argument("model", help="folder that `SoraUnderstanding.save_to_preset` wrote")
    understand.add_argument("video", help="video file")
    understand.add_argument("--to", required=True, metavar="DIR", help="where timeline, pictures and highlights go")
    understand.add_argument(
        "--minimum-seconds", type=float, default=0.5, metavar="S", help="shortest segment (default: %(default)s)"
    )
    understand.set_defaults(action=_understand)
    people = actions.add_parser("people", help="when somebody is in a video, where, and how many")
    people.add_argument("video", help="video file")
    people.add_argument("--to", required=True, metavar="DIR", help="where people.csv and people.json go")
    people.add_argument(
        "--seconds-between-frames", type=float, default=1.0, metavar="S", help="to look at (default: %(default)s)"
    )
    people.add_argument("--minimum-score", type=float, default=0.4, metavar="P", help="of a find (%(default)s)")
    people.add_argument(
        "--zoom", type=int, default=3, help="1 sees large people fast, 3 small ones slowly (default: %(default)s)"
    )
    people.set_defaults(action=_people)


def _understand(options: argparse.Namespace) -> int:
    from sora_keras.apps import understand
    from sora_keras.models import SoraUnderstanding

    model = SoraUnderstanding.from_preset(options.model)
    timeline = understand(options.video, model, options.to, options.minimum_seconds)
    table = Table("from", "to", Column("what", overflow="fold"), "vocabulary", "score")
    for vocabulary, segment in timeline.all_segments:
        times = (f"{seconds:.2f}" for seconds in (segment.start_seconds, segment.end_seconds))
        table.add_row(*times, escape(segment.label), vocabulary, f"{segment.score:.3f}")
    _print_table(table)
    print(f"timeline, subtitles, pictures and highlights: {options.to}")
    return _exit_code(options.video, timeline.error)


def _people(options: argparse.Namespace) -> int:
    from sora_keras.apps import find_people, write_people

    track = find_people(options.video, options.seconds_between_frames, options.minimum_score, options.zoom)
    write_people(track, options.to)
    table = Table("from", "to", "people at most")
    for segment in track.presence():
        inside = (track.times >= segment.start_seconds) & (track.times <= segment.end_seconds)
        most = track.counts[inside].max()
        table.add_row(f"{segment.start_seconds:.2f}", f"{segment.end_seconds:.2f}", str(most))
    _print_table(table)
    print(f"boxes and counts: {options.to}")
    return _exit_code(options.video, track.error)


def _print_table(table: Table) -> None:
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)


def _exit_code(video: str, error: str | None) -> int:
    if error:
        print(f"{video} cannot be read to its end: {error}", file=sys.stderr)
    return 1 if error else 0

"""The `sora-keras` command: one subcommand an action, nothing but arguments and calls."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

from sora_keras.cli import anomalies, classify, data, enhance, serving, understand
from sora_keras.cli.outcome import ERROR_EXIT_CODE

WITHOUT_TENSORFLOW = ("audit", "check", "data-service", "download", "people")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; an error becomes one line and exit code 2."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold what the terminal cannot show
    action: Callable[[argparse.Namespace], int] = options.action
    try:
        if options.command not in WITHOUT_TENSORFLOW:
            _import_tensorflow_quietly()
        return action(options)
    except (ValueError, OSError, ImportError) as error:
        message = " ".join(str(error).split())
        print(f"sora-keras {options.command}: {message}", file=sys.stderr)
        return ERROR_EXIT_CODE
    except KeyboardInterrupt:
        hint = "; the same command goes on" if options.command in ("download", "train", "tune") else ""
        print(f"sora-keras {options.command}: interrupted{hint}.", file=sys.stderr)
        return 130


def _import_tensorflow_quietly() -> None:
    """Keep from users what TensorFlow's C++ says before it reads any setting; TF_CPP_MIN_LOG_LEVEL=0 shows it."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3" or "tensorflow" in sys.modules:
        return
    error_output = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(error_output, 2)
        os.close(error_output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sora-keras",
        description="Train, judge, export and use video models.",
        epilog="Example: sora-keras train clips --to saved_models/clips; sora-keras predict saved_models/clips a.mp4",
    )
    actions = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    classify.add_commands(actions)
    understand.add_commands(actions)
    enhance.add_commands(actions)
    anomalies.add_commands(actions)
    serving.add_commands(actions)
    data.add_commands(actions)
    return parser

"""The command that tells when a video shows what a generator did not expect."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sora_keras.cli.outcome import Actions


def add_commands(actions: Actions) -> None:
    """Add `anomalies`."""
    anomalies = actions.add_parser("anomalies", help="how unexpected each moment of a video is, and where in the frame")
    anomalies.add_argument("model", help="folder that `SoraGenerator.save_to_preset` wrote")
    anomalies.add_argument("video", help="video file")
    anomalies.add_argument("--to", required=True, metavar="DIR", help="where anomalies.csv and anomalies.png go")
    anomalies.add_argument(
        "--smoothing-seconds", type=float, default=0.9, metavar="S", help="of the curve (default: %(default)s)"
    )
    anomalies.set_defaults(action=_anomalies)


def _anomalies(options: argparse.Namespace) -> int:
    from sora_keras.apps.anomaly_files import write_anomalies
    from sora_keras.apps.anomaly_plot import unexpected_moments
    from sora_keras.apps.video_anomalies import anomaly_scores
    from sora_keras.models import SoraGenerator

    model = SoraGenerator.from_preset(options.model)
    Path(options.to).mkdir(parents=True, exist_ok=True)  # what cannot be written is told before the work
    curve = anomaly_scores(model, options.video, options.smoothing_seconds)
    write_anomalies(curve, options.to)
    for moment in unexpected_moments(curve):
        left, top, right, bottom = (f"{100 * share:.0f}" for share in curve.boxes[moment])
        place = f"{left}-{right} % from the left, {top}-{bottom} % from the top"
        print(f"{curve.times[moment]:8.2f} s   score {curve.smoothed[moment]:.1f} dB   {place}")
    print(f"curve and table: {options.to}")
    if curve.error:
        print(f"{options.video} cannot be read to its end: {curve.error}", file=sys.stderr)
    return 1 if curve.error else 0

"""An anomaly curve in, a table and a picture of it in a folder out."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from sora_keras.apps.anomaly_plot import draw_anomalies
from sora_keras.apps.video_anomalies import AnomalyCurve
from sora_keras.atomic import appearing_when_whole

COLUMNS = ("seconds", "score", "smoothed", "normalized", "left", "top", "right", "bottom")


def write_anomalies(curve: AnomalyCurve, to: str | os.PathLike[str], abnormal: Any = None) -> None:
    """Write `anomalies.csv`, a row for each time, and `anomalies.png`, the curve with its least expected moments.

    Args:
        curve: from `anomaly_scores`.
        to: the folder, made where it is missing. Files of these names are replaced, each once it is whole.
        abnormal: `bool (N,)`, which times somebody has labeled abnormal: the picture shades these.

    Raises:
        OSError: if they cannot be written.
        VideoError: if the video is gone.

    Example:
        >>> write_anomalies(anomaly_scores(model, "walkway.mp4"), "walkway")
    """
    folder = Path(to)
    folder.mkdir(parents=True, exist_ok=True)
    columns = (curve.times, curve.scores, curve.smoothed, curve.normalized, curve.boxes)
    with appearing_when_whole(folder / "anomalies.csv") as unfinished, open(unfinished, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for seconds, score, smoothed, normalized, box in zip(*columns, strict=True):
            numbers = (f"{seconds:.3f}", f"{score:.6g}", f"{smoothed:.6g}", f"{normalized:.4f}")
            writer.writerow((*numbers, *(f"{share:.4f}" for share in box)))
    draw_anomalies(curve, folder / "anomalies.png", abnormal)

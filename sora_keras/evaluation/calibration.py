"""Labels and probabilities in, a table and a picture of how far the probabilities can be taken at their word out."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sora_keras.evaluation.partial_labels import checked_labels_and_scores

DOTS_PER_INCH = 120


def calibration_metrics(labels: np.ndarray, probabilities: np.ndarray, num_bins: int = 10) -> dict[str, Any]:
    """Judges whether of what is said with probability p, a share p holds.

    Every label of every frame or clip is one yes-or-no question. Where labels are rare, most answers are a sure no and
    the expected calibration error, a mean over all answers, is small for that alone: look at the table too.

    Args:
        labels: `(N, K)`: 1 where a label holds, 0 where it does not, -1 where nobody knows, which is left out.
        probabilities: `float (N, K)` in 0..1.
        num_bins: how many bins of equal width the probabilities are sorted into.

    Returns:
        `expected_calibration_error`, the mean distance of share and probability; `maximum_calibration_error`, that of
        the worst bin; `brier_score`, the mean squared error; `num_answers`; `bins`, for each bin `low`, `high`,
        `num_answers`, `mean_probability` and `share_that_holds` (`None` if nothing is in it).

    Raises:
        ValueError: if the shapes differ, a label is not 1, 0 or -1, nothing is known, a probability lies outside 0..1
            or there is no bin.

    Example:
        >>> labels, probabilities = np.array([[1], [1], [0], [1]]), np.array([[0.7], [0.7], [0.7], [0.7]])
        >>> round(calibration_metrics(labels, probabilities)["expected_calibration_error"], 2)
        0.05

    Reference:
        C. Guo et al., "On calibration of modern neural networks", ICML 2017; M. Pakdaman Naeini et al., "Obtaining well
        calibrated probabilities using Bayesian binning", AAAI 2015.
    """
    labels, probabilities = checked_labels_and_scores(labels, probabilities)
    outside = probabilities[(probabilities < 0) | (probabilities > 1)]
    if len(outside):
        raise ValueError(f"probabilities must lie in 0..1, received {outside[0]:.6g}. Apply the sigmoid to logits.")
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, received {num_bins}.")
    known = labels >= 0
    holds, said = labels[known].astype(np.float64), probabilities[known]
    edges = np.linspace(0, 1, num_bins + 1)
    # A probability at an edge belongs to the bin below, as in the definition; 0 has none below.
    bins = np.maximum(np.searchsorted(edges, said, "left") - 1, 0)
    sizes = np.bincount(bins, minlength=num_bins)
    shares, means = (np.bincount(bins, array, num_bins) / np.maximum(sizes, 1) for array in (holds, said))
    gaps = np.abs(shares - means)
    return {
        "expected_calibration_error": float(np.sum(gaps * sizes) / len(said)),
        "maximum_calibration_error": float(gaps.max()),
        "brier_score": float(np.mean((said - holds) ** 2)),
        "num_answers": len(said),
        "bins": [
            {
                "low": float(edges[index]),
                "high": float(edges[index + 1]),
                "num_answers": int(size),
                "mean_probability": float(means[index]) if size else None,
                "share_that_holds": float(shares[index]) if size else None,
            }
            for index, size in enumerate(sizes)
        ],
    }


def plot_calibration(metrics: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draws the share that holds over the probability that was said, above how often it was said.

    Args:
        metrics: as `calibration_metrics` returns them.
        path: PNG file to write.

    Example:
        >>> plot_calibration(calibration_metrics(labels, probabilities), "calibration.png")  # doctest: +SKIP
    """
    filled = [row for row in metrics["bins"] if row["num_answers"]]
    figure = Figure(figsize=(4.6, 5.6), dpi=DOTS_PER_INCH, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="as said")
    said, holds = ([row[name] for row in filled] for name in ("mean_probability", "share_that_holds"))
    upper.plot(said, holds, marker="o", color="tab:blue", label="seen")
    upper.set(ylabel="share that holds", xlim=(0, 1), ylim=(0, 1))
    upper.set_title(f"expected calibration error {metrics['expected_calibration_error']:.3f}", fontsize=10)
    upper.legend(fontsize=8)
    width = 1 / len(metrics["bins"])
    lower.bar([row["low"] for row in filled], [row["num_answers"] for row in filled], width, align="edge",
              color="tab:blue", edgecolor="white")  # fmt: skip
    lower.set(xlabel="probability", ylabel="answers", yscale="log", ylim=(0.5, None))
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
    figure.savefig(path, format="png", bbox_inches="tight", pad_inches=0.1)

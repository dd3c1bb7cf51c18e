"""Memory over one epoch of a manifest of 100,000 rows: `python tests/benchmarks/epoch_memory.py [--rows N]`.

Every row decodes a video of its own part of 200 tiny files, so that what grows with the rows, not with the pixels, is
seen: the resident memory of the process at each tenth of the epoch, and what the manifest itself takes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from sora_keras import ClipSpec, video_dataset_from_manifest, write_video
from sora_keras.data import Row, read_manifest, write_manifest

NUM_FILES = 200
BATCH_SIZE = 32


def resident_megabytes() -> float:
    """What the process holds in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def write_files(folder: Path) -> list[str]:
    """Tiny videos of one second."""
    paths = [str(folder / f"{index}.mp4") for index in range(NUM_FILES)]
    for index, path in enumerate(paths):
        write_video(path, np.full((10, 16, 16, 3), index, np.uint8), frames_per_second=10.0)
    return paths


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    num_rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder))
        manifest = Path(folder) / "manifest.csv"
        parts = (index // NUM_FILES / num_rows for index in range(num_rows))
        write_manifest(
            (
                Row(paths[index % NUM_FILES], "ab"[index % 2], f"group{index % 1000}", start_seconds=start)
                for index, start in enumerate(parts)
            ),
            manifest,
        )
        before = resident_megabytes()
        rows = read_manifest(manifest)
        print(f"{num_rows} rows take {resident_megabytes() - before:.0f} MB; the process {resident_megabytes():.0f} MB")
        dataset = video_dataset_from_manifest(rows, ClipSpec(4, 16, 16), batch_size=BATCH_SIZE, seed=0)
        num_clips, next_tenth, began = 0, 0, time.perf_counter()
        for frames, _ in dataset:
            num_clips += len(frames)
            if num_clips >= next_tenth * num_rows / 10:
                seconds = time.perf_counter() - began
                print(f"{num_clips:7d} clips  {resident_megabytes():6.0f} MB  {seconds:5.0f} s", flush=True)
                next_tenth += 1


if __name__ == "__main__":
    main()

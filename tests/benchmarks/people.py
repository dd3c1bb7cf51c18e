"""The people that `find_people` finds in the shared scenes, against those counted by eye.

Command: python tests/benchmarks/people.py --data shared/data/scenes
Prints for each video and zoom the counts in 15 frames, how far off they are on average beside always answering 0 and
always answering the video's own median (which no detector can know), the precision and recall of presence, and the
processor time a frame takes.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from sora_keras.apps.people import find_people
from sora_keras.video import probe

sys.path.append(str(Path(__file__).parents[1]))
from hand_counted_people import COUNTS, VISITS


def main(folder: Path, zooms: list[int]) -> None:
    cv2.setNumThreads(1)
    for name, counted in COUNTS.items():
        truth = np.array(counted)
        seconds = probe(folder / name).duration_seconds / len(truth)
        print(f"{name}: by eye {truth.tolist()}")
        print(f"  off by {off(0, truth):.2f} if always 0, {off(np.median(truth), truth):.2f} if always the median")
        for zoom in zooms:
            start = time.process_time()
            found = find_people(folder / name, seconds, zoom=zoom).counts
            seconds_a_frame = (time.process_time() - start) / len(found)
            print(f"  zoom {zoom}: {found.tolist()}")
            print(f"    off by {off(found, truth):.2f}, on average {np.mean(found - truth):+.2f}")
            print(f"    {presence(found > 0, truth > 0)}, {seconds_a_frame:.2f} s a frame on one core")
    for name, visits in VISITS.items():
        num_seconds = int(probe(folder / name).duration_seconds)
        is_there = np.zeros(num_seconds, bool)
        for first, end in visits:
            is_there[first:end] = True
        for zoom in zooms:
            track = find_people(folder / name, zoom=zoom)
            segments = track.presence()
            middles = np.arange(num_seconds) + 0.5
            is_found = np.array([any(s.start_seconds <= t < s.end_seconds for s in segments) for t in middles])
            print(f"{name}, every second, zoom {zoom}: {presence(is_found, is_there)}")
            print(f"  {len(visits)} visits by eye, found {[(s.start_seconds, s.end_seconds) for s in segments]}")


def off(found: np.ndarray | float, truth: np.ndarray) -> float:
    return float(np.abs(found - truth).mean())


def presence(found: np.ndarray, truth: np.ndarray) -> str:
    hits = (found & truth).sum()
    return f"presence: precision {hits} of {found.sum()}, recall {hits} of {truth.sum()}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with pedestrians.avi and the others")
    parser.add_argument("--zooms", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    main(options.data, options.zooms)

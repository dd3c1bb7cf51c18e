"""How long each family of classical features takes for a clip, on real videos.

Command: python tests/benchmarks/features.py --data FOLDER
Prints the median and the fastest time of each family over the first clips of FOLDER (`fights/` of the shared data), for
16 frames of 64x64 and of 112x112, beside the time to decode such a clip. Families take turns, so that a change of the
machine's speed meets all alike. With --threads 1 OpenCV keeps to the calling thread, as it is best told to where
`tf.data` already works on several clips at once.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import cv2

from sora_keras.features import FAMILIES, extract_features, feature_names
from sora_keras.video import ClipSpec, read_clip

SIDES = (64, 112)
SHARED_DATA = Path(os.environ.get("SORA_KERAS_DATA", Path(__file__).parents[3] / "shared" / "data"))


def seconds(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def main(data, clips, threads):
    if threads is not None:
        cv2.setNumThreads(threads)
    videos = sorted(data.rglob("*.mp4"))[:clips]
    print(f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads, {os.cpu_count()} cores, {len(videos)} clips")
    for side in SIDES:
        taken = {name: [] for name in ("decode", *FAMILIES)}
        for video in videos:
            decode_seconds, clip = seconds(lambda video=video, side=side: read_clip(video, ClipSpec(16, side, side)))
            taken["decode"].append(decode_seconds)
            for family in FAMILIES:
                taken[family].append(seconds(lambda clip=clip, family=family: extract_features(clip, [family]))[0])
        print(f"16 frames of {side}x{side}, milliseconds a clip")
        for name, times in taken.items():
            columns = f"{len(feature_names([name])):4} columns" if name in FAMILIES else ""
            print(
                f"  {name:8} median {1e3 * statistics.median(times):6.1f}   fastest {1e3 * min(times):6.1f}   {columns}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA / "fights")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--threads", type=int, help="OpenCV's threads; by default its own choice")
    main(**vars(parser.parse_args()))

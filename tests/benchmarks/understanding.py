"""Memory and time to understand an hour of video: `python tests/benchmarks/understanding.py --data DATA`.

Real recordings of DATA, the folder of the README of real data, are looped to an hour without encoding them anew:
`ceiling` (160x120) and `pedestrians` (768x576). A process of its own reads each with the preset `small` at 64x64 and 8
frames a second and writes every file of the timeline. Printed are the most memory it ever held, TensorFlow included,
and how many seconds of video it took in a second, with and without the files, on as many cores as `taskset` leaves it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

VIDEOS = {"ceiling": "ceiling/20200626_154556.mp4", "pedestrians": "scenes/pedestrians.avi"}


def write_loop(source: Path, to: Path, seconds: float) -> None:
    """Repeat the packets of a video until it lasts that long."""
    end = 0
    with av.open(str(to), "w") as container:
        while True:
            with av.open(str(source)) as opened:
                pictures = opened.streams.video[0]
                if not container.streams:
                    stream = container.add_stream_from_template(pictures)
                time_base = pictures.time_base
                packets = [packet for packet in opened.demux(pictures) if packet.dts is not None]
                first = min(packet.dts for packet in packets)
                last = max(packet.dts + packet.duration for packet in packets)
                for packet in packets:
                    packet.dts += end - first
                    packet.pts = packet.dts if packet.pts is None else packet.pts + end - first
                    packet.stream = stream
                    container.mux(packet)
                end += last - first
            if end * time_base >= seconds:
                return


def measure(video: str, folder: str, threads: int) -> None:
    """Understand one video, and print what it took as JSON."""
    import keras
    import tensorflow as tf

    from sora_keras.apps.timeline import timeline_of
    from sora_keras.apps.timeline_files import write_timeline
    from sora_keras.apps.video_scores import score_video
    from sora_keras.models import SoraBackbone
    from sora_keras.models.understanding import SoraUnderstanding
    from sora_keras.video import ClipSpec

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(0)
    backbone = SoraBackbone.from_preset("small", ClipSpec(16, 64, 64, 8.0))
    model = SoraUnderstanding(backbone, {"event": [f"event {number}" for number in range(9)]})
    began = time.perf_counter()
    scores = score_video(video, model)
    scored = time.perf_counter()
    # Random weights are sure of nothing: thresholds at which each label holds now and then.
    model.thresholds = {"event": [float(column.max()) - 1e-3 for column in scores.frame_scores["event"].T]}
    timeline = timeline_of(video, scores, model, minimum_seconds=0.0)
    write_timeline(timeline, folder)
    print(
        json.dumps(
            {
                "seconds": scores.duration_seconds,
                "scored": scored - began,
                "written": time.perf_counter() - scored,
                "processor": time.process_time(),
                "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "segments": len(timeline.all_segments),
                "files": sorted(os.listdir(folder)),
            }
        )
    )


def main() -> None:
    """Make the videos, measure in processes of their own, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("SORA_KERAS_DATA", "../shared/data"))
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--videos", nargs="+", default=list(VIDEOS), choices=list(VIDEOS))
    options = parser.parse_args()
    for name in options.videos:
        with tempfile.TemporaryDirectory() as folder:
            video = Path(folder) / f"{name}{Path(VIDEOS[name]).suffix}"
            write_loop(Path(options.data) / VIDEOS[name], video, options.seconds)
            command = [sys.executable, __file__, "--measure", str(video), folder + "/timeline", str(options.threads)]
            taken = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{name}: {taken['seconds']:.0f} s of video in {taken['scored']:.0f} s, "
                f"{taken['seconds'] / taken['scored']:.1f} times real time; files {taken['written']:.0f} s more, "
                f"{taken['seconds'] / (taken['scored'] + taken['written']):.1f} times real time with them; "
                f"{taken['processor']:.0f} s of processor time; peak {taken['megabytes']:.0f} MB; "
                f"{taken['segments']} segments; {', '.join(taken['files'])}",
                flush=True,
            )


if __name__ == "__main__":
    if "--measure" in sys.argv:
        measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
